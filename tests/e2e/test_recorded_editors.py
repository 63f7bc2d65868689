"""The server as recorded editors see it: their own capabilities, a client that is not ours."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator

import pytest
import pytest_lsp
from lsprotocol import types as lsp
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

SOURCE = "def total(prices):\n    return sum(prices)\n\n\ndef average(prices):\n    return "
URI = "file:///workspace/shop.py"
END = lsp.Position(5, 11)
EDITORS = ("visual_studio_code", "neovim@v0.11")


@pytest_lsp.fixture(
    params=EDITORS,
    config=ClientServerConfig(
        server_command=[sys.executable, "-m", "falcon_lsp", "serve", "--stdio"],
        server_env={
            "FALCON_DATA_DIR": tempfile.mkdtemp(prefix="falcon-test-"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    ),
)
async def client(lsp_client: LanguageClient, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """An editor's handshake with its recorded capabilities."""
    settings = {"engine": "fake", "learning": {"enable": False}}
    lsp_client.set_configuration({"falcon": settings})
    await lsp_client.initialize_session(
        lsp.InitializeParams(
            capabilities=client_capabilities(request.param),
            workspace_folders=[lsp.WorkspaceFolder("file:///workspace", "workspace")],
            initialization_options=settings,
        )
    )
    lsp_client.text_document_did_open(
        lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(URI, "python", 1, SOURCE))
    )
    for _ in range(200):
        status = await lsp_client.protocol.send_request_async("falcon/status", {})
        if status.state != "loading":
            break
        await asyncio.sleep(0.05)
    yield
    await lsp_client.shutdown_session()


async def test_ghost_text_comes_with_the_command_that_reports_an_accept(
    client: LanguageClient,
) -> None:
    context = lsp.InlineCompletionContext(lsp.InlineCompletionTriggerKind.Automatic)
    answer = await client.text_document_inline_completion_async(
        lsp.InlineCompletionParams(context, lsp.TextDocumentIdentifier(URI), END)
    )
    assert isinstance(answer, lsp.InlineCompletionList)
    (item, *_) = answer.items
    assert item.insert_text == "sum(prices)"
    assert item.command is not None
    assert item.command.command == "falcon.accepted"


async def test_list_items_come_where_there_is_no_ghost_text(client: LanguageClient) -> None:
    answer = await client.text_document_completion_async(
        lsp.CompletionParams(lsp.TextDocumentIdentifier(URI), END)
    )
    assert isinstance(answer, lsp.CompletionList)
    assert [item.label for item in answer.items][:1] == ["sum(prices)"]


async def test_nothing_pops_up(client: LanguageClient) -> None:
    await client.text_document_completion_async(
        lsp.CompletionParams(lsp.TextDocumentIdentifier(URI), END)
    )
    assert client.messages == []
    assert client.log_messages == []
