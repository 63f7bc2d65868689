/**
 * What becomes of suggestions, as far as the editor tells.
 *
 * A taken suggestion is reported by its own command; the stable API says nothing of a dismissed or
 * partly taken one, which is why the keys for those are ours. The server infers the rest from edits.
 */

import { randomUUID } from "node:crypto";
import type {
  EndOfLine,
  InlineCompletionItem,
  Position,
  TextDocument,
  TextDocumentChangeEvent,
  TextDocumentChangeReason,
} from "vscode";
import { describe, log } from "./logger";
import { ACCEPTED, type Feedback, type Outcome, type Server } from "./protocol";

const UNDO: TextDocumentChangeReason.Undo = 1;
const CRLF: EndOfLine.CRLF = 2;

/** A suggestion that the editor got; offsets count UTF-16 units of the document. */
interface Offer {
  readonly completionId: string;
  readonly text: string;
  readonly start: number;
  readonly offeredAt: number;
  /** Characters taken so far, piece by piece. */
  kept: number;
  /** Where the caret stands after the last piece. */
  caret: number;
}

/** A suggestion that was taken, and where its text stands. */
interface Taken {
  readonly completionId: string;
  readonly offeredAt: number;
  start: number;
  end: number;
}

/** Follows the suggestions of each document and reports what becomes of them. */
export class FeedbackTracker {
  private readonly offers = new Map<string, Offer[]>();
  private readonly taken = new Map<string, Taken>();

  constructor(
    private readonly server: Server,
    private readonly now: () => number = Date.now,
  ) {}

  /** The editor got `items` as its newest answer for a place. */
  offered(
    document: TextDocument,
    position: Position,
    items: readonly InlineCompletionItem[],
  ): void {
    const uri = document.uri.toString();
    const [current] = this.offers.get(uri) ?? [];
    // While a suggestion is being taken piece by piece, the editor keeps showing what is left of it.
    if (
      current !== undefined &&
      current.kept > 0 &&
      document.offsetAt(position) === current.caret
    ) {
      return;
    }
    this.offers.set(
      uri,
      items.flatMap((item) => this.offer(document, position, item) ?? []),
    );
  }

  /** A suggestion was taken whole; its command has told the server. */
  accepted(completionId: string): void {
    for (const [uri, offers] of this.offers) {
      const offer = offers.find((one) => one.completionId === completionId);
      if (offer !== undefined) {
        this.offers.delete(uri);
        const { start, offeredAt } = offer;
        this.taken.set(uri, { completionId, offeredAt, start, end: start + offer.text.length });
      }
    }
  }

  /** The first `piece` of what is left of the suggestion was taken; the caret is behind it. */
  partlyTaken(uri: string, piece: string, caret: number): void {
    const [offer] = this.offers.get(uri) ?? [];
    if (offer !== undefined && piece !== "") {
      offer.kept += [...piece].length;
      offer.caret = caret;
      this.report(offer, "partial", offer.kept);
    }
  }

  /** The visible suggestion was dismissed; one of which a part was taken is no rejected one. */
  dismissed(uri: string): void {
    // Of several, the editor shows the first until the user asks for another, which it does not tell.
    const [offer] = this.offers.get(uri) ?? [];
    this.offers.delete(uri);
    if (offer !== undefined && offer.kept === 0) {
      this.report(offer, "rejected", 0);
    }
  }

  /** A document changed: an undo may take back what was accepted last. */
  changed({ document, contentChanges, reason }: TextDocumentChangeEvent): void {
    const uri = document.uri.toString();
    const taken = this.taken.get(uri);
    if (taken === undefined) {
      return;
    }
    for (const { rangeOffset, rangeLength, text } of contentChanges) {
      if (rangeOffset + rangeLength <= taken.start) {
        taken.start += text.length - rangeLength;
        taken.end += text.length - rangeLength;
      } else if (rangeOffset < taken.end) {
        this.taken.delete(uri);
        if (reason === UNDO) {
          this.report(taken, "undone", 0);
        }
        return;
      }
    }
  }

  closed(uri: string): void {
    this.offers.delete(uri);
    this.taken.delete(uri);
  }

  private offer(
    document: TextDocument,
    position: Position,
    { insertText, range, command }: InlineCompletionItem,
  ): Offer | undefined {
    const completionId: unknown = command?.arguments?.[0];
    if (command?.command !== ACCEPTED || typeof completionId !== "string") {
      return undefined;
    }
    const plain = typeof insertText === "string" ? insertText : insertText.value;
    return {
      completionId,
      text: document.eol === CRLF ? plain.replace(/\r?\n/g, "\r\n") : plain,
      start: document.offsetAt(range?.start ?? position),
      offeredAt: this.now(),
      kept: 0,
      caret: -1,
    };
  }

  private report(of: Offer | Taken, outcome: Outcome, charsKept: number): void {
    const message: Feedback = {
      eventId: `evt-${randomUUID()}`,
      completionId: of.completionId,
      outcome,
      charsKept,
      elapsedMs: this.now() - of.offeredAt,
    };
    this.server.request("falcon/feedback", message).then(
      ({ recorded }) => log().debug(`${outcome} ${of.completionId}: recorded=${recorded}`),
      (error: unknown) => log().warn(`${outcome} ${of.completionId}: ${describe(error)}`),
    );
  }
}
