/** Where the cursor comes to rest, told to the server: the protocol only knows of edits. */

import type { Position } from "vscode";
import type { Server } from "./protocol";
import { activeEditor, onCursorMoved, type Dispose } from "./vscodeapi";

/** A cursor that stays for so many milliseconds is at rest. */
const REST_MS = 100;
const SCHEMES = ["file", "untitled"];

/** Tells the server each place once, so that it can prepare for a request there. */
export class CursorReporter {
  private told = "";
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly server: Server,
    private readonly languages: () => readonly string[],
  ) {}

  register(): Dispose[] {
    return [onCursorMoved(() => this.look()), { dispose: () => clearTimeout(this.timer) }];
  }

  /** Tell a server that has just been started. */
  tellAgain(): void {
    this.told = "";
    this.look();
  }

  private look(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tell(), REST_MS);
  }

  private tell(): void {
    const editor = activeEditor();
    if (editor === undefined) {
      return;
    }
    const { languageId, uri } = editor.document;
    const { line, character }: Position = editor.selection.active;
    const place = { uri: uri.toString(), position: { line, character } };
    const concerns = SCHEMES.includes(uri.scheme) && this.languages().includes(languageId);
    if (concerns && JSON.stringify(place) !== this.told) {
      this.told = JSON.stringify(place);
      this.server.notify("falcon/cursor", place);
    }
  }
}
