import assert from "node:assert/strict";
import { test } from "node:test";
import type { State, Status } from "../src/protocol";
import { present } from "../src/status";

const states: [State, icon: string, words: string, warning: boolean][] = [
  ["loading", "$(loading~spin)", "getting ready", false],
  ["ready", "$(sparkle)", "ready", false],
  ["learning", "$(mortar-board)", "ready, learning in the background", false],
  ["snoozed", "$(bell-slash)", "snoozing: suggests only when asked", false],
  ["paused", "$(debug-pause)", "paused: nothing is suggested, recorded or learned", false],
  ["trouble", "$(warning)", "not working", true],
  ["off", "$(circle-slash)", "off", false],
];

for (const [state, icon, words, warning] of states) {
  test(`${state} is told as "${words}"`, () => {
    const shown = present({ state });
    assert.deepEqual(shown, { text: `${icon} falcon`, tooltip: `falcon-lsp: ${words}`, warning });
  });
}

test("the tooltip has the numbers, the model, and the newest reason", () => {
  const status: Status = {
    state: "ready",
    message: "Recording is paused: the disk is full.",
    model: "smollm2",
    adapter: "ad-7",
    p50Ms: 118.4,
    p95Ms: 402.2,
    acceptance: 0.314,
    reasons: [
      { time: 10, reason: "timed out" },
      { time: 30, reason: "filtered: duplicate of the line below" },
      { time: 20, reason: "quiet" },
    ],
  };
  assert.deepEqual(present(status).tooltip.split("\n"), [
    "falcon-lsp: ready",
    "Recording is paused: the disk is full.",
    "Answers: median 118 ms, 95 % within 402 ms",
    "Taken lately: 31 % of suggestions",
    "Model: smollm2, adapter ad-7",
    "Last time without a suggestion: filtered: duplicate of the line below",
  ]);
});

test("the figures of the week go before those of lately", () => {
  const week = { shown: 63, taken: 25, acceptance: 0.397 };
  const { tooltip } = present({ state: "ready", acceptance: 0.3, week });
  assert.equal(tooltip, "falcon-lsp: ready\nThis week: 40 % of 63 suggestions taken");
});

test("a week without suggestions says nothing", () => {
  const week = { shown: 0, taken: 0, acceptance: null };
  assert.equal(present({ state: "ready", week }).tooltip, "falcon-lsp: ready");
});

test("what is not known is left out", () => {
  const status: Status = { state: "ready", p50Ms: null, acceptance: null, model: "", reasons: [] };
  assert.equal(present(status).tooltip, "falcon-lsp: ready");
});
