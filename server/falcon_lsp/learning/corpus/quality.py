"""Tell hand-written code from what only looks like it: generated, vendored, packed, tabular."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import PurePosixPath

LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".mts": "typescript",
}
SIZES = range(400, 120_001)
"""Bytes of a file worth reading: smaller ones are stubs, larger ones tables or bundles."""

_VENDORED = re.compile(
    r"(^|/)(_?vendor(ed|ized)?|_?third_?party|extern(al|als|s)?|_?bundled|site-packages|"
    r"node_modules|bower_components|deps)/",
    re.IGNORECASE,
)
_TESTS = re.compile(
    r"(^|/)(tests?|testing|__tests__|__mocks__|unit_?tests?|test_?suite|fixtures?|testdata|"
    r"test_?data|samples?|golden|snapshots?)/|(^|/)(tests?_[^/]*|[^/]*_tests?|tests?|conftest)\.py$"
    r"|\.(test|spec)\.[a-z]+$",
    re.IGNORECASE,
)
_GENERATED_PATH = re.compile(
    r"(^|/)(locale|locales|_?generated|gen|protos?|_gapic|"
    r"dist|build|bundles?|umd|esm|cjs|min|lib-?(esm|cjs)|fesm\d*)/"
    r"|(^|/)(migrations/\d{3}|alembic/versions/|versions/[0-9a-f]{10,}_)"
    r"|(_pb2(_grpc)?|_pb|parsetab|lextab|_version|versioneer|_generated|_autogen|resources_rc)\.py$"
    r"|(\.min|\.bundle|-min|\.umd|\.d|\.generated)\.[a-z]+$",
    re.IGNORECASE,
)
_GENERATED_TEXT = re.compile(
    r"do not (manually )?(edit|modify)|auto-?(matically )?generated|@generated|"
    r"(file|code|module|client|script) (is|was|has been) generated|"
    r"^\W*(this |file |code )*generated (by|from|with|using)|code generator|__webpack_require__",
    re.IGNORECASE | re.MULTILINE,
)
_BLOB = re.compile(r"[A-Za-z0-9+/=]{160,}|(?:\\x[0-9a-fA-F]{2}){24,}|(?:\\u[0-9a-fA-F]{4}){24,}")
_DIGIT = re.compile(r"\d")
_LONGEST_LINE = 300
_MEAN_LINE = 70
_DIGITS = 0.16
_FOREIGN = 0.08
_LITERALS = 0.55
_TABLE_ROWS = 300
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def path_flaw(path: str) -> str | None:
    """Return why a file of this path is left out, or None."""
    if PurePosixPath(path).suffix not in LANGUAGES:
        return "other language"
    if _VENDORED.search(path):
        return "vendored"
    if _TESTS.search(path):
        return "tests"
    return "generated" if _GENERATED_PATH.search(path) else None


def text_flaw(path: str, text: str) -> str | None:
    """Return why a file of this text is left out, or None."""
    if _GENERATED_TEXT.search(text[:1000]) or "sourceMappingURL" in text[-300:]:
        return "generated"
    lines = text.splitlines()
    if max(map(len, lines)) > _LONGEST_LINE or len(text) / len(lines) > _MEAN_LINE:
        return "long lines"
    if _BLOB.search(text):
        return "blob"
    visible = len("".join(text.split())) or 1
    if len(_DIGIT.findall(text)) / visible > _DIGITS:
        return "table"
    if (len(text.encode()) - len(text)) / 2 / visible > _FOREIGN:
        return "not English"
    return _python_flaw(text) if path.endswith(".py") else _script_flaw(text)


def _python_flaw(text: str) -> str | None:
    """Parse Python; it must define something, and most of it, docstrings aside, no literals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return "does not parse"
    literal = 0
    defines = False
    for node in ast.walk(tree):
        if _rows(node) >= _TABLE_ROWS:
            return "table"
        if isinstance(node, _DEFINITIONS):
            defines = True
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            literal -= _weight(node.value)
        elif isinstance(node, ast.Constant):
            literal += _weight(node)
    if not defines:
        return "no definitions"
    return "table" if literal / len(text) > _LITERALS else None


def _weight(constant: ast.Constant) -> int:
    """Return about how many characters a literal takes."""
    return len(constant.value) if isinstance(constant.value, str | bytes) else 4


def _rows(node: ast.AST) -> int:
    if isinstance(node, ast.Dict):
        return len(node.keys)
    return len(node.elts) if isinstance(node, ast.List | ast.Tuple | ast.Set) else 0


_SCRIPT_DEFINITION = re.compile(
    r"\bfunction\b|=>|\bclass\s+\w|^\s*(?:export\s+)?(?:interface|type)\s+\w|\w\s*\([^()]*\)\s*\{",
    re.MULTILINE,
)
_COMPILED = re.compile(
    r"__esModule|_interopRequire|__importDefault|__awaiter|_createClass|_classCallCheck|"
    r"__commonJS|__export\(|tslib|_asyncToGenerator|__rest\b|__decorate|regeneratorRuntime|"
    r"\(0, \w+\.\w+\)\("
)


def _script_flaw(text: str) -> str | None:
    """Look at JavaScript or TypeScript: brackets balance roughly, no mark of a compiler."""
    if _COMPILED.search(text):
        return "generated"
    if any(abs(text.count(a) - text.count(b)) > 3 for a, b in ("()", "{}", "[]")):
        return "does not parse"
    return None if _SCRIPT_DEFINITION.search(text) else "no definitions"
