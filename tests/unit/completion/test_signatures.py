"""Heads of what is named near the cursor, from open files, imported files and out of sight."""

import pytest

from completion_samples import at
from falcon_lsp.completion.context import Surroundings, gather
from falcon_lsp.completion.signatures import near_uses, signatures
from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.completion.syntax import definitions
from falcon_lsp.config import ContextOptions

SHOP = '''
class Basket(Base):
    """What a customer wants.

    And more.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner

    async def total(
        self,
        tax: float,  # in percent
    ) -> float:
        """Return the sum."""


def empty(): pass
'''


def shop(path: str = "shop.py") -> OpenDocument:
    return OpenDocument(path, "python", SHOP, 1.0)


@pytest.mark.parametrize(
    ("language", "text", "heads"),
    [
        (
            "python",
            SHOP,
            [
                "class Basket(Base):",
                "def __init__(self, owner: str) -> None:",
                "async def total(self, tax: float,) -> float:",
                "def empty():",
            ],
        ),
        ("python", "try:\n    def a(): 1\nexcept E:\n    def b(): 2", ["def a():", "def b():"]),
        ("python", "@decorated\ndef a(x='#'):\n    def inner(): pass\n", ["def a(x='#'):"]),
        (
            "typescript",
            "export class A<T> extends B {\n  foo(x: number): string { return '' }\n}\n"
            "export const f = async (a: string) => { return 1 }\ninterface I { a: string }\n",
            [
                "class A<T> extends B",
                "foo(x: number): string",
                "f = async (a: string) =>",
                "interface I",
            ],
        ),
        ("javascript", "function g(a,\n  b) {}\n", ["function g(a, b)"]),
        ("prolog", "a :- b.", []),
    ],
)  # fmt: skip
def test_definitions_are_found_with_their_heads(language: str, text: str, heads: list[str]) -> None:
    assert [definition.head for definition in definitions(language, text)] == heads


def test_definitions_are_found_however_deep_they_lie() -> None:
    chain = "if (a) {}" + " else if (b) {}" * 600 + " else { function f(x) {} }"
    assert [definition.head for definition in definitions("javascript", chain)] == ["function f(x)"]


def test_a_docstring_gives_its_first_line() -> None:
    assert definitions("python", SHOP)[0].summary == '"""What a customer wants."""'
    assert definitions("python", SHOP)[2].summary == '"""Return the sum."""'


def test_a_class_is_shown_with_how_it_is_made() -> None:
    (shown,) = signatures(at("basket = Basket(‸"), [shop()], set())
    assert shown.path == "shop.py"
    assert shown.text.split("\n") == [
        "class Basket(Base):",
        '    """What a customer wants."""',
        "    def __init__(self, owner: str) -> None: ...",
    ]


def test_a_method_is_shown_inside_its_class() -> None:
    (shown,) = signatures(at("price = basket.total(‸"), [shop()], set())
    assert shown.text.startswith("class Basket(Base):\n    async def total(self, tax: float,)")


def test_the_name_nearest_to_the_cursor_comes_first() -> None:
    request = at("first = second\nthird.fourth(‸")
    names = [use.name for use in near_uses(request)]
    assert names == ["fourth", "third", "second", "first"]


@pytest.mark.parametrize("marked", ["total = ‸", "shop.empty = ‸", "from shop import empty ‸"])
def test_a_word_that_may_mean_anything_is_not_looked_up(marked: str) -> None:
    assert signatures(at(marked), [shop()], set()) == []


def test_a_name_that_is_defined_in_many_places_says_too_little() -> None:
    many = [shop(f"{number}.py") for number in range(3)]
    assert signatures(at("empty(‸"), many[:2], set()) != []
    assert signatures(at("empty(‸"), many, set()) == []


def test_what_is_in_sight_is_not_shown_again() -> None:
    assert signatures(at("empty(‸"), [shop()], {"def empty(): pass"}) == []
    request = at(SHOP + "\nempty(‸")
    assert gather(request, ContextOptions(), Surroundings()) == ()


def test_the_documents_own_definitions_are_shown_once_they_are_out_of_sight() -> None:
    request = at(SHOP + "\nfiller = 'and so on'\n" * 400 + "empty(‸")
    (shown,) = gather(request, ContextOptions(), Surroundings())
    assert (shown.path, shown.text) == ("a.py", "def empty(): ...")
