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
  /** Characters of the whole suggestion, also where `text` is what is left of it. */
  readonly length: number;
  /** Of these, the characters that stand: typed by the user, or taken piece by piece. */
  kept: number;
  /** Where the caret stands after the last piece that was taken. */
  caret?: number;
  /** The user has asked for it among several: the editor goes on showing it. */
  chosen?: boolean;
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
  /** The last suggestion of each document, whatever became of it. */
  private readonly latest = new Map<string, string>();

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
    const before = this.offers.get(uri) ?? [];
    const now = items.flatMap((item) => this.offer(document, position, item, before) ?? []);
    // While a suggestion is being taken piece by piece, the editor goes on showing what is left of
    // it, unless the new answer is the same text: then it counts as that of the new answer.
    const caret = document.offsetAt(position);
    const shown = before.slice(0, 1).filter((offer) => offer.caret === caret);
    const chosen = now.filter(({ chosen }) => chosen);
    const first = [...shown, ...chosen];
    const ids = first.map(({ completionId }) => completionId);
    this.keep(uri, [...first, ...now.filter(({ completionId }) => !ids.includes(completionId))]);
  }

  /**
   * The editor went to the next of several suggestions (`step` 1) or to the one before (-1).
   *
   * `from` is what it showed; asked for another, it may just have got a longer list.
   */
  moved(uri: string, from: string | undefined, step: 1 | -1): void {
    const offers = this.offers.get(uri) ?? [];
    const count = offers.length;
    if (count > 0) {
      const at = Math.max(0, offers.findIndex(({ completionId }) => completionId === from));
      const to = (at + step + count) % count;
      offers.forEach((offer, n) => (offer.chosen = n === to));
      this.keep(uri, [...offers.slice(to), ...offers.slice(0, to)]);
    }
  }

  /** The suggestion that the editor shows in a document, as far as is known. */
  shown(uri: string): string | undefined {
    return this.offers.get(uri)?.[0]?.completionId;
  }

  /** The last suggestion of a document, shown or not any more. */
  last(uri: string): string | undefined {
    return this.latest.get(uri);
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
      offer.kept += characters(piece);
      offer.caret = caret;
      void this.report(offer, "partial", offer.kept);
    }
  }

  /**
   * The visible suggestion was dismissed; one of which a part was taken is no rejected one.
   *
   * Resolves when the server has taken note.
   */
  async dismissed(uri: string): Promise<void> {
    const [offer] = this.offers.get(uri) ?? [];
    this.offers.delete(uri);
    if (offer !== undefined && offer.caret === undefined) {
      await this.report(offer, "rejected", offer.kept);
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
          const standing = document
            .getText()
            .slice(taken.start, Math.max(taken.start, rangeOffset));
          void this.report(taken, "undone", characters(standing));
        }
        return;
      }
    }
  }

  closed(uri: string): void {
    this.offers.delete(uri);
    this.taken.delete(uri);
    this.latest.delete(uri);
  }

  private keep(uri: string, offers: Offer[]): void {
    this.offers.set(uri, offers);
    const [shown] = offers;
    if (shown !== undefined) {
      this.latest.set(uri, shown.completionId);
    }
  }

  private offer(
    document: TextDocument,
    position: Position,
    { insertText, range, command }: InlineCompletionItem,
    before: readonly Offer[],
  ): Offer | undefined {
    const completionId: unknown = command?.arguments?.[0];
    if (command?.command !== ACCEPTED || typeof completionId !== "string") {
      return undefined;
    }
    const whole = typeof insertText === "string" ? insertText : insertText.value;
    // Beside the suggest widget, a suggestion begins with what is typed of the widget's entry.
    const start = document.offsetAt(position);
    const plain = whole.slice(start - document.offsetAt(range?.start ?? position));
    // Typed into, a suggestion is offered again under its id, shorter by what was typed.
    const earlier = before.find((one) => one.completionId === completionId);
    const length = earlier?.length ?? characters(plain);
    return {
      completionId,
      text: document.eol === CRLF ? plain.replace(/\r?\n/g, "\r\n") : plain,
      start,
      offeredAt: earlier?.offeredAt ?? this.now(),
      length,
      kept: Math.max(0, length - characters(plain)),
      chosen: earlier?.chosen ?? false,
    };
  }

  private async report(of: Offer | Taken, outcome: Outcome, charsKept: number): Promise<void> {
    const message: Feedback = {
      eventId: `evt-${randomUUID()}`,
      completionId: of.completionId,
      outcome,
      charsKept,
      elapsedMs: this.now() - of.offeredAt,
    };
    try {
      const { recorded } = await this.server.request("falcon/feedback", message);
      log().debug(`${outcome} ${of.completionId}: recorded=${recorded}`);
    } catch (error) {
      log().warn(`${outcome} ${of.completionId}: ${describe(error)}`);
    }
  }
}

/** The number of characters as the server counts them: code points, a line end being one. */
function characters(text: string): number {
  return [...text.replaceAll("\r\n", "\n")].length;
}
