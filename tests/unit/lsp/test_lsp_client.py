"""The small client, against the test server in a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.raw_peer import TINY
from falcon_lsp.lsp.client import LspClient, ResponseError, ServerGone

URI = "file:///project/a.py"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LspClient]:
    started = LspClient({"falcon": {"learning": {"enable": False}}})
    await started.start([*TINY, "stdio"], {"TINY_MARKED": str(tmp_path / "marks")})
    await started.initialize(tmp_path, options={"engine": "fake"})
    yield started
    await started.kill()


async def test_a_conversation_from_open_to_exit_code(client: LspClient) -> None:
    client.open(URI, "python", "ab\n")
    client.change(URI, (0, 1), (0, 2), "XYZ")
    assert await client.request("test/document", {"uri": URI}) == {"version": 2, "text": "aXYZ\n"}
    assert [item["insertText"] for item in await client.inline_completion(URI, (0, 0))] == ["5"]
    client.close(URI)
    assert await client.request("test/document", {"uri": URI}) is None
    assert await client.shutdown() == 0


async def test_environment_configuration_and_folder_reach_the_server(
    client: LspClient, tmp_path: Path
) -> None:
    await client.request("test/mark")
    assert (tmp_path / "marks").exists()
    assert await client.request("test/configuration") == [{"learning": {"enable": False}}]
    assert [method for method, _params in client.requests] == ["workspace/configuration"]
    assert await client.request("test/folders") == [tmp_path.as_uri()]


async def test_an_error_is_raised_with_its_code(client: LspClient) -> None:
    with pytest.raises(ResponseError, match="test/fail") as refused:
        await client.request("test/fail", {"text": "x"})
    assert refused.value.code == -32603


async def test_cancelling_the_caller_cancels_the_request(client: LspClient) -> None:
    waiting = asyncio.create_task(client.execute_command("tiny.wait"))
    await client.request("test/echo", {})
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await client.request("test/echo", {})
    counters = await client.request("test/counters")
    assert counters == {"request_cancelled": 1}


async def test_notifications_are_kept_and_can_be_waited_for(client: LspClient) -> None:
    waiting = asyncio.create_task(client.wait_for("test/said", lambda params: params["n"] == 2))
    await client.request("test/say", {"n": 1})
    await client.request("test/say", {"n": 2})
    assert await waiting == {"n": 2}
    assert await client.wait_for("test/said") == {"n": 1}
    assert client.notifications == [("test/said", {"n": 1}), ("test/said", {"n": 2})]


async def test_a_dead_server_ends_every_wait(client: LspClient) -> None:
    waiting = [
        asyncio.create_task(client.request("test/wait", {})),
        asyncio.create_task(client.wait_for("test/said")),
    ]
    await client.request("test/echo", {})
    assert await client.kill() != 0
    assert [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)] == [
        ServerGone,
        ServerGone,
    ]
    with pytest.raises(ServerGone):
        await client.request("test/echo", {})


async def test_a_client_that_was_never_started_says_so() -> None:
    with pytest.raises(ServerGone, match="not started"):
        await LspClient().request("test/echo")
