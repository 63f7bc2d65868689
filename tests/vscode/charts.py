"""Pictures of charts, compared with those that were looked at by somebody and found good.

Words are left out of a picture: dates differ from day to day, and fonts from machine to machine.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import Locator

MOST_DIFFERENT = 0.002
"""Share of a picture that may look different: rounded corners and edges, no column."""
VISIBLE = 32
"""A difference of a pixel, of 255, that counts."""
ALONE = "position: fixed; top: 0; left: 0; width: 800px; z-index: 9; background: var(--back)"
"""Where the page around a chart, whose texts differ, does not move it by parts of a pixel."""
RESTYLE = """(chart, [place, words]) => {
  chart.style.cssText = place;
  chart.querySelectorAll("text").forEach((text) => (text.style.visibility = words));
}"""


def picture(chart: Locator) -> Image.Image:
    """Return how a chart looks without its words."""
    chart.evaluate(RESTYLE, [ALONE, "hidden"])
    try:
        return Image.open(BytesIO(chart.screenshot(animations="disabled"))).convert("RGB")
    finally:
        chart.evaluate(RESTYLE, ["", "visible"])


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the share of the pixels that differ visibly; 1.0 where the sizes do."""
    if one.size != other.size:
        return 1.0
    histogram = ImageChops.difference(one, other).convert("L").histogram()
    return sum(histogram[VISIBLE:]) / sum(histogram)


def assert_looks_like(seen: Image.Image, good: Path, left: Path) -> None:
    """Compare with the file ``good``; what was seen is left in ``left``, to take its place."""
    left.parent.mkdir(parents=True, exist_ok=True)
    seen.save(left)
    different = difference(seen, Image.open(good).convert("RGB"))
    assert different <= MOST_DIFFERENT, f"{different:.1%} of {left} do not look like {good}"
