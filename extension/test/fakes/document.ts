/** A text document that can be edited, as far as the extension looks at documents. */

import type {
  InlineCompletionItem,
  Position,
  Range,
  TextDocument,
  TextDocumentChangeEvent,
} from "vscode";
import { ACCEPTED } from "../../src/protocol";

export function at(line: number, character: number): Position {
  return { line, character } as Position;
}

export class FakeDocument {
  version = 1;
  eol = 1;
  isClosed = false;
  readonly uri: { scheme: string; toString(): string };

  constructor(
    private text: string,
    uri = "file:///project/a.py",
    readonly languageId = "python",
  ) {
    this.uri = { scheme: uri.split(":")[0] ?? "", toString: () => uri };
  }

  /** As the extension knows it. */
  get document(): TextDocument {
    return this as unknown as TextDocument;
  }

  getText(): string {
    return this.text;
  }

  offsetAt({ line, character }: Position): number {
    const before = this.text.split("\n").slice(0, line);
    return before.reduce((sum, one) => sum + one.length + 1, 0) + character;
  }

  /** Replace a part of the text; returns the event that the editor would send. */
  edit(
    rangeOffset: number,
    rangeLength: number,
    text: string,
    reason?: 1 | 2,
  ): TextDocumentChangeEvent {
    this.text = this.text.slice(0, rangeOffset) + text + this.text.slice(rangeOffset + rangeLength);
    this.version++;
    const change = { rangeOffset, rangeLength, text };
    return {
      document: this,
      contentChanges: [change],
      reason,
    } as unknown as TextDocumentChangeEvent;
  }
}

/** A suggestion as the language client hands it to the editor. */
export function suggestion(
  completionId: string,
  insertText: string,
  place?: Position,
): InlineCompletionItem {
  const range = place && ({ start: place, end: place } as Range);
  return {
    insertText,
    range,
    command: { title: "", command: ACCEPTED, arguments: [completionId] },
  };
}
