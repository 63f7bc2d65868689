"""One request after another through the whole list of steps, with a stub for the engine."""

import random
import string
from dataclasses import replace

import pytest

from completion_samples import WORKSPACE, StubEngine, StubMemory, at, typed
from falcon_lsp.completion.prompter import Prompter
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import CompletionOptions, Config, ContextOptions, LearningOptions
from falcon_lsp.core.cancellation import CancellationToken, DeadlineExceeded
from falcon_lsp.core.types import CompletionRequest, Outcome, Snippet, TextEdit
from falcon_lsp.memory.edits import Edit, Edits
from falcon_lsp.memory.events import Place, outcome, suggested
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.fake import FakeEngine
from memory_samples import change

OTHER = ("other.py", "python", "logger = logging.getLogger(__name__)\n", 1.0)
REQUEST = at("def f(a, b):\n    total = ‸\n")


class Setting:
    """A service and the parts that it was given."""

    def __init__(self, engine: StubEngine | None, config: Config | None = None) -> None:
        self.engine = engine
        self.memory = StubMemory()
        self.documents = {WORKSPACE: [OTHER]}
        self.config = config or Config()
        self.service = CompletionService(
            engine=lambda: self.engine,
            memory=self.memory,
            short_term=self.memory,
            config=lambda: self.config,
            open_documents=lambda workspace: self.documents.get(workspace, []),
            draw=lambda: 1.0,
        )

    def texts(self, request: CompletionRequest) -> list[str]:
        answer = self.service.answer(request, CancellationToken())
        return [suggestion.text for suggestion in answer.suggestions]

    def reason(self, request: CompletionRequest, token: CancellationToken | None = None) -> str:
        answer = self.service.answer(request, token or CancellationToken())
        assert answer.suggestions == ()
        return answer.reason


def test_a_suggestion_carries_all_that_learning_needs() -> None:
    setting = Setting(StubEngine("a + b\n"))
    answer = setting.service.answer(REQUEST, CancellationToken())
    (suggestion,) = answer.suggestions
    assert (suggestion.text, suggestion.offset, suggestion.line) == ("a + b", REQUEST.offset, 1)
    assert (suggestion.model_id, suggestion.adapter_id) == ("stub-model", "stub-adapter")
    assert suggestion.token_ids == tuple(map(ord, "a + b\n"))
    assert len(suggestion.logprobs) == len(suggestion.token_ids)
    assert (suggestion.healed_chars, suggestion.propensity) == (1, 1.0)
    assert suggestion.prompt == setting.engine.prompts[0]
    assert suggestion.completion_id.startswith("cmp-")
    assert list(answer.timings_ms) == ["cache", "context", "repeat", "engine", "filters"]
    assert answer.reason == ""


def test_typing_through_a_suggestion_asks_no_engine() -> None:
    setting = Setting(StubEngine("combine(a, b)"))
    (first,) = setting.service.answer(REQUEST, CancellationToken()).suggestions
    for count in range(1, len(first.text)):
        answer = setting.service.answer_fast(typed(REQUEST, first.text[:count]))
        assert answer is not None
        assert answer.suggestions[0].text == first.text[count:]
        assert answer.suggestions[0].completion_id == first.completion_id
    assert len(setting.engine.prompts) == 1


def test_after_a_partial_accept_the_rest_is_offered_by_either_way() -> None:
    setting = Setting(StubEngine("combine(a, b)"))
    setting.texts(REQUEST)
    assert setting.texts(typed(REQUEST, "combine")) == ["(a, b)"]
    assert len(setting.engine.prompts) == 1


def test_leaving_the_suggestion_asks_the_engine_again() -> None:
    setting = Setting(StubEngine("combine(a, b)", "min(a, b)"))
    setting.texts(REQUEST)
    assert setting.service.answer_fast(typed(REQUEST, "x")) is None
    setting.texts(typed(REQUEST, "x"))
    assert len(setting.engine.prompts) == 2


def test_a_cancelled_generation_ends_between_two_tokens() -> None:
    def cancel(count: int, token: CancellationToken) -> None:
        if count == 2:
            token.cancel()

    setting = Setting(StubEngine("combine(a, b)", on_token=cancel))
    assert setting.reason(REQUEST) == "cancelled"
    assert setting.engine.said == 2


def test_a_request_cancelled_before_its_turn_never_reaches_the_engine() -> None:
    setting = Setting(StubEngine("combine(a, b)"))
    token = CancellationToken()
    token.cancel()
    assert setting.reason(REQUEST, token) == "cancelled"
    assert setting.engine.prompts == []
    assert setting.memory.asked == []


def expire_at(position: int, text: str) -> StubEngine:
    def expire(count: int, token: CancellationToken) -> None:
        if count == position:
            token.deadline = 0.0

    return StubEngine(text, on_token=expire)


def test_at_the_deadline_a_usable_piece_is_offered() -> None:
    setting = Setting(expire_at(len("combine(a, b) * fac"), "combine(a, b) * factor(a)"))
    assert setting.reason(REQUEST) == "timed out"
    setting = Setting(expire_at(len("combine(a, sq"), "combine(a, square(b))"))
    (suggestion,) = setting.service.answer(REQUEST, CancellationToken()).suggestions
    assert suggestion.text == "combine(a,"
    assert len(suggestion.token_ids) == len("combine(a, sq")


def test_at_the_deadline_half_a_word_is_not_offered() -> None:
    assert Setting(expire_at(4, "combine(a, b)")).reason(REQUEST) == "timed out"


def test_an_expired_request_asks_no_engine_but_may_copy() -> None:
    setting = Setting(StubEngine("anything"))
    request = at("import logging\n\nlogger = logging.‸\n")
    answer = setting.service.answer(request, CancellationToken(timeout=0))
    assert [(s.text, s.source) for s in answer.suggestions] == [("getLogger(__name__)", "copy")]
    assert setting.reason(REQUEST, CancellationToken(timeout=0)) == "timed out"
    assert setting.engine.prompts == []


def test_a_copy_stands_in_where_there_is_no_model() -> None:
    setting = Setting(None)
    assert setting.texts(at("import logging\n\nlogger = logging.‸\n")) == ["getLogger(__name__)"]
    assert setting.reason(REQUEST) == "no model"


MODEL, COPY = 'getLogger("app")', "getLogger(__name__)"


@pytest.mark.parametrize(
    ("says", "copies", "first"),
    [(-0.01, -1.0, MODEL), (-1.0, -0.5, COPY), (-0.1, -0.1, COPY)],
)
def test_the_text_that_model_and_match_find_likelier_comes_first(
    says: float, copies: float, first: str
) -> None:
    engine = StubEngine(MODEL, logprob=says, copy_logprob=copies)
    request = at("import logging\n\nlogger = logging.‸\n", invoked=True)
    texts = Setting(engine).texts(request)
    assert (texts[0], set(texts), engine.scored) == (first, {MODEL, COPY}, [COPY])


def test_what_the_model_thinks_of_a_copy_is_not_taken_for_what_it_sampled() -> None:
    request = at("import logging\n\nlogger = logging.‸\n", invoked=True)
    setting = Setting(StubEngine(MODEL))
    answer = setting.service.answer(request, CancellationToken())
    (copied,) = (each for each in answer.suggestions if each.source == "copy")
    assert (copied.token_ids, copied.logprobs) == ((), ())


@pytest.mark.parametrize("error", [EngineError("no"), DeadlineExceeded(), RuntimeError("secret")])
def test_a_copy_that_cannot_be_scored_is_offered_for_its_match(error: Exception) -> None:
    class Unwilling(StubEngine):
        def score(self, *_: object) -> tuple[float, ...]:
            raise error

    request = at("import logging\n\nlogger = logging.‸\n", invoked=True)
    assert Setting(Unwilling(MODEL, logprob=-0.01)).texts(request) == [MODEL, COPY]
    assert Setting(Unwilling(MODEL, logprob=-1.0)).texts(request) == [COPY, MODEL]


def test_drafts_come_from_the_file_what_was_recalled_and_other_open_files() -> None:
    setting = Setting(StubEngine("a + b"))
    setting.memory.recalled[WORKSPACE] = [Snippet("m.py", "remembered = 1 + 2\n")]
    setting.texts(at("above = 1 + 3\ntotal = ‸\nbelow = 1 + 4\n"))
    (sources,) = setting.engine.sources
    for text, follows in (
        ("logger = log", "ging"), ("remembered = ", "1 + 2"), ("above = ", "1 + 3"),
        ("below = ", "1 + 4"),
    ):  # fmt: skip
        found = sources.follow(text, 8)
        assert found is not None
        assert found.text.startswith(follows)


def test_model_and_copy_that_agree_are_one_suggestion_of_the_model() -> None:
    setting = Setting(StubEngine("getLogger(__name__)"))
    request = at("import logging\n\nlogger = logging.‸\n")
    (suggestion,) = setting.service.answer(request, CancellationToken()).suggestions
    assert suggestion.source == "model"


@pytest.mark.parametrize(
    ("marked", "says", "reason"),
    [
        ("total = ‸\n", "2 2", "filtered: syntax"),
        ("total = ‸\n", "\u202etxt", "filtered: odd characters"),
        ("total = ‸\n", "  ", "nothing to add"),
        ("total = ‸\n", "f", "filtered: too short"),
        ("tot‸al = 1\n", "f(x)", "quiet"),
    ],
)
def test_the_reason_says_why_nothing_came(marked: str, says: str, reason: str) -> None:
    assert Setting(StubEngine(says)).reason(at(marked)) == reason


def secret() -> str:
    rng = random.Random(5)
    return "".join(rng.choices(string.ascii_letters + string.digits, k=24))


def test_a_secret_of_another_file_is_neither_said_nor_copied() -> None:
    line = f'client = connect(host, api_key="{secret()}")'
    for engine in (StubEngine(f'{secret()}")'), None):
        setting = Setting(engine)
        setting.documents = {WORKSPACE: [("config.py", "python", f"{line}\n", 1.0)]}
        request = at('client = connect(host, api_key="‸\n')
        assert setting.texts(request) == []
        own = at(f'{line}\na = 1\nb = 2\nc = 3\nd = 4\nclient = connect(host, api_key="‸\n')
        assert setting.texts(replace(own, invoked=True)) == [f'{secret()}")']


def test_a_doubtful_suggestion_stays_unsaid_unless_asked_for() -> None:
    setting = Setting(StubEngine("a + b", logprob=-3.0))
    assert setting.reason(REQUEST) == "quiet"
    assert setting.texts(replace(REQUEST, invoked=True)) == ["a + b"]


def test_it_counts_what_the_engine_said_and_in_how_many_passes() -> None:
    service = CompletionService(
        engine=FakeEngine,
        memory=None,
        short_term=StubMemory(),
        config=Config,
        open_documents=lambda _workspace: [],
    )
    service.answer(at("a = make_total(x)\nb = make_‸\n"), CancellationToken())
    said = len("total(x)")
    assert service.counts == {"tokens": said, "passes": said, "drafted": 0, "accepted": 0}


def test_what_was_rejected_before_does_not_come_back() -> None:
    setting = Setting(StubEngine("a + b"))
    setting.memory.rejected.add((WORKSPACE, "a + b"))
    assert setting.reason(REQUEST) == "rejected before"


def test_short_term_memory_keeps_a_rejected_line_away() -> None:
    """With the real short-term memory and the engine that needs no weights."""
    short_term = ShortTermMemory()
    service = CompletionService(
        engine=FakeEngine,
        memory=None,
        short_term=short_term,
        config=Config,
        open_documents=lambda _workspace: [],
        draw=lambda: 1.0,
    )
    request = at("a = make_total(x)\nb = make_‸\n", invoked=True)
    (suggestion, *_) = service.answer(request, CancellationToken()).suggestions
    place = Place(suggestion.completion_id, WORKSPACE, "a.py", "python")
    short_term.observe(suggested(place, suggestion))
    no = outcome(place, Outcome.REJECTED, chars_kept=0, elapsed_ms=1.0, inferred=False)
    short_term.observe(no)
    again = service.answer(request, CancellationToken())
    assert suggestion.text not in [each.text for each in again.suggestions]
    assert again.reason == "rejected before"


def test_a_rejection_reaches_the_cache_too() -> None:
    setting = Setting(StubEngine("a + b", "a * b"))
    assert setting.texts(REQUEST) == ["a + b"]
    setting.memory.rejected.add((WORKSPACE, "a + b"))
    assert setting.texts(REQUEST) == ["a * b"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EngineError("the model folder is gone; run setup"), "the model folder is gone; run setup"),
        (RuntimeError("secret text"), "the model failed; the log says why"),
    ],
)
def test_a_failing_engine_is_a_reason_and_no_crash(error: Exception, reason: str) -> None:
    def fail(_count: int, _token: CancellationToken) -> None:
        raise error

    assert Setting(StubEngine("a + b", on_token=fail)).reason(REQUEST) == reason


def test_a_failing_memory_costs_only_its_snippets() -> None:
    setting = Setting(StubEngine("a + b"))
    setting.memory.error = RuntimeError("index is rebuilt")
    assert setting.texts(REQUEST) == ["a + b"]


def test_recall_gets_its_own_short_deadline() -> None:
    setting = Setting(StubEngine("a + b"), Config(context=ContextOptions(recall_deadline_ms=30)))
    setting.service.answer(REQUEST, CancellationToken(timeout=60))
    assert setting.memory.asked == [(WORKSPACE, 30)]


def test_recall_can_be_switched_off() -> None:
    setting = Setting(StubEngine("a + b"), Config(context=ContextOptions(recall=False)))
    setting.texts(REQUEST)
    assert setting.memory.asked == []


def test_while_a_line_is_typed_the_prompt_only_grows() -> None:
    """Memory is asked once, the snippets stay, even when the editor closes a bracket."""
    setting = Setting(StubEngine("zz"))
    setting.memory.recalled[WORKSPACE] = [Snippet("m.py", "remembered = 1")]
    setting.texts(REQUEST)
    setting.memory.recalled[WORKSPACE] = [Snippet("m.py", "something_else = 2")]
    for text, closed in (("c", ""), ("co", ""), ("combine(", ")"), ("combine(a", ")")):
        setting.texts(typed(REQUEST, text, closed))
    assert len(setting.memory.asked) == 1
    prompts = setting.engine.prompts
    assert {prompt.snippets for prompt in prompts} == {prompts[0].snippets}
    assert [prompt.prefix.startswith(prompts[0].prefix) for prompt in prompts] == [True] * 5


def test_another_place_renews_the_context() -> None:
    setting = Setting(StubEngine("zz"))
    setting.texts(at("a = ‸\n\nb = 1\n"))
    setting.texts(at("a = 1\n\nb = ‸\n"))
    assert len(setting.memory.asked) == 2


def test_nothing_of_one_workspace_reaches_another() -> None:
    setting = Setting(StubEngine("first_text()", "second_text()"))
    mine, theirs = WORKSPACE, "file:///theirs"
    canary = "canary_of_the_first = widget_total(price, amount)\n"
    setting.documents = {mine: [("x.py", "python", canary, 1.0)]}
    setting.memory.recalled = {mine: [Snippet("m.py", canary.upper())]}
    setting.memory.edits = {mine: [Edit("e.py", canary.title())]}
    request = at("price = 1\nresult = widget_total(‸\n")
    setting.texts(request)
    assert "canary" in repr(setting.engine.prompts[0])
    answer = setting.service.answer(replace(request, workspace=theirs), CancellationToken())
    assert "canary" not in repr(setting.engine.prompts[1]).lower()
    assert [suggestion.text for suggestion in answer.suggestions] == ["second_text()"]


@pytest.mark.parametrize(
    ("marked", "multiline", "single_line"),
    [
        ("def f():\n    ‸\n", "auto", False),
        ("def f():\n    ‸\n", "never", True),
        ("def f():\n    x = ‸\n", "auto", True),
    ],
)
def test_several_lines_only_where_a_block_is_open(
    marked: str, multiline: str, single_line: bool
) -> None:
    config = Config(completion=CompletionOptions(multiline=multiline, max_tokens=7))
    setting = Setting(StubEngine("return 1"), config)
    setting.texts(at(marked))
    assert setting.engine.params[0].single_line is single_line
    assert setting.engine.params[0].max_tokens == 7


def test_what_was_sampled_while_the_adapter_changed_is_nobody_s_and_not_offered() -> None:
    def swap(_count: int, _token: CancellationToken) -> None:
        setting.engine.adapter_id = "adp-2"

    setting = Setting(StubEngine("a + b", on_token=swap))
    assert setting.reason(REQUEST) == "the adapter changed"
    (offered,) = setting.service.answer(REQUEST, CancellationToken()).suggestions
    assert offered.adapter_id == "adp-2"


def test_reset_forgets_what_was_offered_and_read() -> None:
    setting = Setting(StubEngine("a + b"))
    setting.texts(REQUEST)
    assert setting.service.is_warm(REQUEST.uri)
    setting.service.reset()
    assert setting.service.answer_fast(REQUEST) is None
    assert not setting.service.is_warm(REQUEST.uri)


def test_what_is_said_while_everything_is_forgotten_is_not_remembered() -> None:
    def forget(_count: int, _token: CancellationToken) -> None:
        setting.service.reset()

    setting = Setting(StubEngine("a + b", on_token=forget))
    assert setting.texts(REQUEST) == ["a + b"]
    assert setting.service.answer_fast(REQUEST) is None


def test_what_is_gathered_while_everything_is_forgotten_is_not_remembered() -> None:
    def forget(workspace: str) -> list[tuple[str, str, str, float]]:
        prompter.reset()
        return [OTHER]

    prompter = Prompter(None, StubMemory(), forget)
    prompter.prompt(REQUEST, Config(), CancellationToken())
    assert not prompter.is_warm(REQUEST.uri)


RENAMED = "old_name = 1\nprint(old_name)\n"


def renaming(setting: Setting, path: str = "a.py") -> CompletionRequest:
    """Let ``old_name`` become ``new_name`` and be taken away again below; return what is asked."""
    edits = Edits(10)
    text = change(edits, path, RENAMED, TextEdit(0, 8, "new_name"), 0.0)
    at = text.index("old_name")
    text = change(edits, path, text, TextEdit(at, at + 8, ""), 100.0)
    setting.memory.edits = {WORKSPACE: list(edits)}
    return replace(REQUEST, path=path, text=text, offset=at)


def test_an_edit_that_is_surely_made_again_needs_no_model() -> None:
    setting = Setting(StubEngine("old_name"))
    (suggestion,) = setting.service.answer(renaming(setting), CancellationToken()).suggestions
    assert (suggestion.text, suggestion.source) == ("new_name", "repeat")
    assert setting.engine.prompts == []


def test_an_edit_is_not_repeated_after_it_was_rejected() -> None:
    setting = Setting(StubEngine("other"))
    request = renaming(setting)
    setting.memory.rejected.add((WORKSPACE, "new_name"))
    assert setting.texts(request) == ["other"]


def test_edits_say_nothing_while_nothing_is_learned_at_once() -> None:
    setting = Setting(StubEngine("other"))
    setting.config = replace(setting.config, learning=LearningOptions(instant=False))
    request = renaming(setting)
    assert setting.texts(request) == ["other"]


def test_edits_of_private_files_are_quoted_in_themselves_alone() -> None:
    asked: list[str] = []

    def shares(_workspace: str, path: str) -> bool:
        asked.append(path)
        return path != "private.py"

    memory = StubMemory()
    memory.edits = {
        WORKSPACE: [Edit(f"{name}.py", "x = 1") for name in ("private", "open", "private", "open")]
    }
    prompter = Prompter(None, memory, lambda _workspace: [], shares)
    found = {
        path: [edit.path for edit in prompter.edits(replace(REQUEST, path=path), 9)]
        for path in ("a.py", "private.py")
    }
    assert found["a.py"] == ["open.py"] * 2
    assert found["private.py"] == ["private.py", "open.py"] * 2
    assert asked == ["private.py", "open.py", "open.py"]


def test_what_a_private_file_said_is_not_repeated_elsewhere() -> None:
    setting = Setting(StubEngine("other"))
    request = renaming(setting)
    first, last = setting.memory.edits[WORKSPACE]
    for path, expected in (("a.py", ["new_name"]), ("private.py", ["other"])):
        setting.memory.edits = {WORKSPACE: [first, replace(last, path=path)]}
        setting.service = CompletionService(
            engine=lambda: setting.engine,
            memory=None,
            short_term=setting.memory,
            config=lambda: setting.config,
            open_documents=lambda _workspace: [],
            draw=lambda: 1.0,
            shares=lambda _workspace, path: path != "private.py",
        )
        assert setting.texts(request) == expected
