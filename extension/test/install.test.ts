import assert from "node:assert/strict";
import { existsSync, mkdtempSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { beforeEach, test } from "node:test";
import { install, type Installer } from "../src/install";

let venv: string;
let ran: string[];

beforeEach(() => {
  venv = path.join(mkdtempSync(path.join(tmpdir(), "falcon-")), "venv");
  ran = [];
});

function machine(failing = "", files: string[] = []): Installer {
  return {
    venv,
    platform: "linux",
    wheel: "/extension/server-wheel/falcon_lsp-1.0.0-py3-none-any.whl",
    isFile: (file) => Promise.resolve(files.includes(file)),
    run: (command, args) => {
      const line = [command, ...args].join(" ");
      ran.push(line);
      if (args.includes("venv")) {
        mkdirSync(venv);
      }
      return failing !== "" && line.includes(failing)
        ? Promise.reject(new Error("ended with exit code 1"))
        : Promise.resolve("");
    },
  };
}

const start = (on: Installer): Promise<void> =>
  install("/usr/bin/python3", on, () => undefined, new AbortController().signal);

const pip = (): string =>
  `${venv}/bin/python -m pip install --disable-pip-version-check --no-input --upgrade ` +
  "/extension/server-wheel/falcon_lsp-1.0.0-py3-none-any.whl";

test("an environment is made, and the carried wheel goes into it", async () => {
  await start(machine());
  assert.deepEqual(ran, [`/usr/bin/python3 -m venv ${venv}`, pip()]);
});

test("an environment that exists is only updated", async () => {
  await start(machine("", [path.posix.join(venv, "bin", "python")]));
  assert.deepEqual(ran, [pip()]);
});

test("half an environment does not stay", async () => {
  await assert.rejects(start(machine("-m venv")), /exit code 1/);
  assert.equal(ran.length, 1);
  assert.ok(!existsSync(venv));
});

test("an environment stays when pip fails, for the next try", async () => {
  await assert.rejects(start(machine("-m pip")), /exit code 1/);
  assert.ok(existsSync(venv));
});
