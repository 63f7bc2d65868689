"""The document store: what is applied, what is clamped, what is refused and counted."""

from collections import Counter

import pytest

from falcon_lsp.core.text import Position
from falcon_lsp.core.types import TextEdit
from falcon_lsp.lsp import documents
from falcon_lsp.lsp.documents import ContentChange, DocumentStore, Range

URI = "file:///a.py"


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def store(counted: Counter[str]) -> DocumentStore:
    return DocumentStore(lambda name: counted.update([name]))


def change(text: str, *places: int) -> ContentChange:
    first, second = Position(*places[:2]), Position(*places[2:])
    return ContentChange(text, Range(first, second))


def test_a_change_tells_before_after_and_edits_in_characters(store: DocumentStore) -> None:
    store.open(URI, "python", 1, "a😀b\n")
    done = store.change(URI, 2, [change("X", 0, 3, 0, 4), change("Y", 0, 0, 0, 1)])
    assert done is not None
    before, after, edits = done
    assert (before.text, after.text, after.version) == ("a😀b\n", "Y😀X\n", 2)
    assert edits == (TextEdit(2, 3, "X"), TextEdit(0, 1, "Y"))
    assert store.last_change(URI) == done
    assert store.last_change("file:///other") is None


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((0, 99, 0, 99), "abX\ncd"),
        ((9, 0, 9, 0), "ab\ncdX"),
        ((1, 1, 0, 1), "aXd"),
        ((0, 0, 99, 99), "X"),
    ],
)
def test_a_range_outside_the_text_is_clamped_and_a_reversed_one_turned(
    store: DocumentStore, places: tuple[int, ...], expected: str
) -> None:
    store.open(URI, "python", 1, "ab\ncd")
    store.change(URI, 2, [change("X", *places)])
    snapshot = store.get(URI)
    assert snapshot is not None
    assert snapshot.text == expected


def test_a_change_without_a_range_replaces_everything(store: DocumentStore) -> None:
    store.open(URI, "python", 1, "old")
    done = store.change(URI, 2, [ContentChange("new text")])
    assert done is not None
    assert done.edits == (TextEdit(0, 3, "new text"),)


def test_what_is_not_open_is_counted_and_ignored(
    store: DocumentStore, counted: Counter[str]
) -> None:
    assert store.change(URI, 1, [ContentChange("x")]) is None
    assert store.save(URI) is None
    assert store.close(URI) is None
    assert store.get(URI) is None
    assert counted == {"document_unknown": 3}


def test_a_large_document_is_known_but_not_kept_until_opened_again(
    store: DocumentStore, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_CHARACTERS", 10)
    store.open(URI, "python", 1, "x" * 10)
    assert store.change(URI, 2, [change("y", 0, 0, 0, 0)]) is None
    assert store.too_large(URI)
    assert store.get(URI) is None
    assert store.change(URI, 3, [change("", 0, 0, 0, 1)]) is None
    assert counted == {"document_too_large": 2}
    assert (store.uris(), store.recent()) == ([URI], [])
    store.open(URI, "python", 4, "small")
    assert not store.too_large(URI)
    assert store.open(URI, "python", 5, "x" * 11) is None


def test_a_failed_change_is_no_last_change(store: DocumentStore) -> None:
    store.open(URI, "python", 1, "a")
    store.change(URI, 2, [ContentChange("b")])
    store.change("file:///unknown", 2, [ContentChange("b")])
    assert store.last_change(URI) is None


def test_lone_surrogates_are_replaced_by_a_character_of_the_same_width(
    store: DocumentStore,
) -> None:
    store.open(URI, "python", 1, "a\ud83db")
    store.change(URI, 2, [change("\ude00", 0, 3, 0, 3)])
    snapshot = store.get(URI)
    assert snapshot is not None
    assert snapshot.text == "a\ufffdb\ufffd"


def test_the_last_changed_document_is_the_most_recent(
    store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100, 200))
    monkeypatch.setattr(documents.time, "time", lambda: next(clock))
    for uri in ("a", "b", "c"):
        store.open(uri, "python", 1, uri)
    store.change("a", 2, [ContentChange("changed")])
    assert [(d.uri, d.text) for d in store.recent()] == [("a", "changed"), ("c", "c"), ("b", "b")]
    store.close("c")
    assert [d.uri for d in store.recent()] == ["a", "b"]
    assert store.uris() == ["a", "b"]
