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

/** Suggestions of the last seven days; `acceptance` is the share that was taken, 0 to 1. */
export interface Week {
  readonly shown?: number;
  readonly taken?: number;
  readonly acceptance?: number | null;
  readonly keptChars?: number;
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
  /** What became of the suggestions of the last seven days. */
  readonly week?: Week | null;
  readonly reasons?: readonly Reason[];
  readonly memory?: Readonly<Record<string, unknown>>;
  readonly training?: Readonly<Record<string, unknown>>;
}

/** A text that was declined and is not offered again; times in seconds since the epoch. */
export interface Rejection {
  readonly id: string;
  readonly path: string;
  readonly text: string;
  readonly time: number;
  readonly until: number;
  readonly blocks: boolean;
  readonly never: boolean;
}

/** What is to be forgotten: one episode, one document, or one file as the report names it. */
export type Forgotten =
  | { readonly completionId: string }
  | { readonly uri: string }
  | { readonly workspace: string; readonly path: string };

/** One sentence for the user. */
interface Told {
  readonly message?: string;
}

/** Requests to the server: parameters and answers by method. */
export interface Requests {
  "falcon/feedback": { params: Feedback; result: { recorded: boolean } };
  "falcon/status": { params: object; result: Status };
  "falcon/pause": { params: { paused: boolean }; result: unknown };
  "falcon/snooze": { params: { minutes: number }; result: unknown };
  "falcon/trainNow": { params: object; result: Told | null };
  "falcon/forget": { params: Forgotten; result: Told | null };
  /** To the version before the one in use, or to `id`. */
  "falcon/rollback": { params: { id?: string }; result: Told | null };
  "falcon/rejections": { params: object; result: { rejections: readonly Rejection[] } };
  "falcon/forgive": { params: { id: string }; result: Told | null };
  /** Never offer a recorded suggestion again. */
  "falcon/never": { params: { id: string }; result: Told | null };
  /** The learning report: content and style, or a `whole` page. */
  "falcon/report": {
    params: { search?: string; whole?: boolean };
    result: { html: string; style: string };
  };
  /** The next events behind `after`, one JSON text each; `next` is null after the last. */
  "falcon/export": {
    params: { after: number };
    result: { lines: readonly string[]; next: number | null };
  };
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
