import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { run } from "../src/process";

const node = (script: string, options = {}): Promise<string> =>
  run(process.execPath, ["-e", script], { cwd: tmpdir(), ...options });

test("the output of a program is its standard output, line by line", async () => {
  assert.equal(
    await node("console.log('one'); console.error('two'); console.log('three')"),
    "one\nthree",
  );
});

test("every line is told while it runs", async () => {
  const lines: string[] = [];
  await node("console.log('one'); console.error('two')", {
    onLine: (line: string) => lines.push(line),
  });
  assert.deepEqual(lines.sort(), ["one", "two"]);
});

test("a program that fails says how it ended", async () => {
  await assert.rejects(node("process.exit(3)"), /ended with exit code 3/);
});

test("a program that is not there is an error, not a crash", async () => {
  await assert.rejects(run("/nowhere/python", [], { cwd: tmpdir() }), /ENOENT/);
});

test("a program can be stopped from outside", async () => {
  const controller = new AbortController();
  const onLine = () => controller.abort();
  const forever = "console.log('up'); setInterval(() => {}, 1000)";
  await assert.rejects(node(forever, { onLine, signal: controller.signal }), {
    name: "AbortError",
  });
});
