"""The protocol of pygls, hardened: every request is answered exactly once, whatever comes.

A message goes through `FalconProtocol.receive` in four steps: is it a message (`messages`), may it
come now (token, life cycle), is there a handler whose parameters fit, run. Each step refuses by
raising `Refused`, and one place answers. Handlers run as tasks, and one callback per task answers
its request: with a result, an error, or "cancelled". Nothing ever becomes a pop-up in the editor.

The reader lets the event loop turn once after each message, so a handler has run up to its first
``await`` before the next message is looked at: a change of a document is applied before the request
that follows it, and a request sees the document as it was when it was asked.
"""

from __future__ import annotations

import asyncio
import enum
import hmac
import inspect
import json
import traceback
from collections.abc import Callable, Generator
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import cattrs
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException, JsonRpcInternalError
from pygls.protocol import LanguageServerProtocol, lsp_method

from falcon_lsp.core.cancellation import Cancelled
from falcon_lsp.core.text import PositionEncoding
from falcon_lsp.lsp.messages import (
    VERSION,
    Call,
    Code,
    MsgId,
    Refused,
    Reply,
    decode,
    error_reply,
    usable_id,
)
from falcon_lsp.lsp.structure import content_changes, structure_params

if TYPE_CHECKING:
    from falcon_lsp.lsp.base import FalconServer

METHOD_LIMIT = 80
"""Characters of a method's name that are repeated to the peer."""
CLOSE_SECONDS = 1.0
"""How long cancelled handlers may take to end when the connection does."""
NOTEBOOKS = (
    lsp.NOTEBOOK_DOCUMENT_DID_OPEN,
    lsp.NOTEBOOK_DOCUMENT_DID_CHANGE,
    lsp.NOTEBOOK_DOCUMENT_DID_SAVE,
    lsp.NOTEBOOK_DOCUMENT_DID_CLOSE,
)
"""Not served: editors then send the cells as ordinary documents."""

Handler = Callable[..., Any]
Steps = Generator[tuple[Handler, Any, Any], Any, Any]


class State(enum.Enum):
    """The life of a connection."""

    NEW = enum.auto()
    INITIALIZING = enum.auto()
    READY = enum.auto()
    SHUT_DOWN = enum.auto()


class FalconProtocol(LanguageServerProtocol):
    """One connection's protocol. All methods but `notify` belong to the event loop's thread.

    ``token``, when set, must be presented by ``initialize`` before anything is executed. Once the
    client has said ``exit``, or has failed to present the token, the connection is ``ended``.
    """

    _server: FalconServer

    def __init__(self, server: FalconServer, converter: cattrs.Converter) -> None:
        self.state = State.NEW
        self.token: str | None = None
        self.ended = False
        self._running: dict[MsgId, asyncio.Task[Any]] = {}
        self._notified: set[asyncio.Task[Any]] = set()
        super().__init__(server, converter)
        for method in NOTEBOOKS:
            self.fm.builtin_features.pop(method, None)

    @property
    def exit_code(self) -> int:
        """0 when the client took leave with ``shutdown``, 1 when it did not."""
        return 0 if self.state is State.SHUT_DOWN else 1

    def receive(self, body: bytes) -> None:
        """Handle one message; returns before its handler has run. Never raises."""
        try:
            message = decode(body)
            if self.token is not None:
                self._check_token(message, self.token)
            if isinstance(message, Reply):
                self._settle(message)
            else:
                self._admit(message)
        except Refused as refusal:
            self.ended = self.ended or self.token is not None
            self.refuse(refusal)

    def refuse(self, refusal: Refused) -> None:
        """Count a message that is not executed, and answer it if it is to be answered."""
        self._server.report(refusal.code.name.lower(), refusal.message)
        if refusal.answered:
            self._send_data(error_reply(refusal.msg_id, refusal.code, refusal.message))

    async def close(self) -> None:
        """Cancel what runs, so that it is answered, and what the client was asked."""
        self.ended = True
        tasks = [*self._running.values(), *self._notified]
        for task in tasks:
            task.cancel()
        for future in list(self._request_futures.values()):
            future.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        await asyncio.sleep(0)  # the callbacks that answer run in the loop's next turn

    # From message to task

    def _check_token(self, message: Call | Reply, token: str) -> None:
        presented = None
        if isinstance(message, Call) and message.method == lsp.INITIALIZE:
            presented = _take_token(message.params)
        if presented is not None and hmac.compare_digest(_bytes(presented), _bytes(token)):
            self.token = None
            return
        why = "wrong or missing token: initializationOptions.token must be the server's"
        raise Refused(Code.INVALID_REQUEST, why, message.msg_id, answered=isinstance(message, Call))

    def _admit(self, call: Call) -> None:
        if call.method == lsp.EXIT and call.msg_id is None:
            self.ended = True
            return
        self._check_lifecycle(call)
        handler = self._find_handler(call)
        params = structure_params(self._converter, call)
        if call.msg_id is None:
            self._start_notification(call.method, handler, params)
        else:
            self._start_request(call.msg_id, call.method, handler, params)

    def _check_lifecycle(self, call: Call) -> None:
        if self.state is State.SHUT_DOWN:
            raise call.refused(Code.INVALID_REQUEST, "after shutdown only exit is allowed")
        if call.method == lsp.INITIALIZE:
            if self.state is not State.NEW:
                raise call.refused(Code.INVALID_REQUEST, "initialize may be sent only once")
        elif self.state is not State.READY:
            raise call.refused(Code.SERVER_NOT_INITIALIZED, "initialize must come first")

    def _find_handler(self, call: Call) -> Handler:
        handler = self.fm.builtin_features.get(call.method) or self.fm.features.get(call.method)
        name = call.method[:METHOD_LIMIT]
        if handler is None:
            raise call.refused(Code.METHOD_NOT_FOUND, f"unknown method {name}")
        known = lsp.METHOD_TO_TYPES.get(call.method)
        if known and (known[1] is None) != (call.msg_id is None):
            kind = "notification" if known[1] is None else "request"
            raise call.refused(Code.INVALID_REQUEST, f"{name} is a {kind}")
        found: Handler = handler
        return found

    def _start_request(self, msg_id: MsgId, method: str, handler: Handler, params: Any) -> None:
        if msg_id in self._running:
            # Answered without an id: that one belongs to the answer of the request that runs.
            raise Refused(Code.INVALID_REQUEST, "a request with this id is still running")
        if method == lsp.INITIALIZE:
            self.state = State.INITIALIZING
        task = asyncio.create_task(self._call(handler, params))
        self._running[msg_id] = task
        task.add_done_callback(partial(self._answer, msg_id, method))

    def _start_notification(self, method: str, handler: Handler, params: Any) -> None:
        task = asyncio.create_task(self._call(handler, params))
        self._notified.add(task)
        task.add_done_callback(partial(self._note_end, method))

    async def _call(self, handler: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a handler of any kind; pygls' own are generators that yield handlers to run."""
        if not inspect.isgeneratorfunction(handler):
            result = handler(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        steps: Steps = handler(*args, **kwargs)
        value = None
        while True:
            try:
                inner, inner_args, inner_kwargs = steps.send(value)
            except StopIteration as end:
                return end.value
            value = await self._call(inner, *(inner_args or ()), **(inner_kwargs or {}))

    # From task to answer

    def _answer(self, msg_id: MsgId, method: str, task: asyncio.Task[Any]) -> None:
        del self._running[msg_id]
        if method == lsp.INITIALIZE and self.state is State.INITIALIZING:
            self.state = State.NEW  # it failed, the client may try again
        try:
            self._send_data({"jsonrpc": VERSION, "id": msg_id, "result": task.result()})
        except (asyncio.CancelledError, Cancelled):
            self._server.count("request_cancelled")
            self._send_data(error_reply(msg_id, Code.REQUEST_CANCELLED, "cancelled"))
        except JsonRpcException as error:
            self._server.report("request_refused", _describe(error, method))
            self._send_data(error_reply(msg_id, error.code, error.message))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is answered
            self._server.report("internal_error", _describe(error, method))
            why = f"{method[:METHOD_LIMIT]} failed ({type(error).__name__})"
            self._send_data(error_reply(msg_id, Code.INTERNAL_ERROR, why))

    def _note_end(self, method: str, task: asyncio.Task[Any]) -> None:
        self._notified.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._server.report("notification_failed", _describe(error, method))

    def _send_data(self, data: Any) -> None:
        """Queue one message; raises what `json` raises when it cannot be written as JSON."""
        text = json.dumps(data, default=self._serialize_message, allow_nan=False)
        if self.writer is None:
            self._server.count("unsent")
        else:
            self.writer.write(text.encode("ascii"))

    # Answers to requests of ours

    def _settle(self, reply: Reply) -> None:
        future = self._request_futures.pop(reply.msg_id, None)
        kind = self._result_types.pop(reply.msg_id, None)
        if future is None:
            self._server.report("unknown_reply")
        elif future.set_running_or_notify_cancel():
            try:
                future.set_result(self._result_of(reply, kind))
            except JsonRpcException as error:
                future.set_exception(error)

    def _result_of(self, reply: Reply, kind: Any) -> Any:
        try:
            if reply.error is not None:
                told = self._converter.structure(reply.error, lsp.ResponseError)
                raise JsonRpcException.from_error(told)
            if kind is None:
                return reply.result
            message = {"jsonrpc": VERSION, "id": reply.msg_id, "result": reply.result}
            return self._converter.structure(message, kind).result
        except JsonRpcException:
            raise
        except Exception as error:
            self._server.report("invalid_reply")
            raise JsonRpcInternalError("the client's answer has the wrong shape") from error

    # What pygls does for every server, on our document store

    def _user_handler(self, method: str, *params: Any) -> Steps:
        if (handler := self.fm.features.get(method)) is not None:
            yield handler, params, None

    @lsp_method(lsp.INITIALIZE)
    def lsp_initialize(self, params: lsp.InitializeParams) -> Steps:
        """Negotiate; from here on other methods are served."""
        # Without options pygls does not advertise it, and no editor ever asks.
        options = self.fm.feature_options
        options.setdefault(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, lsp.InlineCompletionOptions())
        result = yield from super().lsp_initialize(params)
        encoding = lsp.PositionEncodingKind(result.capabilities.position_encoding)
        self._server.documents.encoding = PositionEncoding(encoding.value)
        self.state = State.READY
        return result

    @lsp_method(lsp.SHUTDOWN)
    def lsp_shutdown(self, *_args: Any) -> Steps:
        """Cancel what runs, and answer only when everything is on disk."""
        self.state = State.SHUT_DOWN
        for task in self._running.values():
            if task is not asyncio.current_task():
                task.cancel()
        yield from self._user_handler(lsp.SHUTDOWN, None)
        self._server.flush()

    @lsp_method(lsp.CANCEL_REQUEST)
    def lsp_cancel_request(self, params: lsp.CancelParams) -> None:
        """Cancel a running request; it is answered when its handler has ended."""
        msg_id = usable_id(params.id)
        if msg_id is not None and (task := self._running.get(msg_id)) is not None:
            task.cancel()

    @lsp_method(lsp.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: lsp.DidOpenTextDocumentParams) -> Steps:
        """Take over a document."""
        item = params.text_document
        self._server.documents.open(item.uri, str(item.language_id), item.version, item.text)
        yield from self._user_handler(lsp.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: lsp.DidChangeTextDocumentParams) -> Steps:
        """Follow the edits of a document."""
        item = params.text_document
        self._server.documents.change(item.uri, item.version, content_changes(params))
        yield from self._user_handler(lsp.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(lsp.TEXT_DOCUMENT_DID_SAVE)
    def lsp_text_document__did_save(self, params: lsp.DidSaveTextDocumentParams) -> Steps:
        """Note that a document was saved."""
        self._server.documents.save(params.text_document.uri)
        yield from self._user_handler(lsp.TEXT_DOCUMENT_DID_SAVE, params)

    @lsp_method(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: lsp.DidCloseTextDocumentParams) -> Steps:
        """Forget a document."""
        self._server.documents.close(params.text_document.uri)
        yield from self._user_handler(lsp.TEXT_DOCUMENT_DID_CLOSE, params)


def _take_token(params: Any) -> str | None:
    """Remove the token from the parameters, so that nobody logs or keeps it."""
    options = params.get("initializationOptions") if isinstance(params, dict) else None
    token = options.pop("token", None) if isinstance(options, dict) else None
    return token if isinstance(token, str) else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # JSON may hold lone surrogates


def _describe(error: BaseException, method: str) -> str:
    """Say what failed and where, without the error's own text, which may quote a document."""
    frames = list(traceback.walk_tb(error.__traceback__))
    where = f"{PurePath(frames[-1][0].f_code.co_filename).name}:{frames[-1][1]}" if frames else "?"
    return f"{type(error).__name__} in {method[:METHOD_LIMIT]} at {where}"
