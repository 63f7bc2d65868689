"""One suggestion under observation: where it stands, what is known of it, what is only guessed.

The state machine is described in docs/episodes.md. A track never sees a clock: every method that
needs it takes ``now`` in seconds, and ``text``, the document as it is at that time.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from falcon_lsp.core.types import Diagnostic, Outcome, TextEdit
from falcon_lsp.memory import events
from falcon_lsp.memory.agreement import agreement, ends_word, is_keystroke
from falcon_lsp.memory.causes import FINDING_SECONDS, Caused, nearness
from falcon_lsp.memory.events import Event, Place
from falcon_lsp.memory.redact import redact_between
from falcon_lsp.memory.regions import Growth, Region, anchored, belongs, moved

SHOWN_SECONDS = 30.0
"""A suggestion that nobody touched for so long was ignored."""
VISIBLE_SECONDS = 0.3
"""Nobody reads faster: typing something else before that is no verdict."""
UNDO_SECONDS = 60.0
REST_SECONDS = 10.0
LOOKS = (30, 120, 300, 600)
"""Seconds after an accept at which the text that stands is looked at."""
CLOSE_REST_SECONDS = 1.0
"""A document that is closed before the first look is looked at then, unless it is being typed."""
MAX_SETTLED = 8000
REDACTED_WITH = 200
"""Characters on both sides that tell a secret: the name that it is given."""


class Stage(enum.Enum):
    """Where a suggestion is in its life."""

    OFFERED = "offered"
    TAKEN = "taken"
    LEFT = "left"
    """Declined or ignored: what is written in its place instead is still of interest."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guess that waits until ``due`` for a report that knows better."""

    outcome: Outcome
    chars_kept: int
    elapsed_ms: float
    due: float


@dataclass(slots=True, eq=False)
class Track:
    """State of one suggestion. ``text`` has LF line ends; ``region`` is where it is being put.

    ``visible`` stays False for the second and later suggestions of one answer, which the editor
    shows only when asked to: they are never blamed.
    """

    place: Place
    text: str
    offered_at: float
    region: Region
    grace: float
    visible: bool = False
    stage: Stage = Stage.OFFERED
    outcome: Outcome | None = None
    reported: bool = False
    held: Verdict | None = None
    kept: int = 0
    _reach: int = 0
    _took_words: bool = False
    _reported_kept: int = -1
    _active_at: float = 0.0
    _since: float = 0.0
    _looks: list[int] = field(default_factory=lambda: list(LOOKS))
    _earlier: str = ""
    _context: tuple[str, str] = ("", "")
    _landed: str | None = None
    _before: str = ""
    _touched: bool = False
    _inserted: str = ""
    _caused: Caused = field(default_factory=Caused)

    def __post_init__(self) -> None:
        """Start the time that it may go untouched."""
        self._active_at = self.offered_at

    @property
    def just_taken(self) -> bool:
        """Whether the change that is being followed took it."""
        return self.stage is Stage.TAKEN and self._landed is None

    @property
    def live(self) -> bool:
        """Whether edits of its document still matter."""
        return self.stage is not Stage.ENDED or self.held is not None

    def standing(self, text: str) -> str:
        """Return what stands in its place."""
        return text[self.region.start : self.region.end]

    def reopen(self, rest: str, offset: int, text: str, now: float) -> bool:
        """Take up an offer that is shown again, also if it had ended; False if it cannot be.

        ``rest`` is what of it is still ahead of ``offset``. A guess that still waits was
        premature; one that is recorded can only be improved upon.
        """
        if self.stage is Stage.OFFERED:
            return True
        taken = self.stage is Stage.TAKEN and self._last_word is not Outcome.PARTIAL
        start = offset - (len(self.text) - len(rest))
        found = agreement(self.text, text[max(0, start) : offset])
        if taken or start < 0 or found.length != offset - start:
            return False
        self.stage, self.held = Stage.OFFERED, None
        self.region = Region(start, offset)
        self.kept, self._reach, self._active_at = found.kept, found.length, now
        self._looks = list(LOOKS)
        return True

    @property
    def _last_word(self) -> Outcome | None:
        return self.held.outcome if self.held else self.outcome

    def _surroundings(self, text: str) -> tuple[str, str]:
        """Return what stands before and after its place on the same lines."""
        ahead = text[text.rfind("\n", 0, self.region.start) + 1 : self.region.start]
        end = text.find("\n", self.region.end)
        return ahead, text[self.region.end : len(text) if end < 0 else end]

    # One change of the document: begin, follow each edit, finish.

    def begin(self, text: str) -> None:
        """Remember what stands before a change."""
        self._before = self.standing(text)
        if self.stage is Stage.TAKEN and self._landed is None:
            self._landed = self._before
        if self.stage is Stage.OFFERED:
            self._context = self._surroundings(text)
        self._touched, self._inserted = False, ""

    def follow(
        self, edit: TextEdit, removed: str, pieces: Sequence[TextEdit], text: str, now: float
    ) -> None:
        """Move along with one edit; ``text`` is the document after it.

        ``pieces`` are the edit's minimal parts: right for text that stands, while what is still
        offered reads the edit by what it expects at the cursor.
        """
        if self.stage is Stage.OFFERED:
            cursor = self.region.start + self._reach
            pieces = [anchored(edit, removed, cursor, self.text[self.kept :])]
        for piece in pieces:
            if belongs(self.region, piece):
                self._touched |= bool(piece.new_text) or piece.start < self.region.end
                self._inserted += piece.new_text
            self.region = moved(self.region, piece)
        if self.stage is Stage.OFFERED:
            found = agreement(self.text, self.standing(text))
            if found.complete:
                at_once = not is_keystroke(self._inserted)
                self._take(found.kept, found.length, now)
                typed = Outcome.PARTIAL if self._took_words else Outcome.TYPED_THROUGH
                what = Outcome.ACCEPTED if at_once else typed
                self._guess(what, found.kept, now, now + self.grace)

    def finish(self, text: str, now: float, *, changed: bool) -> list[Event]:
        """Judge the change as a whole; ``changed`` says whether the document is different."""
        standing = self.standing(text)
        if self.stage is Stage.OFFERED:
            self._judge(standing, now, changed=changed)
        elif self.stage is Stage.TAKEN and not self.just_taken and standing != self._before:
            self._active_at = now
            if self._undone(text, now):
                return self._undo(now)
        elif self.stage is Stage.LEFT and standing != self._before:
            self._active_at = now
        return []

    def _judge(self, standing: str, now: float, *, changed: bool) -> None:
        found = agreement(self.text, standing)
        if not self._touched:
            if changed and not self._awaits_text:
                self.leave(Outcome.IGNORED, now, now + self.grace)
        elif self._awaits_text:
            self._take(found.kept, len(standing), now)
        elif found.agrees:
            at_once = not is_keystroke(self._inserted)
            self._took_words |= at_once and ends_word(self.text, self.kept, found.kept)
            self.kept, self._reach, self._active_at = found.kept, found.length, now
        else:
            self.kept, self._reach = found.kept, found.length
            self.leave(self._blame(now), now, now + self.grace)

    @property
    def _awaits_text(self) -> bool:
        """Whether its acceptance was reported before the change that carries it."""
        return self.outcome in (Outcome.ACCEPTED, Outcome.TYPED_THROUGH)

    def _blame(self, now: float) -> Outcome:
        if not self._inserted:
            return Outcome.IGNORED
        seen = self.visible and now - self.offered_at >= VISIBLE_SECONDS
        return Outcome.REJECTED if seen else Outcome.SUPERSEDED

    def leave(self, outcome: Outcome, now: float, due: float) -> None:
        """End the offer; what was taken of it by then makes it partial instead."""
        if self._took_words and self.kept:
            self._take(self.kept, self._reach, now)
            self._guess(Outcome.PARTIAL, self.kept, now, due)
            return
        outcome = outcome if self.visible else Outcome.SUPERSEDED
        self._let_go(outcome, now)
        self._guess(outcome, 0, now, due)

    def _let_go(self, outcome: Outcome, now: float) -> None:
        """Stop offering it; after a verdict, look once at what is written instead."""
        self.stage = Stage.ENDED
        if outcome in (Outcome.REJECTED, Outcome.IGNORED):
            self.stage, self._looks = Stage.LEFT, [LOOKS[0]]
            self._since = self._active_at = now

    def _take(self, kept: int, length: int, now: float) -> None:
        start = self.region.start
        self.region = Region(start, start + length, Growth.NONE)
        self.stage = Stage.TAKEN
        self.kept = kept
        self._earlier, self._landed = self._before, None
        self._since = self._active_at = now

    def _undone(self, text: str, now: float) -> bool:
        return (
            self._last_word is Outcome.ACCEPTED
            and now - self._since <= UNDO_SECONDS
            and self._before == self._landed
            and self._earlier.startswith(self.standing(text))
            and self._context == self._surroundings(text)
        )

    def _undo(self, now: float) -> list[Event]:
        recorded = [self._record(self.held)] if self.held else []
        self.stage = Stage.ENDED
        return [*recorded, self._record(Verdict(Outcome.UNDONE, 0, self._elapsed(now), now))]

    # What is said about it.

    def _guess(self, outcome: Outcome, chars_kept: int, now: float, due: float) -> None:
        said_enough = self.outcome is not None and not outcome.positive
        if not self.reported and not said_enough:
            self.held = Verdict(outcome, chars_kept, self._elapsed(now), due)

    def _record(self, verdict: Verdict, event_id: str | None = None) -> Event:
        """Make an event of a verdict; one without ``event_id`` is a guess."""
        self.held = None
        self.outcome = verdict.outcome
        return events.outcome(
            self.place,
            verdict.outcome,
            chars_kept=verdict.chars_kept,
            elapsed_ms=verdict.elapsed_ms,
            inferred=event_id is None,
            event_id=event_id or "",
        )

    def _elapsed(self, now: float) -> float:
        return round(max(0.0, now - self.offered_at) * 1000, 3)

    def report(
        self, outcome: Outcome, chars_kept: int | None, now: float, event_id: str
    ) -> list[Event]:
        """Take over what the client says; a guess about the same is replaced by it."""
        kept = self._count(outcome, chars_kept)
        if not self._is_news(outcome, kept):
            return []
        if outcome.positive:
            self._revive(now)
        elif self.stage is not Stage.LEFT or outcome is not Outcome.REJECTED:
            self._let_go(outcome, now)
        self._took_words |= outcome is Outcome.PARTIAL
        self.reported, self._reported_kept = True, kept
        return [self._record(Verdict(outcome, kept, self._elapsed(now), now), event_id)]

    def _count(self, outcome: Outcome, chars_kept: int | None) -> int:
        if not outcome.positive:
            return 0
        whole = outcome is not Outcome.PARTIAL
        kept = chars_kept or (len(self.text) if whole else self.kept)
        return min(max(0, kept), len(self.text))

    def _is_news(self, outcome: Outcome, kept: int) -> bool:
        if outcome is Outcome.SHOWN:
            return False
        if self.stage is Stage.OFFERED and not self.reported:
            return True
        if self.outcome is Outcome.UNDONE:
            return False
        if outcome is self.outcome:
            return outcome is Outcome.PARTIAL and self.reported and kept != self._reported_kept
        if self.reported and self.outcome is not None and self.outcome.positive:
            grows = outcome.positive and self.outcome is Outcome.PARTIAL
            return grows or outcome is Outcome.UNDONE
        return True

    def _revive(self, now: float) -> None:
        """Follow the text of an offer that was held for declined: an editor may reshape it."""
        if self.held is not None and self.stage in (Stage.LEFT, Stage.ENDED):
            self._take(self.kept, self.region.end - self.region.start, now)

    # What time brings.

    def due(self) -> float | None:
        """Return when `collect` next has something to say, None when never."""
        times = [self.held.due] if self.held else []
        if self.stage is Stage.OFFERED:
            times.append(self._active_at + SHOWN_SECONDS)
        elif self.stage is not Stage.ENDED and self._looks:
            times.append(self._look_due())
        return min(times, default=None)

    def collect(self, text: str, now: float) -> list[Event]:
        """Return what has become certain by ``now``."""
        expiry = self._active_at + SHOWN_SECONDS
        if self.stage is Stage.OFFERED and expiry <= now:
            self.leave(Outcome.IGNORED, expiry, now)
        found: list[Event] = []
        if self.held is not None and self.held.due <= now:
            found.append(self._record(self.held))
        while self._watched and self._look_due() <= now:
            found += self._settle(text, self._looks.pop(0))
            if not self._looks:
                self.stage = Stage.ENDED
        return found

    def close(self, text: str, now: float) -> list[Event]:
        """Say what is known and stop watching."""
        if self.stage is Stage.OFFERED:
            self.leave(Outcome.IGNORED, now, now)
        found = self.collect(text, now)
        if self.held is not None:
            found.append(self._record(self.held))
        rested = now - self._active_at >= CLOSE_REST_SECONDS
        if self._watched and self._first_look and rested:
            found += self._settle(text, round(now - self._since))
        self.stage = Stage.ENDED
        return found

    @property
    def _watched(self) -> bool:
        """Whether the text that comes to stand in its place is of interest."""
        return self.stage in (Stage.TAKEN, Stage.LEFT)

    @property
    def _first_look(self) -> bool:
        """Whether nobody has looked at that text yet."""
        return self._looks[0] == LOOKS[0]

    def _look_due(self) -> float:
        due = self._since + self._looks[0]
        return max(due, self._active_at + REST_SECONDS) if self._first_look else due

    def _settle(self, text: str, after_s: int) -> list[Event]:
        """Say what stands there; of something else, as many lines as were suggested, if any."""
        taken = self.stage is Stage.TAKEN
        ahead, behind = self._surroundings(text)
        standing = self.standing(text)[:MAX_SETTLED]
        standing = redact_between(ahead[-REDACTED_WITH:], standing, behind[:REDACTED_WITH])
        standing = standing.replace("\r\n", "\n").replace("\r", "\n")
        if not taken:
            standing = "\n".join(standing.split("\n")[: self.text.count("\n") + 1])
        return [events.settled(self.place, after_s, standing)] if taken or standing.strip() else []

    # Findings.

    def claim(self, text: str, line: int, now: float) -> tuple[int, float]:
        """Return how near a finding on ``line`` is to what was taken, and when that was."""
        if self.stage is not Stage.TAKEN or now - self._since > FINDING_SECONDS:
            return (0, 0.0)
        return (nearness(self.region, text, line), self._since)

    def attribute(self, added: Sequence[Diagnostic], removed: Sequence[Diagnostic]) -> list[Event]:
        """Count findings as its doing and return the sum so far, if that is another one."""
        if not self._caused.take(added, removed):
            return []
        return [events.diagnostics(self.place, self._caused.added, self._caused.removed)]
