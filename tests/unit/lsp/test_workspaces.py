"""Which workspace a document belongs to, and so whose memory it may see."""

from __future__ import annotations

import pytest

from falcon_lsp.lsp.convert import relative_path, workspace_of

FOLDERS = ["file:///code/shop", "file:///code/shop/plugins", "file:///code/bank/"]


@pytest.mark.parametrize(
    ("uri", "workspace", "path"),
    [
        ("file:///code/shop/a/b.py", "file:///code/shop", "a/b.py"),
        ("file:///code/shop/plugins/b.py", "file:///code/shop/plugins", "b.py"),
        ("file:///code/bank/b%20c.py", "file:///code/bank/", "b c.py"),
        ("file:///code/shopping/b.py", "file:///code/shopping", "b.py"),
        ("untitled:Untitled-1", "file:///code/shop", "Untitled-1"),
        ("untitled:/code/new.py", "untitled:/code", "new.py"),
    ],
)
def test_a_document_belongs_to_one_workspace(uri: str, workspace: str, path: str) -> None:
    assert workspace_of(uri, FOLDERS) == workspace
    assert relative_path(uri, workspace) == path


def test_unsaved_documents_share_nothing_where_no_folder_is_open() -> None:
    one, two = (workspace_of(f"untitled:Untitled-{number}", []) for number in (1, 2))
    assert one != two
    assert "" not in {one, two}
