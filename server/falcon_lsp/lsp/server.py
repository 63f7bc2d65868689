"""The composition root of a connection, and the one list of methods that the server knows.

A handler converts, calls and converts back; what it does stands in `Session` and below.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lsprotocol import types as lsp

from falcon_lsp import __version__
from falcon_lsp.completion.answer import Answer
from falcon_lsp.config import Config
from falcon_lsp.core.types import Outcome, new_id
from falcon_lsp.learning.background.standing import Standing
from falcon_lsp.lsp import beside, convert, extensions, overview, status
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.base import FalconServer
from falcon_lsp.lsp.notices import Notice
from falcon_lsp.lsp.progress import ProgressReporter
from falcon_lsp.lsp.session import FORWARDED, Session

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
TRAINING_SHARES = {"loading": 0.1, "training": 0.3, "gate": 0.8}
"""How far the progress bar stands when a phase of training begins."""


class Falcon(FalconServer):
    """One connection's server: pygls underneath, a `Session` on top."""

    def __init__(self, app: Application, defaults: Config) -> None:
        super().__init__("falcon-lsp", __version__)
        self.app = app
        self.defaults = defaults
        self.session = Session(app, self.documents)
        self.notice = Notice(app, self.session)
        self.wants_status = False
        self.told: set[str] = set()
        self.client_has_inline = False
        self.on_flush += [self.session.flush, app.flush]
        register(self)

    def tell(self, message: str, kind: lsp.MessageType = lsp.MessageType.Warning) -> None:
        """Show one sentence to the user, for what they can do something about; once."""
        if message not in self.told:
            self.told.add(message)
            self.window_show_message(lsp.ShowMessageParams(kind, message))


def create_server(app: Application, defaults: Config | None = None) -> Falcon:
    """Return a server for one new connection on shared parts."""
    return Falcon(app, defaults or Config())


def register(server: Falcon) -> None:
    """Register every method: the list of all that the server understands."""
    feature, command = server.feature, server.command
    feature(lsp.INITIALIZE)(bind(server, on_initialize))
    feature(lsp.INITIALIZED)(bind_async(server, on_initialized))
    feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)(bind_async(server, on_configuration))
    feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)(bind_async(server, on_folders))
    feature(lsp.TEXT_DOCUMENT_DID_OPEN)(bind(server, on_open))
    feature(lsp.TEXT_DOCUMENT_DID_CHANGE)(bind(server, on_change))
    feature(lsp.TEXT_DOCUMENT_DID_CLOSE)(bind(server, on_close))
    feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, lsp.InlineCompletionOptions())(
        bind_async(server, on_inline_completion)
    )
    feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(resolve_provider=False))(
        bind_async(server, on_completion)
    )
    command(convert.ACCEPTED_COMMAND)(bind_async(server, on_accepted))
    feature(extensions.FEEDBACK)(bind_async(server, on_feedback))
    feature(extensions.DIAGNOSTICS)(bind(server, on_diagnostics))
    feature(extensions.CURSOR)(bind(server, on_cursor))
    feature(extensions.STATUS)(bind_async(server, on_status))
    feature(extensions.PAUSE)(bind_async(server, on_pause))
    feature(extensions.SNOOZE)(bind_async(server, on_snooze))
    feature(extensions.TRAIN_NOW)(bind_async(server, on_train_now))
    feature(extensions.ROLLBACK)(bind_async(server, on_rollback))
    feature(extensions.REJECTIONS)(bind_async(server, on_rejections))
    feature(extensions.FORGIVE)(bind_async(server, on_forgive))
    feature(extensions.NEVER)(bind_async(server, on_never))
    feature(extensions.FORGET)(bind_async(server, on_forget))
    feature(extensions.REPORT)(bind_async(server, on_report))
    feature(extensions.EXPORT)(bind_async(server, on_export))


def bind(server: Falcon, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function of the parameters: pygls looks at signatures."""

    def bound(*params: Any) -> Any:
        return handler(server, *params)

    return bound


def bind_async(server: Falcon, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same for a coroutine function, which a client may cancel."""

    async def bound(*params: Any) -> Any:
        return await handler(server, *params)

    return bound


def on_initialize(server: Falcon, params: lsp.InitializeParams) -> None:
    """Read the client's folders, settings and abilities."""
    folders = [folder.uri for folder in params.workspace_folders or []]
    server.session.folders = folders or [uri for uri in (params.root_uri,) if uri]
    text_document = params.capabilities.text_document
    server.client_has_inline = bool(text_document and text_document.inline_completion)
    session = server.session
    session.initial = session.configure(params.initialization_options, server.defaults)


async def on_initialized(server: Falcon, _params: lsp.InitializedParams) -> None:
    """Pull the settings, start loading in the background, and tick until the connection ends."""
    config = await pull_configuration(server)
    reporter = ProgressReporter(server, "falcon: preparing the model")
    listener = training_listener(server)
    server.app.listeners.append(listener)
    try:
        server.app.start(config, reporter)
        await tick(server)
    finally:
        server.app.listeners.remove(listener)
        server.notice.remove()


LEFT_BY_ITSELF = (
    "What was learned last kept less of your code than before, so falcon-lsp went back to what it "
    "served until then; `falcon-lsp adapters verdicts` has the numbers."
)
"""Said when a version was left because it was worse in use."""


def training_listener(server: Falcon) -> Callable[[dict[str, Any]], None]:
    """Return what shows the trainer's progress in this client and follows a new adapter."""
    report, standing = ProgressReporter(server, "falcon: learning"), Standing()
    loop = asyncio.get_running_loop()

    def listen(event: dict[str, Any]) -> None:
        what = event["event"]
        if what == "served":
            server.session.completion.reset()
            loop.call_soon_threadsafe(server.session.anticipation.renew)
        elif what == "rolled_back":
            loop.call_soon_threadsafe(server.tell, LEFT_BY_ITSELF)
        elif what == "forgotten":
            loop.call_soon_threadsafe(server.session.forget)
        elif what in {"phase", "step", "held"}:
            standing.hear(event)
            report(standing.words, TRAINING_SHARES.get(standing.phase, 0.0))
        elif what in {"done", "error", "failed", "paused", "cancelled", "slice_over"}:
            report("", 1.0)

    return listen


async def on_configuration(server: Falcon, params: lsp.DidChangeConfigurationParams) -> None:
    """Take over changed settings, pushed or pulled."""
    server.app.reconfigure(await pull_configuration(server, params.settings))
    server.session.completion.reset()
    server.session.anticipation.renew()


async def pull_configuration(server: Falcon, pushed: object = None) -> Config:
    """Return the settings: asked of the client when it can be asked, else what it sent."""
    session, raw, folders = server.session, pushed, list(server.session.folders)
    of_folders: Sequence[object] = ()
    workspace = server.protocol.client_capabilities.workspace
    if workspace and workspace.configuration:
        items = [lsp.ConfigurationItem(section="falcon", scope_uri=f) for f in (None, *folders)]
        params = lsp.ConfigurationParams(items)
        try:
            pulled = await asyncio.wait_for(server.workspace_configuration_async(params), 5)
            raw, *of_folders = pulled or [None]
        except Exception:  # noqa: BLE001 - a client that fails to answer gets the defaults
            logger.warning("the client did not answer workspace/configuration")
    config = session.configure(raw, session.initial) if raw else session.initial
    session.configure_folders(dict(zip(folders, of_folders, strict=False)), config)
    while session.untold:
        server.tell(session.untold.pop(0))
    return config


async def on_folders(server: Falcon, params: lsp.DidChangeWorkspaceFoldersParams) -> None:
    """Follow the folders that the client opens and closes; new ones may have their own settings."""
    gone = {folder.uri for folder in params.event.removed}
    added = [folder.uri for folder in params.event.added]
    server.session.folders = [f for f in server.session.folders if f not in gone] + added
    if (workspace := server.protocol.client_capabilities.workspace) and workspace.configuration:
        server.app.reconfigure(await pull_configuration(server))


def on_open(server: Falcon, params: lsp.DidOpenTextDocumentParams) -> None:
    """Take note of a document."""
    if snapshot := server.documents.get(params.text_document.uri):
        server.session.opened(snapshot)


def on_change(server: Falcon, params: lsp.DidChangeTextDocumentParams) -> None:
    """Let the session see an edit that the document store has applied."""
    if change := server.documents.last_change(params.text_document.uri):
        server.session.changed(*change)


def on_close(server: Falcon, params: lsp.DidCloseTextDocumentParams) -> None:
    """Let go of a document."""
    server.session.closed(params.text_document.uri)


async def on_inline_completion(
    server: Falcon, params: lsp.InlineCompletionParams
) -> lsp.InlineCompletionList:
    """Answer with ghost text; beside the editor's list, only with what goes on from its entry."""
    context, uri, cursor = params.context, params.text_document.uri, params.position
    entry = beside.entry(server.documents, uri, cursor, context.selected_completion_info)
    if entry is None:
        return lsp.InlineCompletionList([])
    invoked = context.trigger_kind is lsp.InlineCompletionTriggerKind.Invoked
    answer = await ask(server, uri, cursor, invoked=invoked, rest=entry.rest)
    items = [convert.inline_item(s, entry.where, entry.typed) for s in answer.suggestions]
    return lsp.InlineCompletionList(items)


async def on_completion(server: Falcon, params: lsp.CompletionParams) -> lsp.CompletionList:
    """Answer an editor that has no inline completion; one that has gets nothing twice."""
    if server.client_has_inline:
        return lsp.CompletionList(is_incomplete=False, items=[])
    uri = params.text_document.uri
    snapshot = server.documents.get(uri)
    answer = await ask(server, uri, params.position, invoked=False)
    if snapshot is None or server.documents.get(uri) is not snapshot:  # places have moved
        return lsp.CompletionList(is_incomplete=True, items=[])
    encode = partial(convert.completion_item, snapshot, server.documents.encoding)
    return lsp.CompletionList(True, [encode(each) for each in answer.suggestions])


async def ask(
    server: Falcon, uri: str, where: lsp.Position, *, invoked: bool, rest: str = ""
) -> Answer:
    """Ask the session for suggestions at a place."""
    return await server.session.complete(uri, convert.position(where), invoked=invoked, rest=rest)


async def on_accepted(server: Falcon, completion_id: str, *_rest: Any) -> bool:
    """Record that the developer took a suggestion: the item's own command says so."""
    return await server.session.report(str(completion_id), Outcome.ACCEPTED, None, new_id("evt"))


async def on_feedback(server: Falcon, params: Any) -> dict[str, bool]:
    """Record what an editor reports."""
    said = extensions.read_feedback(params)
    recorded = await server.session.report(
        said.completion_id, said.outcome, said.chars_kept, said.event_id
    )
    return {"recorded": recorded}


def on_diagnostics(server: Falcon, params: Any) -> None:
    """Take over what the editor's other servers find."""
    forwarded = extensions.read_diagnostics(params)
    server.session.found(forwarded.uri, FORWARDED, forwarded.diagnostics)


def on_cursor(server: Falcon, params: Any) -> None:
    """Prepare for a request where the cursor has come to rest."""
    server.session.rests(*extensions.read_cursor(params))


async def on_status(server: Falcon, _params: Any = None) -> dict[str, Any]:
    """Tell how things stand; who asks once is told of changes from then on."""
    server.wants_status = True
    return await status.report(server.app, server.session, server.counters)


async def on_pause(server: Falcon, params: Any) -> dict[str, Any]:
    """Stop or resume suggesting, recording and training."""
    server.app.pause(extensions.read_flag(params, "paused"))
    return await status.report(server.app, server.session, server.counters)


async def on_snooze(server: Falcon, params: Any) -> dict[str, Any]:
    """Suggest nothing by itself for some minutes; 0 ends it."""
    server.app.snooze(extensions.read_minutes(params))
    return await status.report(server.app, server.session, server.counters)


async def on_train_now(server: Falcon, _params: Any = None) -> dict[str, str]:
    """Start a training update with whatever is pending."""
    return {"message": await asyncio.to_thread(server.app.train_now)}


async def on_rollback(server: Falcon, params: Any = None) -> dict[str, str]:
    """Go back to an adapter, or the one before the current; its files are verified first."""
    to = extensions.read_version(params)
    return {"message": await asyncio.to_thread(server.app.roll_back, to)}


async def on_rejections(server: Falcon, _params: Any = None) -> dict[str, Any]:
    """List what was rejected and is not offered again, the latest first."""
    return {"rejections": await asyncio.to_thread(server.app.rejections)}


async def on_forgive(server: Falcon, params: Any) -> dict[str, str]:
    """Let a rejected text be offered again."""
    rejection_id = extensions.read_text(params, "id")
    return {"message": await asyncio.to_thread(server.app.forgive, rejection_id)}


async def on_never(server: Falcon, params: Any) -> dict[str, str]:
    """Let a suggestion never be offered again."""
    completion_id = extensions.read_text(params, "id")
    return {"message": await asyncio.to_thread(server.app.refuse, completion_id)}


async def on_forget(server: Falcon, params: Any) -> dict[str, str]:
    """Erase what was recorded of an episode, a document, a workspace or a day."""
    what = extensions.read_forgetting(params)
    if uri := what.pop("uri", None):
        what["workspace"], what["path"] = server.session.place_of(uri)
    return {"message": await asyncio.to_thread(server.app.forget, what)}


async def on_report(server: Falcon, params: Any = None) -> dict[str, str]:
    """Return the learning report as HTML."""
    search, whole = extensions.read_report(params)
    return await asyncio.to_thread(overview.render, server.app, search, whole=whole)


async def on_export(server: Falcon, params: Any = None) -> dict[str, Any]:
    """Return what is recorded, a part at a time: the client writes it where it likes."""
    return await asyncio.to_thread(overview.export, server.app, extensions.read_after(params))


async def tick(server: Falcon) -> None:
    """Once a second: settled text, idleness, and a status line for who wants one."""
    last: dict[str, Any] = {}
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            server.session.tick()
            await server.notice.refresh()
            for sentence in server.app.troubles():
                server.tell(sentence)
            if not server.wants_status:
                continue
            now = await status.report(server.app, server.session, server.counters)
            if now != last:
                server.protocol.notify(extensions.STATUS_CHANGED, now)
                last = now
        except Exception:
            server.counters["tick failed"] += 1
            logger.exception("periodic work failed")
