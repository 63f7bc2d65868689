"""Each invariant of docs/architecture.md that can be read off the source or a fresh process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import falcon_lsp

PACKAGE = Path(falcon_lsp.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

ALLOWED_LAYERS = {
    "core": set(),
    "config": {"core"},
    "sandbox": {"core"},
    "memory": {"core", "config"},
    "model": {"core", "config"},
    "completion": {"core", "config", "memory", "model"},
    "learning": {"core", "config", "memory", "model", "sandbox"},
    "report": {"core", "config", "memory", "model", "learning"},
    "lsp": {"core", "config", "memory", "model", "completion", "learning", "report"},
    "replay": {"core", "memory", "lsp"},
}
"""What each layer may import of our own; the command line may import everything."""

HOMES = {
    "pygls": ("lsp/",),
    "lsprotocol": ("lsp/",),
    "torch": ("model/", "learning/"),
    "transformers": ("model/", "learning/"),
    "peft": ("model/", "learning/"),
    "onnxruntime": ("model/onnx_engine.py",),
    "chromadb": ("memory/long_term.py",),
    "pathspec": ("memory/gitignore.py",),
    "sqlite3": ("memory/ledger",),
    "tree_sitter": ("completion/syntax.py",),
}
"""Third-party packages, and the only places that may know them."""


def imported_names(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_imports_point_inwards(module: Path) -> None:
    layer = layer_of(module)
    if layer not in ALLOWED_LAYERS:
        return
    ours = {n.split(".")[1] for n in imported_names(module) if n.startswith("falcon_lsp.")}
    known = {name for name in ours if name in ALLOWED_LAYERS}
    assert known <= ALLOWED_LAYERS[layer] | {layer}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_each_package_is_known_in_its_home_only(module: Path) -> None:
    here = module.relative_to(PACKAGE).as_posix()
    roots = {name.split(".")[0] for name in imported_names(module)}
    strangers = [
        package
        for package, homes in HOMES.items()
        if any(r == package or (package == "tree_sitter" and r.startswith(package)) for r in roots)
        and not here.startswith(homes)
    ]
    assert strangers == []


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_nothing_is_unpickled(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    roots = {name.split(".")[0] for name in imported_names(module)}
    assert not roots & {"pickle", "shelve", "marshal", "dill", "joblib"}
    assert "weights_only=False" not in text
    assert text.count("torch.load(") == text.count("weights_only=True")


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(PACKAGE).as_posix())
def test_no_module_is_run_from_the_folder_that_we_happen_to_be_in(module: Path) -> None:
    """Without ``-P`` (or ``-I``) ``python -m`` looks there first, and it may be a workspace."""
    text = module.read_text(encoding="utf-8")
    assert re.findall(r'executable\)?,\s*"-m"', text) == []


@pytest.mark.parametrize(
    "entry",
    [
        "falcon_lsp.cli",
        "falcon_lsp.lsp.server",
        "falcon_lsp.completion.service",
        "falcon_lsp.memory.service",
        "falcon_lsp.learning.background.supervisor",
        "falcon_lsp.model.loader",
    ],
)
def test_nothing_heavy_is_loaded_by_importing(entry: str) -> None:
    script = (
        f"import sys, {entry}; heavy = ('torch', 'transformers', 'peft', 'chromadb', 'numpy', "
        "'onnxruntime'); print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_methods_are_registered_in_one_list() -> None:
    places = [
        module.relative_to(PACKAGE).as_posix()
        for module in MODULES
        if any(mark in module.read_text(encoding="utf-8") for mark in (".feature(", "@server."))
    ]
    assert places in ([], ["lsp/server.py"])


def test_handlers_are_short() -> None:
    tree = ast.parse((PACKAGE / "lsp" / "server.py").read_text(encoding="utf-8"))
    handlers = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("on_")
    ]
    statements = {h.name: len(list(ast.walk(ast.Module(h.body, [])))) for h in handlers}
    lines = {
        h.name: (h.end_lineno or 0) - h.body[1].lineno + 1 for h in handlers if len(h.body) > 1
    }
    assert statements
    assert {name: count for name, count in lines.items() if count > 10} == {}


def test_files_stay_readable() -> None:
    lengths = {
        m.relative_to(PACKAGE).as_posix(): m.read_text(encoding="utf-8").count("\n")
        for m in MODULES
    }
    assert {name: count for name, count in lengths.items() if count > 420} == {}
