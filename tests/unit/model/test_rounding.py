"""Small updates survive in bf16: rounding is by chance, and right on average."""

from __future__ import annotations

import torch

from falcon_lsp.model.merge import rounded


def test_an_update_far_below_the_step_of_bf16_is_there_on_average() -> None:
    base = torch.linspace(0.5, 1.0, 100_000).to(torch.bfloat16).float()
    step = 2.0**-8  # the distance between neighbours in [0.5, 1)
    update = step / 10
    nearest = (base + update).to(torch.bfloat16).float() - base
    by_chance = rounded(base + update, "layer").float() - base
    assert nearest.abs().max() == 0
    assert abs(by_chance.mean() - update) < 5 * step * 0.3 / 100_000**0.5


def test_values_that_fit_stay_and_the_same_input_gives_the_same_output() -> None:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    fitting = weights.to(torch.bfloat16)
    assert torch.equal(rounded(fitting.float(), "layer"), fitting)
    assert torch.equal(rounded(weights, "layer"), rounded(weights, "layer"))
    assert not torch.equal(rounded(weights, "layer"), rounded(weights, "another"))


def test_neighbours_are_the_only_results() -> None:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    error = (rounded(weights, "layer").float() - weights).abs()
    assert bool((error <= weights.abs() * 2.0**-7).all())
