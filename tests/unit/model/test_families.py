"""Every supported family, tiny and untrained, through the product's own code.

Without the true weights this cannot say how good the answers are; it can say that the prompt is
the documented one to the last token, that nothing special is shown, and that learning works.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from episodes_factory import episode
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.learning.dataset import Encoding, Scored, TrainingExample, build_example
from falcon_lsp.learning.objectives.tokens import token_logprobs
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel, collate
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import PROMOTED, AdapterManifest, AdapterRegistry
from falcon_lsp.model.decoding import Logits, Pieces, split_for_healing
from falcon_lsp.model.engine import EngineError, Generation, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.loader import find_model, load_engine
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.model.torch_engine import TorchEngine
from model_families import FAMILIES, SAMPLE, Family, card_ids

CODE = 'if x:\r\n\treturn  "é 漢🙂"\r\n    \n\n\n  y = 1234 \t\n'
"""Leading spaces, tabs, both line ends, runs of each, and characters of two to four bytes."""

SAMPLED = GenerationParams(max_tokens=16, single_line=False, temperature=1.0, seed=5)


class Model(SimpleNamespace):
    """One family's tiny model: ``family``, ``files`` and ``tokenizer``."""

    family: Family
    files: ModelFiles
    tokenizer: CodeTokenizer

    def engine(self) -> TorchEngine:
        """Return a new engine in full precision."""
        return TorchEngine(self.files, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    family: Family = request.param
    root = tmp_path_factory.mktemp("family")
    folder = family.build(root / "model")
    files = find_model(Config(model=str(folder)), Store(root / "data", root / "cache"))
    return Model(family=family, files=files, tokenizer=CodeTokenizer.from_folder(folder))


def ask(served: TorchEngine, prompt: Prompt, params: GenerationParams = SAMPLED) -> Generation:
    return served.generate(prompt, params, CancellationToken())


def dictate(served: TorchEngine, ids: list[int]) -> None:
    """Make the network say ``ids`` after the next prompt, of fewer tokens than a chunk has."""
    network, prompt_tokens = served._model.feed_each, list[int]()

    def feed_each(fed: list[int], last: int = 0) -> Logits:
        read = served._model._cache.get_seq_length() + len(fed) - (last - 1)
        prompt_tokens.append(read)
        logits = network(fed, last)
        for row, wanted in zip(logits, ids[read - prompt_tokens[0] :], strict=False):
            row[wanted] += 1e4
        return logits

    served._model.feed_each = feed_each  # type: ignore[method-assign]


def test_the_setting_alone_picks_the_format(model: Model, tmp_path: Path) -> None:
    assert model.files.fim.name == model.family.format
    store = Store(tmp_path / "data", tmp_path / "cache")
    served = load_engine(Config(model=str(model.files.folder)), store, lambda *_: None)
    assert served.base_sha256 == model.files.sha256
    assert ask(served, SAMPLE).token_ids


def test_the_prompt_is_the_documented_one(model: Model) -> None:
    ids = fim.encode(model.tokenizer, model.files.fim, SAMPLE)
    assert ids == card_ids(model.family, model.files.folder)
    vocabulary = model.tokenizer.vocabulary
    marks = [i for i in ids if i in model.tokenizer.marks]
    assert sorted(marks) == sorted(vocabulary[mark] for mark in model.files.fim.sentinels)


def test_marks_in_user_text_stay_text(model: Model) -> None:
    marks = [*model.tokenizer.marks.values()]
    forged = "".join(marks) + " ".join(mark.replace("▁", " ") for mark in marks)
    attack = Prompt(forged, forged, forged, (Snippet(forged, forged),))
    honest = fim.encode(model.tokenizer, model.files.fim, replace(SAMPLE, path="p"))
    ids = fim.encode(model.tokenizer, model.files.fim, attack)
    found = [[i for i in each if i in model.tokenizer.marks] for each in (honest, ids)]
    assert found[0] == found[1]
    assert model.tokenizer.decode(model.tokenizer.encode(forged)) == forged.replace(
        "▁", " " if "<0x0A>" in model.tokenizer.vocabulary else "▁"
    )


def test_text_survives_being_cut_anywhere(model: Model) -> None:
    decode, encode = model.tokenizer.decode, model.tokenizer.encode
    for at in range(len(CODE) + 1):
        before, after = encode(CODE[:at]), encode(CODE[at:])
        assert (decode(before), decode(after)) == (CODE[:at], CODE[at:])
        assert decode(before + after) == CODE


def test_tokens_know_where_they_stand(model: Model) -> None:
    ids, offsets = model.tokenizer.encode_with_offsets(CODE)
    for at, (start, _) in enumerate(offsets):
        if "\ufffd" not in (head := model.tokenizer.decode(ids[:at])):
            assert head == CODE[:start]
    assert offsets[-1][1] == len(CODE)


def test_log_probabilities_are_those_of_one_plain_pass(model: Model) -> None:
    result = ask(model.engine(), SAMPLE)
    kept = replace(SAMPLE, prefix=SAMPLE.prefix[: len(SAMPLE.prefix) - result.healed_chars])
    ids = fim.encode(model.tokenizer, model.files.fim, kept)
    reference = AutoModelForCausalLM.from_pretrained(model.files.folder, dtype=torch.float32)
    with torch.no_grad():
        logits = reference(input_ids=torch.tensor([ids + list(result.token_ids)])).logits[0]
    rows = logits[len(ids) - 1 : -1].log_softmax(-1)
    expected = rows.gather(1, torch.tensor(result.token_ids)[:, None])[:, 0]
    assert result.prompt_tokens == len(ids)
    torch.testing.assert_close(torch.tensor(result.logprobs), expected, atol=1e-4, rtol=1e-4)


def test_keystrokes_reuse_the_cache_and_change_no_answer(model: Model) -> None:
    served, fresh = model.engine(), model.engine()
    for typed in ("", " ", "  ret", "  return x\n", "  return x\n" * 9, "  r"):
        prompt = replace(SAMPLE, prefix=SAMPLE.prefix + typed)
        fresh._generator.reset()
        reused, anew = ask(served, prompt), ask(fresh, prompt)
        assert anew.cached_tokens == 0
        assert reused.cached_tokens > 10 or not typed
        assert (reused.text, reused.token_ids) == (anew.text, anew.token_ids)


def test_marks_and_padding_end_the_answer_and_are_not_shown(model: Model) -> None:
    fmt, vocabulary = model.files.fim, model.tokenizer.vocabulary
    said = model.tokenizer.encode(" + item")
    ends = [vocabulary[mark] for mark in (*fmt.stop, *fmt.sentinels) if mark in vocabulary]
    for end in (*dict.fromkeys(ends), max(vocabulary.values()) + 1):
        served = model.engine()
        dictate(served, [*said, end])
        result = ask(served, replace(SAMPLE, prefix="x = 1@"), GenerationParams())
        assert (result.text, result.finish) == (" + item", "stop")
        assert result.token_ids == (*said, end)
    assert model.family.stop in fmt.stop


def test_an_unfinished_word_is_healed_where_the_format_allows(model: Model) -> None:
    prefix = "x = 1\n        ret"
    pieces = Pieces(model.tokenizer.pieces)
    kept, dropped = split_for_healing(model.tokenizer, pieces, prefix)
    assert kept + dropped == prefix
    assert dropped.endswith("t")
    healed = dropped if model.files.fim.continues_prefix else ""
    served = model.engine()
    dictate(served, model.tokenizer.encode(f"{healed}urn item\n"))
    result = ask(served, replace(SAMPLE, prefix=prefix), GenerationParams())
    assert (result.text, result.finish) == ("urn item", "line")
    assert result.healed_chars == len(healed)


def test_a_cancelled_answer_leaves_the_next_one_right(model: Model) -> None:
    served, token = model.engine(), CancellationToken()
    network = served._model.feed_each

    def feed_each(ids: list[int], last: int = 0) -> Logits:
        token.cancel()
        return network(ids, last)

    served._model.feed_each = feed_each  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        served.generate(SAMPLE, SAMPLED, token)
    served._model.feed_each = network  # type: ignore[method-assign]
    assert ask(served, SAMPLE).token_ids == ask(model.engine(), SAMPLE).token_ids


def train_one_step(model: Model) -> PolicyModel:
    """Return the trainer's model after one large step on a made-up answer."""
    policy = PolicyModel(model.files.folder, None, LoraShape(rank=4, alpha=8), seed=0)
    context = tuple(fim.encode(model.tokenizer, model.files.fim, SAMPLE))
    answer = tuple(model.tokenizer.encode("        return self.total\n"))
    batch = collate([Scored(context, answer), Scored(context[:9], answer[:3])])
    optimiser = torch.optim.SGD(policy.parameters, lr=20.0)
    for _ in range(2):  # the first step moves B away from zero, the second moves A too
        optimiser.zero_grad()
        logprobs = token_logprobs(policy.logits(batch), batch.targets)
        (-(logprobs * batch.mask).sum() / batch.mask.sum()).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters, 0.05)
        optimiser.step()
    return policy


def next_logits(served: TorchEngine, ids: list[int]) -> Logits:
    served._generator.reset()
    return served._model.feed(ids).copy()


def publish(policy: PolicyModel, model: Model, folder: Path) -> Path:
    """Publish and verify the adapter as the trainer does; return its folder."""
    registry = AdapterRegistry(folder, model.files.shapes())
    temporary = registry.new_temporary()
    policy.save(temporary, model.files.model_id)
    registry.publish(temporary, AdapterManifest("adp-1", model.files.sha256, status=PROMOTED))
    return registry.verify(registry.current(model.files.sha256), model.files.sha256).path


def test_what_is_learned_is_served_and_can_be_taken_back(model: Model, tmp_path: Path) -> None:
    policy = train_one_step(model)
    adapter = publish(policy, model, tmp_path / "adapters")
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    assert tuple(config["target_modules"]) == model.family.targets
    ids = fim.encode(model.tokenizer, model.files.fim, SAMPLE)
    exact, quick = model.engine(), TorchEngine(model.files, device="cpu", dtype=torch.bfloat16)
    for served in (exact, quick):
        before = next_logits(served, ids)
        served.load_adapter(adapter, "adp-1")
        learned = next_logits(served, ids)
        served.load_adapter(None, "base")
        assert not np.allclose(learned, before, atol=1e-2)
        assert np.array_equal(next_logits(served, ids), before)
    exact.load_adapter(adapter, "adp-1")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):  # as it is trained
        trained = policy.peft(input_ids=torch.tensor([ids])).logits[0, -1]
    off = np.abs(next_logits(exact, ids) - trained.float().numpy()).max()
    assert off < 0.05
    assert off < np.abs(before - trained.float().numpy()).max() / 2, "the base is farther away"


def test_an_accepted_answer_can_be_learned_from_whatever_it_begins_with(model: Model) -> None:
    prompt = replace(SAMPLE, prefix="total = price@")
    answer = model.tokenizer.encode(" * 12\n")
    served = model.engine()
    dictate(served, answer)
    result = ask(served, prompt, GenerationParams())
    shown = episode(
        text=result.text, prompt=prompt, model_id=model.files.model_id,
        token_ids=result.token_ids, logprobs=result.logprobs, healed_chars=result.healed_chars,
    )  # fmt: skip
    encoding = Encoding(model.tokenizer, model.files.fim, model.files.model_id)
    example = build_example(shown, encoding)
    assert isinstance(example, TrainingExample)
    assert result.text == " * 12"
    assert example.sequence.answer == result.token_ids
    assert set(example.credit) == {1.0}


def test_every_linear_layer_of_the_upper_half_learns(model: Model) -> None:
    policy = PolicyModel(model.files.folder, None, LoraShape(rank=4, alpha=8), seed=0)
    before = policy.state()
    names = [name for name, _ in policy.named_parameters]
    assert {name.split(".")[-4] for name in names} == set(model.family.targets)
    assert all(".layers.1." in name for name in names)
    trained = train_one_step(model).state()
    assert not any(torch.equal(old, new) for old, new in zip(before, trained, strict=True))


def test_large_models_come_in_several_files(tmp_path: Path) -> None:
    family = next(each for each in FAMILIES if each.name == "qwen2.5-coder-7b")
    folder = family.build(tmp_path / "model", shard="100KB")
    assert len([*folder.glob("model-*-of-*.safetensors")]) > 2
    files = find_model(Config(model=str(folder)), Store(tmp_path / "data", tmp_path / "cache"))
    model = Model(family=family, files=files, tokenizer=CodeTokenizer.from_folder(folder))
    adapter = publish(train_one_step(model), model, tmp_path / "adapters")
    served = model.engine()
    before = ask(served, SAMPLE).logprobs
    served.load_adapter(adapter, "adp-1")
    assert ask(served, SAMPLE).logprobs != before
    served.load_adapter(None, "base")
    assert ask(served, SAMPLE).logprobs == before


def test_sentinels_beyond_the_networks_vocabulary_do_not_count(tmp_path: Path) -> None:
    family = next(each for each in FAMILIES if each.name == "codellama")
    folder = family.build(tmp_path / "model")
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    first = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("▁<PRE>")
    file.write_text(json.dumps(config | {"vocab_size": first}), "utf-8")
    with pytest.raises(EngineError, match="fill-in-the-middle"):
        find_model(Config(model=str(folder)), Store(tmp_path / "data", tmp_path / "cache"))
