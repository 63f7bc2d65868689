"""Draw the loss of the FIM adapter's training from the log of its steps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
WINDOW = 50
"""Steps of the running mean: one batch of four rows is noise."""


def draw(log: Path, picture: Path) -> None:
    """Draw every step's loss, and the running mean, over the tokens seen."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    tokens = np.array([row["tokens"] for row in rows]) / 1e6
    losses = np.array([row["loss"] for row in rows])
    mean = np.convolve(losses, np.full(WINDOW, 1 / WINDOW), mode="valid")
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(tokens, losses, color="#c8c8c8", linewidth=0.6, label="one step")
    axes.plot(tokens[WINDOW - 1 :], mean, color="#4c78a8", label=f"mean of {WINDOW} steps")
    axes.set_xlabel("tokens seen, millions")
    axes.set_ylabel("loss, nats per token")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None, dpi=150)


def main() -> None:
    """Draw the curve; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, default=HERE / "results" / "fim-loss.jsonl")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs/images/fim-loss.png")
    arguments = parser.parse_args()
    draw(arguments.log, arguments.out)


if __name__ == "__main__":
    main()
