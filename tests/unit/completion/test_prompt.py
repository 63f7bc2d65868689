"""Windows around the cursor: inside their budgets, at line ends, still while the user types."""

from hypothesis import given, settings
from hypothesis import strategies as st

from completion_samples import CURSOR, at, typed
from falcon_lsp.completion.context import estimate_tokens
from falcon_lsp.completion.prompt import build_prompt
from falcon_lsp.config import ContextOptions
from falcon_lsp.core.types import Snippet

OPTIONS = ContextOptions()
LINES = [f"value_{number} = compute({number}, other={number * 7})\n" for number in range(400)]
BEFORE, AFTER = "".join(LINES[:200]), "".join(LINES[200:])
TYPED = "result = combine(value_1, value_2, key=lambda v: v\n"


def test_a_small_file_is_seen_whole() -> None:
    prompt = build_prompt(at("a = 1\nb = ‸\nc = 3\n"), (), OPTIONS)
    assert (prompt.prefix, prompt.suffix, prompt.path) == ("a = 1\nb = ", "\nc = 3\n", "a.py")


def test_windows_begin_and_end_with_lines() -> None:
    prompt = build_prompt(at(BEFORE + CURSOR + AFTER), (), OPTIONS)
    assert BEFORE.endswith("\n" + prompt.prefix)
    assert AFTER.startswith(prompt.suffix)
    assert prompt.suffix.endswith("\n")


def test_typing_fifty_characters_only_lengthens_the_prefix() -> None:
    request = at(BEFORE + CURSOR + AFTER)
    first = build_prompt(request, (), OPTIONS)
    assert len(TYPED) >= 50
    for count in range(1, len(TYPED) + 1):
        prompt = build_prompt(typed(request, TYPED[:count]), (), OPTIONS)
        assert prompt.prefix == first.prefix + TYPED[:count]
        assert prompt.suffix == first.suffix


@settings(deadline=None, max_examples=40)
@given(start=st.integers(0, len(BEFORE)))
def test_while_fifty_characters_are_typed_the_window_moves_at_most_once(start: int) -> None:
    request = at(BEFORE[:start] + CURSOR + AFTER)
    begins = []
    for count in range(51):
        now = typed(request, TYPED[:count])
        begins.append(now.offset - len(build_prompt(now, (), OPTIONS).prefix))
    assert len(set(begins)) <= 2


def test_crlf_never_reaches_the_model() -> None:
    prompt = build_prompt(at("a = 1\r\n‸\r\nb = 2\r\n"), (), OPTIONS)
    assert (prompt.prefix, prompt.suffix) == ("a = 1\n", "\nb = 2\n")


def test_snippets_are_passed_on_in_their_order() -> None:
    snippets = (Snippet("b.py", "far"), Snippet("c.py", "near"))
    assert build_prompt(at("‸"), snippets, OPTIONS).snippets == snippets


@settings(deadline=None)
@given(
    text=st.text(st.sampled_from("ab =(\n\r\tü"), max_size=3000),
    cut=st.floats(0, 1),
    prefix_tokens=st.integers(64, 400),
    suffix_tokens=st.integers(0, 200),
)
def test_windows_never_exceed_their_budgets(
    text: str, cut: float, prefix_tokens: int, suffix_tokens: int
) -> None:
    offset = int(cut * len(text))
    request = at(text[:offset] + CURSOR + text[offset:])
    options = ContextOptions(prefix_tokens=prefix_tokens, suffix_tokens=suffix_tokens)
    prompt = build_prompt(request, (), options)
    assert estimate_tokens(prompt.prefix) <= prefix_tokens
    assert estimate_tokens(prompt.suffix) <= suffix_tokens
    assert request.prefix.replace("\r\n", "\n").endswith(prompt.prefix)
