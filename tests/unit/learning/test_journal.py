"""The journal of an update: what was written whole comes back, nothing else does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch

from episodes_factory import episode, events_of
from falcon_lsp.core.paths import Store
from falcon_lsp.learning.background.worker import open_journal
from falcon_lsp.learning.forgetting import unlearn
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.memory.ledger import Ledger

STATE = [torch.arange(3.0)]


def page_file(folder: Path) -> Path:
    (file,) = folder.glob("*.page")
    return file


def test_what_was_written_comes_back(tmp_path) -> None:
    page = Journal(tmp_path / "new", "base").page(STATE, "run")
    assert page.read() is None
    page.write({"a": STATE[0]}, {"steps": [1.5], "stopped": "é"})
    tensors, facts = Journal(tmp_path / "new", "base").page(STATE, "run").read() or ({}, {})
    assert torch.equal(tensors["a"], STATE[0])
    assert (list(tensors), facts) == (["a"], {"steps": [1.5], "stopped": "é"})


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "zero"])
def test_a_damaged_page_is_no_page(tmp_path, harm) -> None:
    page = Journal(tmp_path, "base").page(STATE, "run")
    page.write({"a": torch.ones(1000)}, {})
    file = page_file(tmp_path)
    content = bytearray(file.read_bytes())
    if harm == "flip":
        content[2000] ^= 1
    if harm == "zero":
        content[-50:] = bytes(50)
    file.write_bytes({"cut": content[:-1], "empty": b""}.get(harm, content))
    assert page.read() is None


def test_a_batch_is_remembered_until_its_update_ends(tmp_path) -> None:
    journal = Journal(tmp_path / "journal", "base")
    assert journal.batch() == []
    journal.begin(["a", "b"])
    journal.page(STATE, "run").write({}, {})
    journal.begin(["a", "b"])
    assert (journal.batch(), page_file(journal.folder).exists()) == (["a", "b"], True)
    journal.clear()
    assert (journal.batch(), journal.folder.exists()) == ([], False)


def test_another_batch_begins_with_an_empty_journal(tmp_path) -> None:
    journal = Journal(tmp_path, "base")
    journal.begin(["a"])
    journal.page(STATE, "run").write({}, {})
    journal.begin(["b"])
    assert list(tmp_path.glob("*.page")) == []


def test_without_a_folder_nothing_is_kept() -> None:
    NO_JOURNAL.begin(["a"])
    page = NO_JOURNAL.page(STATE, "run")
    page.write({"a": STATE[0]}, {})
    assert (page.read(), NO_JOURNAL.batch()) == (None, [])


def test_what_is_forgotten_takes_the_journal_with_it(tmp_path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    journal = open_journal(store)
    with closing(Ledger(store.ledger)) as ledger:
        ledger.append(events_of(episode("cmp-1")))
        journal.begin(["cmp-1"])
        journal.page(STATE, "run").write({"a": STATE[0]}, {})
        ledger.forget(completion_ids=["cmp-1"])
        assert unlearn(store, ledger)[1]
    assert not store.training.exists()


def test_stores_that_share_a_cache_keep_journals_apart(tmp_path) -> None:
    one, other = (Store(tmp_path / name, tmp_path / "cache") for name in ("one", "other"))
    open_journal(one).begin(["cmp-1"])
    open_journal(other).begin(["cmp-2"])
    open_journal(other).clear()
    assert open_journal(one).batch() == ["cmp-1"]
