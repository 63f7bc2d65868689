/**
 * The keys that work on visible ghost text, on VS Code's stable API alone.
 *
 * Their when-clauses ask for `inlineSuggestionVisible`, so that a key press also proves that the
 * suggestion was seen, and for `falcon.offering`, so that ghost text of others keeps its own keys.
 */

import type {
  CancellationToken,
  InlineCompletionContext,
  InlineCompletionItem,
  InlineCompletionList,
  Position,
  ProviderResult,
  TextDocument,
} from "vscode";
import type { FeedbackTracker } from "./feedback";
import {
  activeEditor,
  executeCommand,
  registerCommand,
  setContext,
  type Dispose,
} from "./vscodeapi";

type Answer = InlineCompletionItem[] | InlineCompletionList;
type Next = (
  document: TextDocument,
  position: Position,
  context: InlineCompletionContext,
  token: CancellationToken,
) => ProviderResult<Answer>;

/** The context key that says whether the last answer of ours held a suggestion. */
export const OFFERING = "falcon.offering";

/** Watch the answers on their way to the editor. */
export function watchAnswers(feedback: FeedbackTracker) {
  return async (
    document: TextDocument,
    position: Position,
    context: InlineCompletionContext,
    token: CancellationToken,
    next: Next,
  ): Promise<Answer | null | undefined> => {
    // What is typed now replaces the selection: a suggestion behind it would mislead.
    const answer = isSelecting(document, position) ? [] : await next(document, position, context, token);
    if (!token.isCancellationRequested) {
      const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
      feedback.offered(document, position, items);
      setContext(OFFERING, items.length > 0);
    }
    return answer;
  };
}

/** Register the commands behind the keys. */
export function registerKeys(feedback: FeedbackTracker): Dispose[] {
  return [
    registerCommand("falcon.dismiss", () => dismiss(feedback)),
    registerCommand("falcon.acceptWord", () =>
      takePiece(feedback, "editor.action.inlineSuggest.acceptNextWord"),
    ),
    registerCommand("falcon.acceptLine", () =>
      takePiece(feedback, "editor.action.inlineSuggest.acceptNextLine"),
    ),
    registerCommand("falcon.nextSuggestion", () =>
      move(feedback, "editor.action.inlineSuggest.showNext", 1),
    ),
    registerCommand("falcon.previousSuggestion", () =>
      move(feedback, "editor.action.inlineSuggest.showPrevious", -1),
    ),
    registerCommand("falcon.suggest", () => executeCommand("editor.action.inlineSuggest.trigger")),
  ];
}

/** Whether the place of a request is the moving end of a selection; we may know one that is gone. */
function isSelecting({ uri }: TextDocument, { line, character }: Position): boolean {
  const editor = activeEditor();
  const here = editor?.document.uri.toString() === uri.toString();
  return (
    here &&
    editor.selections.some(
      ({ isEmpty, active }) => !isEmpty && active.line === line && active.character === character,
    )
  );
}

/** Hide the suggestion; resolves when the server knows that it was not wanted. */
export async function dismiss(feedback: FeedbackTracker): Promise<void> {
  const uri = activeEditor()?.document.uri.toString();
  await executeCommand("editor.action.inlineSuggest.hide");
  if (uri !== undefined) {
    await feedback.dismissed(uri);
  }
}

/** Let the editor show another of several suggestions, which it may first have to ask for. */
async function move(feedback: FeedbackTracker, command: string, step: 1 | -1): Promise<void> {
  const uri = activeEditor()?.document.uri.toString();
  const from = uri === undefined ? undefined : feedback.shown(uri);
  await executeCommand(command);
  if (uri !== undefined) {
    feedback.moved(uri, from, step);
  }
}

/** Let the editor take a piece, and see from the document what it was. */
async function takePiece(feedback: FeedbackTracker, command: string): Promise<void> {
  const editor = activeEditor();
  if (editor === undefined) {
    return;
  }
  const { document } = editor;
  const caret = document.offsetAt(editor.selection.active);
  const length = document.getText().length;
  await executeCommand(command);
  const text = document.getText();
  const end = caret + text.length - length;
  feedback.partlyTaken(document.uri.toString(), text.slice(caret, end), end);
}
