"""The completion service: from a request of the editor to suggestions, as a list of steps."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from falcon_lsp.completion import features, policy, postprocess
from falcon_lsp.completion.ahead import next_line
from falcon_lsp.completion.answer import Answer, Hear, Laps, ignore
from falcon_lsp.completion.belief import usual
from falcon_lsp.completion.blocks import block_ended
from falcon_lsp.completion.cache import SuggestionCache
from falcon_lsp.completion.candidates import (
    Candidate,
    Rejection,
    copy_candidate,
    from_generation,
    repeat_candidate,
    sources_at,
)
from falcon_lsp.completion.prompter import Prompter
from falcon_lsp.completion.sources import LongTerm, OpenDocuments, Shares, ShortTerm, everything
from falcon_lsp.completion.syntax import open_block
from falcon_lsp.config import CompletionOptions, Config
from falcon_lsp.core.cancellation import CancellationToken, Cancelled, DeadlineExceeded
from falcon_lsp.core.types import CompletionRequest, Lately, Prompt, Suggestion, new_id
from falcon_lsp.memory.short_term import MAX_EDITS
from falcon_lsp.model.drafts import Sources
from falcon_lsp.model.engine import Engine, EngineError, GenerationParams

logger = logging.getLogger(__name__)

SURE: Final = 0.5
"""Chance from which on a repeated edit is offered without asking the model for another text.

On development projects 85 % of such repeats are wanted, twice as many as of what the model says.
"""


class CompletionService:
    """Answers requests. `answer` belongs on the engine's thread, the rest on any."""

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        memory: LongTerm | None,
        short_term: ShortTerm,
        config: Callable[[], Config],
        open_documents: OpenDocuments,
        draw: Callable[[], float] = random.random,
        believed: policy.Believed = usual,
        shares: Shares = everything,
    ) -> None:
        self._engine = engine
        self._short_term = short_term
        self._config = config
        self._draw = draw
        self._believed = believed
        self._prompter = Prompter(memory, short_term, open_documents, shares)
        self._cache = SuggestionCache()
        self.counts: Counter[str] = Counter()
        """Of all generations: tokens said, passes that took, tokens drafted and accepted."""

    def answer_fast(self, request: CompletionRequest) -> Answer | None:
        """Answer what needs no model, cheaply enough for the event loop; None: ask `answer`.

        The cache comes before the quiet policy: what is on the screen stays while it is typed.
        """
        laps = Laps()
        cached = self._cache.find(request, self._was_rejected)
        laps.lap("cache")
        if cached is not None:
            origin = "ahead" if cached.ahead else "cache"
            return Answer(cached.suggestions, "", laps.ms, origin)
        best = self._best_chance(request, self._config().completion)
        if best.propensity == 0:
            return Answer.nothing("quiet", laps.ms, str(best))
        return None

    def answer(
        self,
        request: CompletionRequest,
        token: CancellationToken,
        hear: Hear = ignore,
        *,
        ahead: bool = False,
    ) -> Answer:
        """Answer with the model; engine and memory may fail, this does not.

        At the deadline it offers what is usable: a copy, or what the model has said so far, cut
        back to whole words (of several lines: to whole lines) and known to parse. ``hear`` is
        called with what the model has said so far; ``ahead`` marks a request that nobody made yet.
        """
        laps = Laps()
        if (fast := self.answer_fast(request)) is not None:
            return fast
        laps.lap("cache")
        cache, config = self._cache, self._config()
        try:
            _stop_if_cancelled(token)
            prompt = self._prompter.prompt(request, config, token)
            laps.lap("context")
            refined = self._candidates(request, prompt, config, token, hear, laps)
        except Cancelled:
            return Answer.nothing("cancelled", laps.ms)
        choice = self._choose(request, prompt, config, refined, laps.total_s)
        if not choice.shown:
            why = str(choice.likeliest or "")
            nothing = Answer.nothing(_reason(refined), laps.ms, why)
            return replace(nothing, held=choice.possible)
        cache.add(request, choice.shown, ahead=ahead)
        return Answer(choice.shown, "", laps.ms)

    def prepare(self, request: CompletionRequest, token: CancellationToken) -> None:
        """Do, on the engine's thread, what will be needed if the cursor stays where it is.

        Where an offer has just been taken whole, the next line is said, ready to be found; else
        the prompt is read. Raises `Cancelled` and what the engine raises.
        """
        engine, config = self._engine(), self._config()
        if engine is None:
            return
        taken = self._cache.completed(request) and not self._cache.find(request, self._was_rejected)
        if taken and (following := next_line(request)) is not None:
            self.answer(following, token, ahead=True)
        else:
            engine.prefill(self._prompter.prompt(request, config, token), token)
        _stop_if_cancelled(token)

    def is_warm(self, uri: str) -> bool:
        """Whether a document's context has been read already, so that an answer comes sooner."""
        return self._prompter.is_warm(uri)

    def reset(self) -> None:
        """Forget what was offered and read, because settings or the adapter changed.

        What is being answered meanwhile is not remembered either.
        """
        self._cache = SuggestionCache()
        self._prompter.reset()

    def _best_chance(
        self, request: CompletionRequest, options: CompletionOptions
    ) -> policy.Decision:
        """Return what would be decided about a suggestion without any doubt."""
        lately = self._lately(request)
        return policy.decide(
            features.vector(request, lately), self._believed(), options, lately=lately
        )

    def _lately(self, request: CompletionRequest) -> Lately:
        line = request.text.count("\n", 0, request.offset)
        return self._short_term.lately(request.workspace, request.path, request.uri, line)

    def _candidates(
        self,
        request: CompletionRequest,
        prompt: Prompt,
        config: Config,
        token: CancellationToken,
        hear: Hear,
        laps: Laps,
    ) -> list[Candidate | Rejection]:
        """Return what may be offered, the model's first, after the filters; raises `Cancelled`.

        An edit that is surely being made again needs no model.
        """
        _stop_if_cancelled(token)
        edits = self._prompter.edits(request, MAX_EDITS) if config.learning.instant else ()
        repeated = repeat_candidate(request, edits) or Rejection("nothing to repeat")
        again = self._refine(repeated, request)
        laps.lap("repeat")
        if isinstance(again, Candidate) and again.chance is not None and again.chance >= SURE:
            return [again]
        sources = self._sources(request, prompt)
        sampled = self._sample(request, prompt, sources, config, token, hear)
        laps.lap("engine")
        _stop_if_cancelled(token)
        copied = copy_candidate(request, sources) or Rejection("nothing to copy")
        refined = [self._refine(each, request) for each in (sampled, copied)]
        refined = self._score(refined, prompt, token)
        laps.lap("filters")
        _stop_if_cancelled(token)
        return [*refined, again]

    def _sample(
        self,
        request: CompletionRequest,
        prompt: Prompt,
        sources: Sources,
        config: Config,
        token: CancellationToken,
        hear: Hear,
    ) -> Candidate | Rejection:
        engine = self._engine()
        if engine is None:
            return Rejection("no model")
        if token.expired:
            return Rejection("timed out")
        multiline = config.completion.multiline == "auto" and open_block(
            request.language, request.prefix, request.suffix
        )

        def stop(said: str) -> bool:
            hear(said)
            return multiline and block_ended(request, said)

        params = GenerationParams(
            config.completion.max_tokens, single_line=not multiline, stop=stop
        )
        adapter_id = engine.adapter_id
        try:
            generation = engine.generate(prompt, params, token, sources)
        except Cancelled:
            raise
        except DeadlineExceeded:
            return Rejection("timed out")
        except EngineError as error:
            return Rejection(str(error))
        except Exception:
            logger.exception("the engine failed")
            return Rejection("the model failed; the log says why")
        self.counts.update(
            tokens=len(generation.token_ids),
            passes=generation.passes,
            drafted=generation.drafted,
            accepted=generation.accepted,
        )
        if engine.adapter_id != adapter_id:  # which of the two said it, nobody knows
            return Rejection("the adapter changed")
        if generation.text.strip():
            return from_generation(generation, engine.model_id, adapter_id)
        return Rejection("timed out" if generation.finish == "deadline" else "nothing to add")

    def _score(
        self, refined: Sequence[Candidate | Rejection], prompt: Prompt, token: CancellationToken
    ) -> list[Candidate | Rejection]:
        """Ask the model how likely a copy is that it did not say itself, where time is left."""
        sampled, copied = refined
        engine = self._engine()
        if engine is None or isinstance(copied, Rejection) or token.expired:
            return [sampled, copied]
        if isinstance(sampled, Candidate) and sampled.text == copied.text:
            return [sampled, copied]
        try:
            return [sampled, replace(copied, scored=engine.score(prompt, copied.text, token))]
        except Cancelled:
            raise
        except DeadlineExceeded:
            return [sampled, copied]
        except Exception:
            logger.exception("the engine could not score a copy")
            return [sampled, copied]

    def _sources(self, request: CompletionRequest, prompt: Prompt) -> Sources:
        """Return what may be copied from: the file, what memory recalled, other open files."""
        snippets = [*self._prompter.recalled(request), *reversed(prompt.snippets)]
        documents = self._prompter.others(request)
        texts = [*(each.text for each in snippets), *(each.text for each in documents)]
        return sources_at(request, texts)

    def _refine(
        self, candidate: Candidate | Rejection, request: CompletionRequest
    ) -> Candidate | Rejection:
        if isinstance(candidate, Rejection):
            return candidate
        filters = (*postprocess.FILTERS, self._refuse_rejected, *postprocess.LAST)
        outcome = postprocess.run(candidate, request, filters)
        if not isinstance(outcome, Rejection) or outcome.name == "rejected before":
            return outcome
        late = candidate.finish == "deadline"
        return Rejection("timed out" if late else f"filtered: {outcome.name}")

    def _refuse_rejected(
        self, candidate: Candidate, request: CompletionRequest
    ) -> Candidate | Rejection:
        rejected = self._was_rejected(request.workspace, request.prefix, candidate.text)
        return Rejection("rejected before") if rejected else candidate

    def _was_rejected(self, workspace: str, prefix: str, text: str) -> bool:
        return self._short_term.rejected_before(workspace, prefix, text)

    def _choose(
        self,
        request: CompletionRequest,
        prompt: Prompt,
        config: Config,
        refined: Sequence[Candidate | Rejection],
        waited_s: float,
    ) -> _Choice:
        """Ask the policy about each text once, and put the best first.

        Where the model has seen all, they are ranked by weight, else by the chance to be taken.
        """
        lately, draw, belief = self._lately(request), self._draw(), self._believed()
        candidates: dict[str, Candidate] = {}
        for candidate in refined:
            if isinstance(candidate, Candidate):
                known = candidates.get(candidate.text)
                candidates[candidate.text] = _joined(known, candidate) if known else candidate
        seen = all(each.weight is not None for each in candidates.values())
        judged: list[tuple[float, policy.Decision, Suggestion]] = []
        for each in candidates.values():
            given = features.vector(request, lately, each, waited_s)
            decision = policy.decide(given, belief, config.completion, draw, lately)
            rank = each.weight if seen and each.weight is not None else decision.probability
            made = _suggestion(request, prompt, each, decision.propensity, given)
            judged.append((rank, decision, made))
        judged.sort(key=lambda each: each[0], reverse=True)
        return _Choice(
            tuple(made for _, decision, made in judged if decision.show),
            max((each for _, each, _ in judged), key=lambda each: each.probability, default=None),
            next((made for _, decision, made in judged if decision.propensity > 0), None),
        )


class _Choice(NamedTuple):
    """What to show; the best chance of all; the best of those that might be shown."""

    shown: tuple[Suggestion, ...]
    likeliest: policy.Decision | None
    possible: Suggestion | None


def _stop_if_cancelled(token: CancellationToken) -> None:
    if token.cancelled:
        raise Cancelled


def _reason(refined: Sequence[Candidate | Rejection]) -> str:
    """Return why nothing is shown: what became of the model's candidate, the first, counts."""
    first = refined[0]
    survived = any(isinstance(each, Candidate) for each in refined)
    return "quiet" if survived or not isinstance(first, Rejection) else first.name


def _joined(one: Candidate, other: Candidate) -> Candidate:
    """Return what was found in two ways; who sampled it can be trained on it."""
    return replace(one, agreed=True, chance=other.chance)


def _suggestion(
    request: CompletionRequest,
    prompt: Prompt,
    candidate: Candidate,
    propensity: float,
    given: features.Vector,
) -> Suggestion:
    """Offer a candidate under a new id.

    ``text`` is what is offered, after the filters; tokens, log-probabilities and healed characters
    are those of the whole sampled sequence, which is what the trainer has to score.
    """
    return Suggestion(
        completion_id=new_id("cmp"),
        text=candidate.text,
        offset=request.offset,
        prompt=prompt,
        source=candidate.source,
        model_id=candidate.model_id,
        adapter_id=candidate.adapter_id,
        token_ids=candidate.token_ids,
        logprobs=candidate.logprobs,
        propensity=propensity,
        features=given,
        features_version=features.VERSION,
        healed_chars=candidate.healed_chars,
        line=request.text.count("\n", 0, request.offset),
    )
