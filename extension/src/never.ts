/** "Never suggest this", and the menu of code actions that offers it beside other answers. */

import type { FeedbackTracker } from "./feedback";
import { dismiss } from "./inline";
import { describe } from "./logger";
import type { Requests, Server } from "./protocol";
import {
  activeEditor,
  registerActions,
  registerCommand,
  showError,
  showInfo,
  type Action,
  type Dispose,
} from "./vscodeapi";

const NEVER: Action = { title: "Never suggest this again", command: "falcon.neverSuggest" };
const ALWAYS: readonly Action[] = [
  { title: "Why was there no suggestion?", command: "falcon.whyNoSuggestion" },
  { title: "Forget this file", command: "falcon.forgetFile" },
];

/** Register the command, and the actions in the documents of some languages. */
export function registerNever(
  feedback: FeedbackTracker,
  server: Pick<Server, "request">,
  languages: readonly string[],
): Dispose[] {
  return [
    registerCommand("falcon.neverSuggest", () => never(feedback, server)),
    registerActions(languages, ({ uri }) => [
      ...(feedback.last(uri.toString()) === undefined ? [] : [NEVER]),
      ...ALWAYS,
    ]),
  ];
}

/** Speak of the suggestion that is shown, or else of the last one, also where it was taken. */
async function never(feedback: FeedbackTracker, server: Pick<Server, "request">): Promise<void> {
  const uri = activeEditor()?.document.uri.toString();
  const id = uri === undefined ? undefined : (feedback.shown(uri) ?? feedback.last(uri));
  if (id === undefined) {
    await showInfo("There was no suggestion in this file yet.");
    return;
  }
  try {
    await dismiss(feedback); // the server records a suggestion once it knows what became of it
    const answer: Requests["falcon/never"]["result"] = await server.request("falcon/never", { id });
    await showInfo(answer?.message ?? "It will not be offered again.");
  } catch (error) {
    await showError(describe(error));
  }
}
