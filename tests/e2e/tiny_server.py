"""A server with one handler of each kind, to see what the protocol makes of them."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams

from falcon_lsp.core.cancellation import Cancelled
from falcon_lsp.lsp.base import FalconServer
from falcon_lsp.lsp.transport import run_stdio, run_tcp, run_ws


def note(variable: str) -> None:
    """Leave a line in the file that an environment variable names."""
    if path := os.environ.get(variable):
        with Path(path).open("a") as file:
            file.write("x\n")


def make_server() -> FalconServer:
    server = FalconServer("tiny", "1")
    server.on_flush.append(lambda: note("TINY_FLUSHED"))
    server.command("tiny.wait")(wait)
    server.feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION)(inline(server))
    for name, handler in handlers(server).items():
        server.feature(f"test/{name}")(handler)
    return server


def inline(server: FalconServer):
    async def complete(params: lsp.InlineCompletionParams) -> lsp.InlineCompletionList:
        snapshot = server.documents.get(params.text_document.uri)
        await asyncio.sleep(0.001)
        text = "" if snapshot is None else str(len(snapshot.text))
        return lsp.InlineCompletionList([lsp.InlineCompletionItem(text)])

    return complete


async def wait(*_params) -> None:
    await asyncio.Event().wait()


def handlers(server: FalconServer) -> dict:
    def fail(params):
        raise ValueError(params["text"])

    async def fail_later(params):
        await asyncio.sleep(0)
        raise ValueError(params["text"])

    def withdrawn(_params):
        raise Cancelled

    def refuse(_params):
        raise JsonRpcInvalidParams("outcome must be one of a, b")

    def shout(_params):
        print("this must not reach the client")
        os.write(1, b"nor this")
        return "shouted"

    def document(params):
        snapshot = server.documents.get(params["uri"])
        return snapshot and {"version": snapshot.version, "text": snapshot.text}

    async def configuration(_params):
        params = lsp.ConfigurationParams([lsp.ConfigurationItem(section="falcon")])
        return await server.workspace_configuration_async(params)

    def say(params):
        server.protocol.notify("test/said", params)

    async def block(_params):
        await asyncio.get_running_loop().run_in_executor(None, server_blocker.wait)

    return {
        "fail": fail,
        "failLater": fail_later,
        "withdrawn": withdrawn,
        "refuse": refuse,
        "shout": shout,
        "document": document,
        "configuration": configuration,
        "block": block,
        "say": say,
        "wait": wait,
        "echo": lambda params: params,
        "mark": lambda params: note("TINY_MARKED"),
        "object": lambda params: object(),
        "infinity": lambda params: float("inf"),
        "counters": lambda params: dict(server.counters),
        "folders": lambda params: list(server.workspace.folders),
    }


class Blocker:
    """Blocks a pool thread until the process ends."""

    def wait(self) -> None:
        import threading

        threading.Event().wait(20)


server_blocker = Blocker()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "tcp", "ws"])
    parser.add_argument("--debug", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if arguments.debug else logging.WARNING)
    if arguments.transport == "stdio":
        return run_stdio(make_server())
    run = run_tcp if arguments.transport == "tcp" else run_ws
    return run(make_server)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # do not wait for the pool threads that a test has blocked
