/**
 * The messages that the extension and the server exchange beyond LSP, with their types.
 *
 * One id, `completionId`, ties a suggestion to everything that is said about it later.
 */

/** Run by the editor when a suggestion is taken; the server advertises and records it. */
export const ACCEPTED = "falcon.accepted";

/** Sent by the server whenever its status changes, once it has been asked for it. */
export const STATUS_CHANGED = "falcon/statusChanged";

/** Values of `source` that mark diagnostics of our own. */
export const OWN_SOURCES: readonly string[] = ["falcon", "falcon-lsp"];

export type Outcome = "accepted" | "partial" | "rejected" | "undone";

/** What became of a suggestion; `eventId` makes recording idempotent. */
export interface Feedback {
  readonly eventId: string;
  readonly completionId: string;
  readonly outcome: Outcome;
  /** Characters (code points) of the suggestion that stand; all of them when absent. */
  readonly charsKept?: number;
  /** Milliseconds between offering it and this outcome. */
  readonly elapsedMs?: number;
}

/** One finding of another language server or linter; `line` counts from 0, `severity` is LSP's. */
export interface Finding {
  readonly line: number;
  readonly severity: number;
  readonly message: string;
  readonly code?: string;
  readonly source?: string;
}

export interface Findings {
  readonly uri: string;
  readonly version: number;
  readonly diagnostics: readonly Finding[];
}

export type State = "loading" | "ready" | "learning" | "paused" | "snoozed" | "trouble" | "off";

/** Why nothing was shown, `times` in a row; `time` is in seconds since the epoch. */
export interface Reason {
  readonly time: number;
  readonly reason: string;
  /** Figures about it. */
  readonly detail?: string;
  readonly language?: string;
  readonly times?: number;
  /** One sentence that says what to do. */
  readonly advice?: string;
}

/** How things stand; all that is not known is absent or null. */
export interface Status {
  readonly state: State;
  readonly message?: string | null;
  readonly model?: string | null;
  readonly adapter?: string | null;
  readonly p50Ms?: number | null;
  readonly p95Ms?: number | null;
  /** Until when nothing is suggested by itself, in seconds since the epoch. */
  readonly snoozedUntil?: number | null;
  /** Share of suggestions that were taken lately, 0 to 1. */
  readonly acceptance?: number | null;
  readonly reasons?: readonly Reason[];
  readonly memory?: Readonly<Record<string, unknown>>;
  readonly training?: Readonly<Record<string, unknown>>;
}

/** Requests to the server: parameters and answers by method. */
export interface Requests {
  "falcon/feedback": { params: Feedback; result: { recorded: boolean } };
  "falcon/status": { params: object; result: Status };
  "falcon/pause": { params: { paused: boolean }; result: unknown };
  "falcon/snooze": { params: { minutes: number }; result: unknown };
  "falcon/trainNow": { params: object; result: { message?: string } | null };
  "falcon/forget": { params: { uri: string }; result: { message?: string } | null };
  "falcon/rollback": { params: object; result: { message?: string } | null };
}

/** A place in a document, counted as LSP does. */
export interface Place {
  readonly uri: string;
  readonly position: { readonly line: number; readonly character: number };
}

/** Notifications to the server: parameters by method. */
export interface Notifications {
  "falcon/diagnostics": Findings;
  "falcon/cursor": Place;
  "workspace/didChangeConfiguration": { settings: unknown };
}

/** The server as the rest of the extension sees it. */
export interface Server {
  /** Rejects when the server is not running or answers with an error. */
  request<M extends keyof Requests>(
    method: M,
    params: Requests[M]["params"],
  ): Promise<Requests[M]["result"]>;
  /** Is dropped when the server is not running. */
  notify<M extends keyof Notifications>(method: M, params: Notifications[M]): void;
}
