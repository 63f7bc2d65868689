/** The status bar: one glance for the state, one hover for the numbers. */

import type { StatusBarItem } from "vscode";
import type { State, Status } from "./protocol";
import { createStatusBarItem, warningBackground } from "./vscodeapi";

const LOOKS: Readonly<Record<State, { icon: string; words: string }>> = {
  loading: { icon: "$(loading~spin)", words: "getting ready" },
  ready: { icon: "$(sparkle)", words: "ready" },
  learning: { icon: "$(mortar-board)", words: "ready, learning in the background" },
  paused: { icon: "$(debug-pause)", words: "paused: nothing is suggested, recorded or learned" },
  snoozed: { icon: "$(bell-slash)", words: "snoozing: suggests only when asked" },
  trouble: { icon: "$(warning)", words: "not working" },
  off: { icon: "$(circle-slash)", words: "off" },
};

/** What the status bar shows. */
export interface Presentation {
  readonly text: string;
  readonly tooltip: string;
  readonly warning: boolean;
}

/** Put a status into words. */
export function present(status: Status): Presentation {
  const { icon, words } = LOOKS[status.state];
  const lines = [
    `falcon-lsp: ${words}`,
    status.message ?? "",
    snooze(status),
    latency(status),
    taken(status),
    model(status),
    lastReason(status),
  ];
  return {
    text: `${icon} falcon`,
    tooltip: lines.filter((line) => line !== "").join("\n"),
    warning: status.state === "trouble",
  };
}

function snooze({ snoozedUntil }: Status): string {
  return typeof snoozedUntil === "number"
    ? `Until ${new Date(snoozedUntil * 1000).toLocaleTimeString()}`
    : "";
}

function latency({ p50Ms, p95Ms }: Status): string {
  if (typeof p50Ms !== "number") {
    return "";
  }
  const slow = typeof p95Ms === "number" ? `, 95 % within ${Math.round(p95Ms)} ms` : "";
  return `Answers: median ${Math.round(p50Ms)} ms${slow}`;
}

function taken({ week, acceptance }: Status): string {
  const share = week?.acceptance;
  if (typeof share === "number") {
    return `This week: ${percent(share)} of ${week?.shown ?? 0} suggestions taken`;
  }
  return typeof acceptance === "number" ? `Taken lately: ${percent(acceptance)} of suggestions` : "";
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function model({ model, adapter }: Status): string {
  if (!model) {
    return "";
  }
  return adapter ? `Model: ${model}, adapter ${adapter}` : `Model: ${model}`;
}

function lastReason({ reasons }: Status): string {
  const last = newestFirst(reasons ?? [])[0];
  return last === undefined ? "" : `Last time without a suggestion: ${last.reason}`;
}

/** Reasons in the order in which a person wants them. */
export function newestFirst<T extends { readonly time: number }>(reasons: readonly T[]): T[] {
  return [...reasons].sort((one, other) => other.time - one.time);
}

/** Shows the latest status, and remembers it. */
export class StatusBar {
  private readonly item: StatusBarItem;
  private latest: Status = { state: "loading" };

  constructor(command: string) {
    this.item = createStatusBarItem("falcon.status", "falcon-lsp");
    this.item.command = command;
  }

  get status(): Status {
    return this.latest;
  }

  show(status: Status): void {
    this.latest = status;
    const { text, tooltip, warning } = present(status);
    this.item.text = text;
    this.item.tooltip = tooltip;
    this.item.accessibilityInformation = { label: tooltip.split("\n")[0] ?? "" };
    this.item.backgroundColor = warning ? warningBackground() : undefined;
    this.item.show();
  }

  dispose(): void {
    this.item.dispose();
  }
}
