"""Facts about finding the tests that belong to a file, and what of a workspace is copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from falcon_lsp.sandbox import related
from falcon_lsp.sandbox.related import related_tests, workspace_files

WORKSPACE = {
    "pyproject.toml": "",
    "src/shop/__init__.py": "",
    "src/shop/cart.py": "",
    "src/shop/prices.py": "",
    "src/shop/tax/__init__.py": "",
    "tests/test_cart.py": "",
    "tests/deep/cart_test.py": "",
    "tests/test_checkout.py": "from shop.cart import Cart",
    "tests/test_names.py": "from shop import cart, prices",
    "tests/test_shop.py": "import shop",
    "tests/test_tax.py": "from shop.tax import rate",
    "tests/test_broken.py": "def (",
    "tests/test_other.py": "import json  # shop.cart",
    "tests/helpers.py": "from shop import cart",
    ".hidden/test_cart.py": "",
    ".env": "KEY=1",
    "venv/pyvenv.cfg": "",
    "venv/test_cart.py": "",
    "node_modules/test_cart.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in WORKSPACE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("src/shop/cart.py", ["tests/deep/cart_test.py", "tests/test_cart.py",
                              "tests/test_checkout.py", "tests/test_names.py",
                              "tests/test_shop.py"]),
        ("src/shop/prices.py", ["tests/test_names.py", "tests/test_shop.py"]),
        ("src/shop/tax/__init__.py", ["tests/test_tax.py", "tests/test_names.py",
                                      "tests/test_shop.py"]),
        ("tests/test_other.py", ["tests/test_other.py"]),
        ("README.md", []),
    ],
)  # fmt: skip
def test_the_closest_come_first(root: Path, changed: str, tests: list[str]) -> None:
    assert related_tests(workspace_files(root), changed) == tests


def test_no_more_are_named_than_wanted(root: Path) -> None:
    assert related_tests(workspace_files(root), "src/shop/cart.py", most=1) == [
        "tests/deep/cart_test.py"
    ]


def test_hidden_files_and_environments_stay_where_they_are(root: Path) -> None:
    names = set(workspace_files(root))
    left_out = {name for name in WORKSPACE if name.startswith((".", "venv", "node_modules"))}
    assert names == set(WORKSPACE) - left_out


def test_links_are_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text("x", encoding="utf-8")
    try:
        (root / "link").symlink_to(outside, target_is_directory=True)
        (root / "file").symlink_to(outside / "secret")
    except OSError:
        pytest.skip("links cannot be made here")
    assert not {"link/secret", "file"} & set(workspace_files(root))


@pytest.mark.parametrize(("bound", "value"), [("MOST_FILES", 3), ("MOST_BYTES", 10)])
def test_a_huge_workspace_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(related, bound, value)
    with pytest.raises(related.WorkspaceTooLargeError):
        workspace_files(root)


def test_a_large_file_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(related, "LARGEST_FILE", 10)
    assert "tests/test_tax.py" not in workspace_files(root)
    assert "tests/test_cart.py" in workspace_files(root)
