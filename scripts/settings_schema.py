"""Write the server's options into package.json, or check that they are there.

``config.py`` is the one place where options are declared; the extension's settings follow from it.

    python scripts/settings_schema.py           rewrite package.json
    python scripts/settings_schema.py --check   exit with 1 if it is out of date
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from falcon_lsp import config  # noqa: E402 - the checkout's own package, installed or not

MANIFEST = ROOT / "package.json"


def groups(schema: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``contributes.configuration``: one group of settings for each part of the tree."""
    found: dict[str, dict[str, Any]] = {}
    for key, entry in schema.items():
        part = key.split(".")[1:-1]
        title = part[0].capitalize() if part else "falcon-lsp"
        found.setdefault(title, {})[key] = entry
    return [{"title": title, "properties": entries} for title, entries in found.items()]


def restricted(schema: dict[str, dict[str, Any]]) -> list[str]:
    """Return the settings that a workspace must never decide: all of scope ``machine``."""
    return [key for key, entry in schema.items() if entry["scope"] == "machine"]


def updated(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return ``manifest`` with the settings as ``config.py`` declares them."""
    schema = config.schema()
    contributes = manifest["contributes"] | {"configuration": groups(schema)}
    trust = manifest["capabilities"]["untrustedWorkspaces"]
    trust = trust | {"restrictedConfigurations": restricted(schema)}
    capabilities = manifest["capabilities"] | {"untrustedWorkspaces": trust}
    return manifest | {"capabilities": capabilities, "contributes": contributes}


def main() -> int:
    """Run the script; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    check = parser.parse_args().check
    text = MANIFEST.read_text(encoding="utf-8")
    wanted = json.dumps(updated(json.loads(text)), indent=2, ensure_ascii=False) + "\n"
    if text == wanted:
        return 0
    if check:
        print("package.json is out of date: run `python scripts/settings_schema.py`")
        return 1
    MANIFEST.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
