"""What the grammar says about places (insertions are covered by the golden files)."""

import subprocess
import sys
import threading

import pytest

from completion_samples import at
from falcon_lsp.completion import syntax


@pytest.mark.parametrize(
    ("language", "marked", "is_open"),
    [
        ("python", "def f():\n    ‸", True),
        ("python", "def f():‸", True),
        ("python", "def f(\n    a,\n) -> int:\n    ‸\n", True),
        ("python", 'def f():\n    """Do it."""\n    ‸\n', True),
        ("python", "if a:\n    b()\nelse:\n    ‸\n", True),
        (
            "python",
            "class A:\n    def f(self):\n        ‸\n\n    def g(self):\n        pass\n",
            True,
        ),
        ("python", "def f():\n    ‸\n    return 1\n", False),
        ("python", "def f():\n    a = 1\n    ‸", False),
        ("python", "x = {'a':‸", False),
        ("python", "def f():\n    ‸return 1\n", False),
        ("python", '"""\nfoo:\n    ‸', False),
        ("javascript", "function f() {\n  ‸\n}\n", True),
        ("javascript", "xs.map((x) => {‸", True),
        ("javascript", "const x = {\n  ‸\n}", False),
        ("javascript", "function f() {\n  ‸\n  g();\n}\n", False),
        ("typescript", "class A {\n  f(): void {\n    ‸\n  }\n}\n", True),
        ("rust", "fn f() {\n  ‸\n}\n", False),
    ],
)
def test_a_block_is_open_where_its_body_is_missing(
    language: str, marked: str, is_open: bool
) -> None:
    request = at(marked, language)
    assert syntax.open_block(language, request.prefix, request.suffix) is is_open


@pytest.mark.parametrize(
    ("language", "marked", "is_prose"),
    [
        ("python", "# a‸b", True),
        ("python", "# ab‸\nx", True),
        ("python", "# ab\n‸x", False),
        ("python", "x = 'a‸b'", True),
        ("python", "x = 'ab'‸", False),
        ("python", "x = 'ab‸", True),
        ("python", "x = f'{a‸}'", False),
        ("python", "def f():\n    '''a\n    ‸b'''\n", True),
        ("javascript", "`a‸${b}`", True),
        ("javascript", "`a${b‸}`", False),
        ("javascript", "/* a\n ‸ */", True),
        ("typescript", "const a: 'x‸y' = b", True),
        ("rust", 'let a = "b‸', True),
    ],
)
def test_comments_and_strings_are_told_from_code(
    language: str, marked: str, is_prose: bool
) -> None:
    request = at(marked, language)
    assert syntax.in_comment_or_string(language, request.text, request.offset) is is_prose


def test_a_language_without_grammar_is_unknown() -> None:
    assert syntax.parses_in_place("rust", "", "}}", "") is None


@pytest.mark.parametrize("before", ["x = 1\n" * 50_000, "x = 1; " * 50_000])
def test_a_document_too_long_to_parse_is_unknown(before: str) -> None:
    assert syntax.parses_in_place("python", before, "))", "") is None


def test_a_document_too_long_to_parse_is_not_remembered_either() -> None:
    known = syntax._defined.cache_info().currsize, syntax._parsed.cache_info().currsize
    assert syntax.definitions("python", "def a(): ...\n" * 50_000) == ()
    assert not syntax.open_block("python", "if x:\n" * 50_000)
    assert (syntax._defined.cache_info().currsize, syntax._parsed.cache_info().currsize) == known


def test_threads_do_not_share_parsers() -> None:
    verdicts: list[bool | None] = []

    def work(number: int) -> None:
        for index in range(20):
            before = f"x{number}_{index} = "
            verdicts.append(syntax.parses_in_place("python", before, "f(1)", "\n"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 80


def test_importing_the_hot_path_loads_nothing_heavy() -> None:
    code = (
        "import sys, pkgutil, importlib, falcon_lsp.completion as package\n"
        "for m in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(m.name)\n"
        "assert 'falcon_lsp.completion.service' in sys.modules\n"
        "heavy = ('torch', 'transformers', 'peft', 'chromadb', 'tree_sitter', 'tokenizers')\n"
        "print([m for m in sys.modules if m.split('.')[0].startswith(heavy)])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


EDITED = """\
import os


class Shop:
    def total(self, items):
        return sum(
            item.price
            for item in items
        )

    @property
    def name(self):
        '''Its name.'''
        return f"{self.a} é {self.b}"
"""


@pytest.mark.parametrize("candidate", ["", ")", "x = (", "if é:", "return [1, 2]", "+ 1", "'''"])
def test_reading_one_line_again_says_the_same_as_reading_all(candidate: str) -> None:
    """The trees may be built in two ways; what they say about an insertion is the same."""
    for offset in range(len(EDITED)):
        before, after = EDITED[:offset], EDITED[offset:]
        above, _, begun = before.rpartition("\n")
        rest, _, below = after.partition("\n")
        parts = (f"{above}\n" if "\n" in before else "", begun + candidate + rest, f"\n{below}")
        baseline = syntax._parse("python", parts[0] + parts[2])
        assert baseline is not None
        again = syntax._parse_with_line("python", baseline, parts)
        whole = syntax._parse("python", "".join(parts))
        assert whole is not None
        assert again.root_node.has_error == whole.root_node.has_error
        assert again.root_node.end_byte == whole.root_node.end_byte
