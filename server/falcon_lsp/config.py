"""Every option, its default and its bounds, in one frozen tree.

The editor's settings schema is tested to equal this file. A value that is wrong never stops the
server: the default stays, and one sentence says what was wrong.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IGNORED = "; the value is ignored"
"""How each sentence about a wrong value ends."""


def option(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    scope: str = "window",
) -> Any:
    """Declare one option; ``scope`` is VS Code's.

    No workspace can set ``machine`` options; ``resource`` ones may differ between its folders.
    """
    metadata = {"doc": doc, "low": low, "high": high, "choices": choices, "scope": scope}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class CompletionOptions:
    """When and how much to suggest."""

    deadline_ms: int = option(
        500, "Longest time to wait for a suggestion, in milliseconds.", low=50, high=30_000
    )
    cold_deadline_ms: int = option(
        1000, "The same for the first request in a document, whose context has to be read.",
        low=50, high=60_000,
    )  # fmt: skip
    max_tokens: int = option(48, "Longest suggestion, in tokens of the model.", low=1, high=512)
    multiline: str = option(
        "auto", "Suggest several lines: where syntax leaves a block open and empty, or never.",
        choices=("auto", "never"),
    )  # fmt: skip
    threshold: float = option(
        0.08, "Show nothing below this estimated chance of being accepted.", low=0.0, high=1.0
    )
    aggressiveness: str = option(
        "balanced", "How readily to suggest: `balanced` goes by the threshold, `eager` by half of "
        "it, `quiet` by twice as much.",
        choices=("eager", "balanced", "quiet"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """What the model gets to see besides the file itself."""

    prefix_tokens: int = option(
        640, "Budget for the text before the cursor, in tokens.", low=64, high=8192
    )
    suffix_tokens: int = option(
        160, "Budget for the text after the cursor, in tokens.", low=0, high=4096
    )
    snippet_tokens: int = option(
        192, "Budget for text from other places, in tokens.", low=0, high=4096
    )
    recall: bool = option(True, "Ask long-term memory for texts to copy from.")
    recall_examples: bool = option(
        False, "Show the model what long-term memory recalls, too; this has not paid so far."
    )
    recall_deadline_ms: int = option(
        40, "Longest wait for long-term memory, in milliseconds; a miss is no error.",
        low=1, high=1000,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """What is recorded, and for how long."""

    record: bool = option(True, "Record suggestions and what became of them, on this machine only.")
    ignore: tuple[str, ...] = option(
        ("**/.env*", "**/*secret*", "**/*credential*", "**/*.pem", "**/*.key"),
        "Files of which nothing is ever recorded (glob patterns); what git ignores is not either.",
    )
    max_records: int = option(
        100_000, "Most records kept in long-term memory.", low=100, high=10_000_000
    )


@dataclass(frozen=True, slots=True)
class LearningOptions:
    """The background trainer."""

    enable: bool = option(True, "Train in the background from recorded feedback.")
    instant: bool = option(
        True, "Let feedback change the very next suggestions: what was rejected, what is recalled, "
        "when to stay quiet. Off: the server behaves as if it had never been told anything.",
    )  # fmt: skip
    batch_episodes: int = option(
        128, "Finished episodes that make one training update. A fifth of them is kept back to "
        "judge it by: fewer are sooner learned from, and less surely for the better.",
        low=8, high=4096,
    )  # fmt: skip
    idle_seconds: float = option(20.0, "Quiet time before training, in seconds.", low=0, high=3600)
    threads: int = option(1, "Processor threads that training may use.", low=1, high=64)
    least_battery: int = option(
        100, "On battery, train only above this charge, in percent; 100 is never.",
        low=0, high=100,
    )  # fmt: skip
    most_busy: float = option(
        0.5, "Training pauses while other programs use more than this share of the processors.",
        low=0.0, high=1.0,
    )  # fmt: skip
    objective: str = option(
        "policy", "What training learns from: `policy` what was suggested, by what became of it; "
        "`supervised` the text that stayed; `preference` that before what was declined in its "
        "place; `kto` each text by itself, liked or not; `on-policy` fresh answers of the model, "
        "by tests (`falcon.sandbox.execute`) or their likeness to the text that stayed.",
        choices=("policy", "supervised", "preference", "kto", "on-policy"), scope="machine",
    )  # fmt: skip
    keep_adapters: int = option(5, "Adapter versions kept for rollback.", low=2, high=100)


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What may be executed, shut in."""

    execute: bool = option(
        False, "Learn from tests: run those that belong to a changed file (pytest), with a "
        "suggestion in place, in a sandbox without network or access to your files. Linux only; "
        "nothing is ever executed otherwise.",
        scope="machine",
    )  # fmt: skip
    interpreter: str = option(
        "", "Python that has pytest and the packages of what you work on; empty: the server's own.",
        scope="machine",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The whole tree; dotted camelCase paths under ``falcon.`` are the editor's names."""

    enable: bool = option(True, "Offer suggestions.", scope="resource")
    languages: tuple[str, ...] = option(
        ("python", "javascript", "javascriptreact", "typescript", "typescriptreact"),
        "Language ids in which suggestions are offered.",
        scope="resource",
    )
    ignore: tuple[str, ...] = option(
        (),
        "Files in which nothing is suggested, of which nothing is recorded, and which are shown to "
        "the model nowhere else (glob patterns). Files that look like ones of secrets always are.",
        scope="resource",
    )
    model: str = option(
        "default",
        "The model: `default` (built in), a Hugging Face id, or a folder.",
        scope="machine",
    )
    engine: str = option(
        "auto", "What runs the model: `onnx` in eight bits on the processor, `torch` in full on a "
        "GPU or the processor, `auto` what suits the machine; `fake` needs no weights and is for "
        "tests.",
        choices=("auto", "onnx", "torch", "fake"), scope="machine",
    )  # fmt: skip
    data_dir: str = option(
        "", "Folder for the ledger, the memory and adapters; empty: the platform's own.",
        scope="machine",
    )  # fmt: skip
    cache_dir: str = option(
        "", "Folder for converted models; empty: the platform's own.", scope="machine"
    )
    memory_server: str = option(
        "", "URL of a Chroma server that holds a team's long-term memory, such as "
        "`https://chroma.example.org`. **The text of your suggestions and of the code before them "
        "is sent there.** Empty: long-term memory stays on this machine.",
        scope="machine",
    )  # fmt: skip
    judge_server: str = option(
        "", "URL of a server that speaks OpenAI's chat completions, such as "
        "`http://127.0.0.1:11434/v1`, and judges in training how well suggestions do what was "
        "asked. **The text of your suggestions and of the code around them is sent there**, "
        "without what looks like a secret. Empty: nobody is asked.",
        scope="machine",
    )  # fmt: skip
    judge_model: str = option(
        "", "Name of the judge's model, as `falcon.judgeServer` knows it.", scope="machine"
    )
    interpreter: str = option(
        "", "Python that runs the server (read by the extension); empty: found by itself.",
        scope="machine",
    )  # fmt: skip
    completion: CompletionOptions = field(default_factory=CompletionOptions)
    context: ContextOptions = field(default_factory=ContextOptions)
    memory: MemoryOptions = field(default_factory=MemoryOptions)
    learning: LearningOptions = field(default_factory=LearningOptions)
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)


@dataclass(frozen=True, slots=True)
class Option:
    """One leaf of the tree, as the settings schema and the checks see it."""

    key: str
    path: tuple[str, ...]
    type: Any
    default: Any
    doc: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    scope: str


def options(cls: type = Config, path: tuple[str, ...] = ()) -> list[Option]:
    """Return every leaf of the tree in declaration order."""
    hints = typing.get_type_hints(cls)
    found: list[Option] = []
    for item in dataclasses.fields(cls):
        here = (*path, item.name)
        if dataclasses.is_dataclass(hints[item.name]):
            found += options(hints[item.name], here)
        else:
            key = ".".join(map(_camel, here))
            found.append(Option(key, here, hints[item.name], item.default, **item.metadata))
    return found


def from_client_options(raw: object, base: Config | None = None) -> tuple[Config, list[str]]:
    """Build a `Config` from what a client sent, and one sentence per value that was refused.

    Accepts nested objects and dotted keys, camelCase, with or without a ``falcon`` root. What is
    not mentioned, or wrong, stays as in ``base`` (default: the defaults).
    """
    base = base or Config()
    if raw is None:
        return base, []
    if not isinstance(raw, Mapping):
        return base, ["falcon: settings must be an object; they are ignored"]
    inner = raw.get("falcon")
    flat = _flatten(inner if isinstance(inner, Mapping) else raw)
    flat = {key.removeprefix("falcon."): value for key, value in flat.items()}
    values: dict[tuple[str, ...], Any] = {}
    problems: list[str] = []
    for leaf in options():
        if (value := flat.pop(leaf.key, None)) is None:
            continue
        try:
            values[leaf.path] = _checked(leaf, value)
        except ValueError as error:
            problems.append(f"falcon.{leaf.key}: {error}{IGNORED}")
    return _assemble(base, (), values), problems


def at_folder(config: Config, folder: Config) -> Config:
    """Return ``config`` with what ``folder``'s own settings may decide: all of scope resource."""
    own = {
        leaf.path[0]: getattr(folder, leaf.path[0])
        for leaf in options()
        if leaf.scope == "resource"  # all stand at the top of the tree
    }
    return dataclasses.replace(config, **own)


def _checked(leaf: Option, value: Any) -> Any:
    if typing.get_origin(leaf.type) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise ValueError("must be a list of strings")
        return tuple(value)
    if leaf.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not leaf.type:
        raise ValueError(f"must be of type {leaf.type.__name__}")
    if leaf.choices and value not in leaf.choices:
        raise ValueError(f"must be one of {', '.join(leaf.choices)}")
    if leaf.low is not None and not leaf.low <= value <= (leaf.high or leaf.low):
        raise ValueError(f"must lie between {leaf.low:g} and {leaf.high:g}")
    return value


def _assemble(base: Any, path: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> Any:
    """Return ``base`` with the given leaves replaced."""
    chosen: dict[str, Any] = {}
    for item in dataclasses.fields(base):
        here, value = (*path, item.name), getattr(base, item.name)
        if dataclasses.is_dataclass(value):
            chosen[item.name] = _assemble(value, here, values)
        else:
            chosen[item.name] = values.get(here, value)
    return type(base)(**chosen)


def _flatten(raw: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def schema() -> dict[str, dict[str, Any]]:
    """Return VS Code's ``contributes.configuration.properties`` for the whole tree."""
    return {f"falcon.{leaf.key}": _property(leaf) for leaf in options()}


_JSON_TYPES: Mapping[type, str] = types.MappingProxyType(
    {bool: "boolean", int: "integer", float: "number", str: "string"}
)


def _property(leaf: Option) -> dict[str, Any]:
    entry: dict[str, Any] = {"markdownDescription": leaf.doc, "scope": leaf.scope}
    if typing.get_origin(leaf.type) is tuple:
        entry |= {"type": "array", "items": {"type": "string"}, "default": list(leaf.default)}
        return entry
    entry |= {"type": _JSON_TYPES[leaf.type], "default": leaf.default}
    if leaf.low is not None:
        entry |= {"minimum": leaf.low, "maximum": leaf.high}
    if leaf.choices:
        entry["enum"] = list(leaf.choices)
    return entry
