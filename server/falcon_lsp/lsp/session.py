"""One connection: its settings, its documents, and what becomes of what it was offered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from falcon_lsp.completion.answer import Answer
from falcon_lsp.completion.latency import LatencyLog
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import Config, at_folder, from_client_options
from falcon_lsp.core.text import Position, TextSnapshot
from falcon_lsp.core.types import CompletionRequest, Diagnostic, Outcome, TextEdit
from falcon_lsp.lsp import convert
from falcon_lsp.lsp.anticipation import Anticipation
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.beside import going_on
from falcon_lsp.lsp.documents import DocumentStore
from falcon_lsp.lsp.generations import Generations
from falcon_lsp.memory.diagnostics import compile_check, difference, follow
from falcon_lsp.memory.drafts import Drafts
from falcon_lsp.memory.events import Event, Place, held
from falcon_lsp.memory.observer import EpisodeObserver
from falcon_lsp.memory.policy import Standing

logger = logging.getLogger(__name__)

COMPILE_CHECK_DELAY = 0.4
"""Seconds without an edit before Python is compiled again."""

SWAP_AFTER_QUIET = 2.0
"""Seconds without an edit before another adapter may be swapped in."""

MAX_REPORTED = 256
"""Reports that are known again when a client that got no answer repeats them."""

OWN, FORWARDED = "falcon", "editor"


class Session:
    """Joins documents, observer, completion service and recorder for one client.

    Every method runs on the event loop; what blocks is sent to the application's threads.
    """

    def __init__(self, app: Application, documents: DocumentStore) -> None:
        self.app = app
        self.documents = documents
        self.initial = Config()
        self.folders: list[str] = []
        app.served.windows.append(self)
        self.folder_configs: dict[str, Config] = {}
        self.problems: list[str] = []
        self.untold: list[str] = []
        self.observer = EpisodeObserver()
        self.drafts = Drafts()
        self.latency = LatencyLog()
        self.last_edit = time.monotonic()
        self.completion = CompletionService(
            engine=lambda: app.host.engine,
            memory=app,
            short_term=app.short_term,
            config=lambda: app.config,
            open_documents=self._open_documents,
            shares=lambda workspace, path: self._standing(workspace, path).record,
            believed=app.believed,
        )
        self.generations = Generations(app.host, self.completion)
        self.anticipation = Anticipation(app.host, self.completion)
        self._reported: deque[str] = deque(maxlen=MAX_REPORTED)
        self._findings: dict[tuple[str, str], tuple[Diagnostic, ...]] = {}
        self._checks: dict[str, asyncio.TimerHandle] = {}

    def configure(self, raw: object, base: Config) -> Config:
        """Read the client's settings over ``base``; what was wrong is to be told once."""
        config, self.problems = from_client_options(raw, base)
        self.untold += self.problems
        return config

    def configure_folders(self, raw: Mapping[str, object], base: Config) -> None:
        """Take over what folders' own settings decide, by URI, over the common ones."""
        self.folder_configs = {
            folder: at_folder(base, from_client_options(settings, base)[0])
            for folder, settings in raw.items()
        }

    async def complete(
        self, uri: str, position: Position, *, invoked: bool, rest: str = ""
    ) -> Answer:
        """Answer one request of the editor; one that goes on where another is joins it.

        What does not begin with ``rest`` is neither answered nor taken for offered.
        """
        request = self._request(uri, position, invoked=invoked)
        if isinstance(request, str):
            self._note(uri, answer := Answer.nothing(request))
            return answer
        started = time.perf_counter()
        try:
            answer = self.completion.answer_fast(request) or await self._ask_engine(request)
        except asyncio.CancelledError:
            self._note(uri, Answer.nothing("cancelled"))
            raise
        answer = going_on(answer, rest)
        self._note(uri, answer, (time.perf_counter() - started) * 1000)
        self._offer(request, answer)
        self.rests(uri, position)
        return answer

    def rests(self, uri: str, where: Position | int) -> None:
        """Take note of where the cursor is; when it stays, the next request is prepared."""
        request = self._request(uri, where, invoked=False)
        if isinstance(request, CompletionRequest):
            self.anticipation.rest_at(request)

    def opened(self, snapshot: TextSnapshot) -> None:
        """Take note of a new document: its findings before any edit are the baseline."""
        self._check_later(snapshot.uri, 0.0)

    def changed(
        self, before: TextSnapshot, after: TextSnapshot, edits: tuple[TextEdit, ...]
    ) -> None:
        """Observe an edit: it may accept, reject, type through or undo what was offered."""
        self.last_edit = time.monotonic()
        self.app.touched()
        place = self._place(after, "")
        if not self.app.paused:
            self.app.short_term.edited(place.workspace, place.path, before, edits, time.time())
        self._record(self.observer.changed(before, after, edits, time.time()))
        self._move_findings(before, edits)
        self._check_later(after.uri, COMPILE_CHECK_DELAY)
        if edits:
            self.rests(after.uri, edits[-1].start + len(edits[-1].new_text))

    def closed(self, uri: str) -> None:
        """Forget a document that the editor has closed."""
        self.generations.cancel(uri)
        self.anticipation.forget(uri)
        self._record(self.observer.closed(uri, time.time()))
        if handle := self._checks.pop(uri, None):
            handle.cancel()
        for source in (OWN, FORWARDED):
            self._findings.pop((uri, source), None)

    async def report(
        self, completion_id: str, outcome: Outcome, chars_kept: int | None, event_id: str
    ) -> bool:
        """Record what the editor says became of a suggestion; True once it is durable.

        A report that comes again changes nothing; its answer is whether all is durable now.
        """
        events = self.observer.reported(completion_id, outcome, chars_kept, time.time(), event_id)
        if events:
            self._reported.append(event_id)
        elif event_id not in self._reported:
            return False
        recorded = self._record(events)
        if recorded is None:
            recorded = self.app.record(())
        # Withdrawing the request must not withdraw what it said, which may still wait its turn.
        durable: asyncio.Future[bool] = asyncio.wrap_future(recorded)
        return await asyncio.shield(durable)

    def found(self, uri: str, source: str, found: Sequence[Diagnostic]) -> None:
        """Take over the findings of one source for an open document; what changed is feedback."""
        if self.documents.get(uri) is None:
            return
        now = tuple(found)
        before = self._findings.get((uri, source))
        self._findings[uri, source] = now
        self.app.short_term.diagnosed(uri, source, now)
        if before is not None and before != now:
            added, removed = difference(before, now)
            self._record(self.observer.diagnostics_changed(uri, added, removed, time.time()))

    def _move_findings(self, before: TextSnapshot, edits: Sequence[TextEdit]) -> None:
        """Let known findings move with their lines until their source speaks again."""
        for source in (OWN, FORWARDED):
            known = self._findings.get((before.uri, source))
            if known and (moved := follow(known, before.text, edits)) != known:
                self._findings[before.uri, source] = moved
                self.app.short_term.diagnosed(before.uri, source, moved)

    def tick(self) -> None:
        """Look at what time brings: settled text, ignored suggestions, idleness."""
        due = self.observer.next_due()
        if due is not None and due <= time.time():
            self._record(self.observer.tick(time.time()))
        if not self.generations and time.monotonic() - self.last_edit > SWAP_AFTER_QUIET:
            self.app.follow_adapters()

    def place_of(self, uri: str) -> tuple[str, str]:
        """Return the workspace of a document, open or not, and its path there."""
        workspace = convert.workspace_of(uri, self.folders)
        return workspace, convert.relative_path(uri, workspace)

    def forget(self) -> None:
        """Let go of what was prepared, offered and held back: some of it may be forgotten now."""
        self.generations.cancel_all()
        self.completion.reset()
        self.anticipation.renew()
        self.drafts.clear()

    def flush(self) -> None:
        """Write down what is still open before the connection ends."""
        for handle in self._checks.values():
            handle.cancel()
        self.generations.cancel_all()
        self.anticipation.forget()
        for uri in self.documents.uris():
            self._record(self.observer.closed(uri, time.time()))
        if self in self.app.served.windows:
            self.app.served.windows.remove(self)

    async def _ask_engine(self, request: CompletionRequest) -> Answer:
        if self.app.host.loading:  # its thread is busy for many deadlines
            return Answer.nothing("loading")
        if not self.app.served.may_answer():
            return Answer.nothing("the adapter changed")
        options = self.app.config.completion
        warm = self.completion.is_warm(request.uri)
        deadline_ms = options.deadline_ms if warm else options.cold_deadline_ms
        return await self.generations.ask(request, deadline_ms / 1000)

    def _request(
        self, uri: str, where: Position | int, *, invoked: bool
    ) -> CompletionRequest | str:
        """Return the question with its document, or the reason why there is nothing to ask."""
        snapshot = self.documents.get(uri)
        if snapshot is None:
            return "the document is not open or too large"
        place = self._place(snapshot, "")
        config = self._config_at(place.workspace)
        if not config.enable or self.app.paused:
            return "paused" if self.app.paused else "switched off"
        if self.app.snoozed and not invoked:
            return "snoozed"
        if snapshot.language not in config.languages:
            return f"language off: {snapshot.language}"
        standing = self._standing(place.workspace, place.path)
        if not standing.suggest:
            return standing.reason
        at = where if isinstance(where, int) else snapshot.offset(where, self.documents.encoding)
        return CompletionRequest(
            uri=uri,
            path=place.path,
            workspace=place.workspace,
            language=snapshot.language,
            version=snapshot.version,
            text=snapshot.text,
            offset=at,
            invoked=invoked,
        )

    def _config_at(self, workspace: str) -> Config:
        return self.folder_configs.get(workspace, self.app.config)

    def _standing(self, workspace: str, path: str) -> Standing:
        return self.app.policy.standing(workspace, path, self._config_at(workspace).ignore)

    def _note(self, uri: str, answer: Answer, milliseconds: float = 0.0) -> None:
        """Keep what became of a request, for the status."""
        snapshot = self.documents.get(uri)
        self.latency.add(
            milliseconds,
            answer.reason,
            answer.origin,
            detail=answer.detail,
            language=snapshot.language if snapshot else "",
            uri=uri,
        )

    def _offer(self, request: CompletionRequest, answer: Answer) -> None:
        snapshot = self.documents.get(request.uri)
        if snapshot is None or snapshot.version != request.version:
            return
        if answer.held is not None:
            place = self._place(snapshot, answer.held.completion_id)
            self._record([held(place, answer.held)])
        for suggestion in answer.suggestions:
            place = self._place(snapshot, suggestion.completion_id)
            events = self.observer.offered(suggestion, place, request.uri, snapshot, time.time())
            self._record(events)

    def _place(self, snapshot: TextSnapshot, completion_id: str) -> Place:
        workspace, path = self.place_of(snapshot.uri)
        return Place(completion_id, workspace, path, snapshot.language)

    def _record(self, events: Sequence[Event]) -> Future[bool] | None:
        """Hand on what is worth recording, if anything is; nothing waits for the disk."""
        telling = self.drafts.pass_on(events)
        self.app.observe(telling)
        allowed = [e for e in telling if self._standing(e.workspace, e.path).record]
        if telling and not allowed:
            refused: Future[bool] = Future()
            refused.set_result(False)
            return refused
        return self.app.record(allowed) if allowed else None

    def _check_later(self, uri: str, delay: float) -> None:
        if handle := self._checks.pop(uri, None):
            handle.cancel()
        loop = asyncio.get_running_loop()
        self._checks[uri] = loop.call_later(delay, lambda: asyncio.ensure_future(self._check(uri)))

    async def _check(self, uri: str) -> None:
        snapshot = self.documents.get(uri)
        if snapshot is None or snapshot.language != "python":
            return
        found = await asyncio.to_thread(compile_check, snapshot.text, snapshot.uri)
        if (current := self.documents.get(uri)) and current.version == snapshot.version:
            self.found(uri, OWN, found)

    def _open_documents(self, workspace: str) -> list[tuple[str, str, str, float]]:
        """Return what is open in one workspace: context never crosses workspaces."""
        return [
            (convert.relative_path(document.uri, workspace), *document[1:])
            for document in self.documents.recent()
            if convert.workspace_of(document.uri, self.folders) == workspace
        ]
