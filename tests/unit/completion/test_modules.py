"""Which workspace files imports mean, and what is read of them."""

from pathlib import Path

import pytest

from completion_samples import StubMemory, at
from falcon_lsp.completion.modules import LARGEST_BYTES, MOST_FILES, WorkspaceFiles, imported
from falcon_lsp.completion.prompter import Prompter
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Snippet


@pytest.mark.parametrize(
    ("path", "line", "language", "expected"),
    [
        ("pkg/a.py", "from .b import c", "python", "pkg/b.py"),
        ("pkg/a.py", "from . import c", "python", "pkg/c.py"),
        ("pkg/sub/a.py", "from ..b import (c, d)", "python", "pkg/b/d.py"),
        ("src/pkg/a.py", "from pkg.b import c as e", "python", "src/pkg/b.py"),
        ("tests/t.py", "import pkg.b, os", "python", "src/pkg/b.py"),
        ("a.py", "import pkg", "python", "pkg/__init__.py"),
        ("web/a.ts", "import { b } from '../lib/b';", "typescript", "lib/b.ts"),
        ("web/a.js", "const b = require('./b')", "javascript", "web/b/index.js"),
    ],
)
def test_imports_are_looked_for_where_they_may_lie(
    path: str, line: str, language: str, expected: str
) -> None:
    assert expected in imported(at(f"{line}\n‸", language, path=path))


@pytest.mark.parametrize(
    ("path", "line", "language"),
    [
        ("a.py", "from ...b import c", "python"),
        ("a.ts", "import b from '../../b';", "typescript"),
        ("a.ts", "import b from 'package';", "typescript"),
        ("a.py", "import ..host.share", "python"),
        ("a.ts", r"import b from './\\host\share\b';", "typescript"),
        ("web/a.ts", r"import b from './..\..\b';", "typescript"),
        ("a.ts", r"import b from './C:\b';", "typescript"),
    ],
)
def test_nothing_outside_of_the_workspace_is_looked_for(
    path: str, line: str, language: str
) -> None:
    assert imported(at(f"{line}\n‸", language, path=path)) == []


def test_files_are_read_again_only_when_they_have_changed(tmp_path: Path) -> None:
    files = WorkspaceFiles()
    request = at("import b\n‸", workspace=tmp_path.as_uri())
    assert files.imported(request) == []
    (tmp_path / "b.py").write_text("one = 1\n", encoding="utf-8")
    (first,) = files.imported(request)
    assert (first.path, first.text) == ("b.py", "one = 1\n")
    assert files.imported(request)[0].text is first.text
    (tmp_path / "b.py").write_text("number = 2\n", encoding="utf-8")
    assert files.imported(request)[0].text == "number = 2\n"


def test_what_is_large_or_no_text_or_elsewhere_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder.py").mkdir(parents=True)
    (root / "large.py").write_bytes(b"#" * (LARGEST_BYTES + 1))
    (root / "binary.py").write_bytes(b"\xff\xfe\x00")
    outside = tmp_path / "outside.py"
    outside.write_text("secret = 1\n", encoding="utf-8")
    try:
        (root / "link.py").symlink_to(outside)
    except OSError:
        pytest.skip("this system lets nobody link files")
    lines = "import folder\nimport large\nimport binary\nimport link\n"
    assert WorkspaceFiles().imported(at(f"{lines}‸", workspace=root.as_uri())) == []


def test_what_was_read_for_one_folder_is_not_given_to_another_that_only_links_to_it(
    tmp_path: Path,
) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    (inner / "b.py").write_text("one = 1\n", encoding="utf-8")
    try:
        (outer / "link").symlink_to(inner, target_is_directory=True)
    except OSError:
        pytest.skip("this system lets nobody link files")
    files = WorkspaceFiles()
    assert files.imported(at("import b\n‸", workspace=(outer / "link").as_uri()))
    assert not files.imported(at("import link.b\n‸", workspace=outer.as_uri()))


def test_the_number_of_files_is_bounded(tmp_path: Path) -> None:
    names = [f"module_{number}" for number in range(2 * MOST_FILES)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("x = 1\n", encoding="utf-8")
    lines = "".join(f"import {name}\n" for name in names)
    found = WorkspaceFiles().imported(at(f"{lines}‸", workspace=tmp_path.as_uri()))
    assert [document.path for document in found] == [
        f"{name}.py" for name in reversed(names[-MOST_FILES:])
    ]


def test_a_folder_on_another_machine_is_not_mistaken_for_one_here(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("one = 1\n", encoding="utf-8")
    there = tmp_path.as_uri().replace("file://", "file://host", 1)
    assert WorkspaceFiles().imported(at("import b\n‸", workspace=there)) == []


@pytest.mark.parametrize(
    "workspace", ["", "untitled:Untitled-1", "vscode-remote://host/w", "file://["]
)
def test_a_workspace_that_is_no_folder_has_no_files(workspace: str) -> None:
    assert WorkspaceFiles().imported(at("import b\n‸", workspace=workspace)) == []


def test_a_prompt_shows_how_what_is_imported_is_called(tmp_path: Path) -> None:
    source = "def cost(weight, distance):\n    return weight * distance\n"
    (tmp_path / "shop.py").write_text(source, encoding="utf-8")
    request = at("from shop import cost\n\nprint(cost(‸", workspace=tmp_path.as_uri())
    prompter = Prompter(None, StubMemory(), lambda _workspace: ())
    prompt = prompter.prompt(request, Config(), CancellationToken())
    assert prompt.snippets == (Snippet("shop.py", "def cost(weight, distance): ..."),)
