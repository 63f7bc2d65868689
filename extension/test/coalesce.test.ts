import assert from "node:assert/strict";
import { test } from "node:test";
import { coalesced } from "../src/coalesce";

/** A task that ends when told to. */
function gated() {
  const gates: (() => void)[] = [];
  const task = () => new Promise<void>((resolve) => gates.push(resolve));
  return { gates, run: coalesced(task) };
}

test("calls while one runs share one more run", async () => {
  const { gates, run } = gated();
  const first = run();
  const later = [run(), run(), run()];
  assert.equal(gates.length, 1);
  gates[0]?.();
  await first;
  await new Promise(setImmediate);
  assert.equal(gates.length, 2);
  gates[1]?.();
  await Promise.all(later);
  assert.equal(gates.length, 2);
});

test("a failed run does not keep the waiting one from running", async () => {
  let runs = 0;
  const run = coalesced(() => (++runs === 1 ? Promise.reject(new Error("no")) : Promise.resolve()));
  const first = run();
  const second = run();
  await assert.rejects(first);
  await second;
  assert.equal(runs, 2);
});
