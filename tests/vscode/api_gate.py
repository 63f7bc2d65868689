"""Puts VS Code's gate for proposed API back into code-server, which ships without it.

Desktop VS Code refuses proposed API to every extension whose manifest does not ask for it;
code-server grants all of it to all, so tests without the gate would prove nothing for desktops.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HOST = "lib/vscode/out/vs/workbench/api/node/extensionHostProcess.js"
NAME = re.compile(
    r"get supportsHandleEvents\(\)\{return ([\w$]+)"
    r'\(this\._extension,"inlineCompletionsAdditions"\)'
)
CLOSED = "return!!({0}.enabledApiProposals&&{0}.enabledApiProposals.includes({1}))"


def closed(code: str) -> str:
    """Return the extension host's code with the gate in it; raises where it knows no place."""
    names = set(NAME.findall(code))
    if len(names) != 1:
        raise ValueError("another version of VS Code: the gate's name is not known")
    gate = rf"function {re.escape(names.pop())}\((\w+),(\w+)\)\{{return!0\}}"
    code, count = re.subn(gate, _closing, code)
    if count != 1:
        raise ValueError(f"another version of VS Code: {count} places for the gate")
    return code


def _closing(found: re.Match[str]) -> str:
    return found[0].replace("return!0", CLOSED.format(*found.groups()))


def main(code_server: str) -> None:
    """Close the gate in a fresh code-server."""
    host = Path(code_server) / HOST
    host.write_text(closed(host.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
