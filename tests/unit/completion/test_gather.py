"""Text from other places: chosen, deduplicated, inside its budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from completion_samples import at
from falcon_lsp.completion import context, syntax
from falcon_lsp.completion.context import Surroundings, cost, gather
from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.config import ContextOptions
from falcon_lsp.core.types import Snippet

OPTIONS = ContextOptions()
SHIPPING = """
def shipping_cost(weight, distance):
    return weight * distance * 0.01


def tax(amount):
    return amount * 0.19
"""


def document(path: str, text: str, last_used: float = 1.0) -> OpenDocument:
    return OpenDocument(path, "python", text, last_used)


def test_the_open_file_that_shares_names_is_chosen() -> None:
    request = at("total = shipping_cost(weight, ‸")
    others = [document("math.py", "def sine(angle):\n    pass\n"), document("ship.py", SHIPPING)]
    assert [piece.path for piece in context.related(request, others)] == ["ship.py"]


def test_the_most_relevant_snippet_stands_last() -> None:
    """A prompt puts its last snippet nearest to the file itself: edits, memory, then files."""
    request = at("total = weight * distance * ‸")
    chosen = gather(
        request,
        OPTIONS,
        Surroundings(
            edits=[Snippet("edit.py", "edited = 1")],
            recalled=[Snippet("memory.py", "remembered = 1")],
            documents=[document("ship.py", SHIPPING)],
        ),
    )
    assert [snippet.path for snippet in chosen] == ["ship.py", "memory.py", "edit.py"]


def test_what_is_shown_already_is_left_out() -> None:
    request = at("remembered = 1\nother = ‸")
    twice = [
        Snippet("b.py", "new = 1"),
        Snippet("c.py", "new = 1"),
        Snippet("d.py", "remembered = 1"),
    ]
    chosen = gather(request, OPTIONS, Surroundings(recalled=twice))
    assert [snippet.path for snippet in chosen] == ["b.py"]


def test_the_line_that_is_being_typed_is_no_recent_edit() -> None:
    typing = [Snippet("a.py", "total = price * ( ) + tax")]
    request = at("total = price * (‸ ) + tax\n")
    assert gather(request, OPTIONS, Surroundings(edits=typing)) == ()


def test_a_long_snippet_is_cut_to_whole_lines() -> None:
    long = Snippet("b.py", "".join(f"line_{number} = {number}\n" for number in range(500)))
    (chosen,) = gather(at("‸"), OPTIONS, Surroundings(recalled=[long]))
    assert long.text.startswith(chosen.text + "\n")


def test_many_snippets_share_one_budget() -> None:
    many = [Snippet(f"{n}.py", f"name_{n} = value_{n}\n" + f"x{n}\n" * 9) for n in range(60)]
    chosen = gather(at("‸"), OPTIONS, Surroundings(many[:30], many[30:]))
    assert 2 < len(chosen) < 60
    assert sum(map(cost, chosen)) <= OPTIONS.snippet_tokens


@settings(deadline=None)
@given(
    texts=st.lists(st.text(st.sampled_from("abc\n é"), max_size=400), max_size=9),
    budget=st.integers(0, 300),
)
def test_the_sum_never_exceeds_the_budget(texts: list[str], budget: int) -> None:
    snippets = [Snippet(f"folder/{index}.py", text) for index, text in enumerate(texts)]
    chosen = gather(
        at("abc ‸"),
        ContextOptions(snippet_tokens=budget),
        Surroundings(
            edits=snippets[0::3],
            recalled=snippets[1::3],
            documents=[document(s.path, s.text) for s in snippets[2::3]],
        ),
    )
    assert sum(map(cost, chosen)) <= budget


def test_with_many_open_files_only_the_edited_one_is_parsed_again() -> None:
    around = Surroundings(
        documents=[document(f"{n}.py", f"def f{n}(): ...\n") for n in range(200)],
        imported=[document(f"lib/{n}.py", f"def g{n}(): ...\n") for n in range(8)],
    )
    for edit in range(4):
        request = at(f"above = {edit}\nvalue = f3(‸")
        before = syntax._defined.cache_info().misses
        gather(request, OPTIONS, around)
    assert syntax._defined.cache_info().misses == before + 1
