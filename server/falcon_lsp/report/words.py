"""How the report writes numbers and times."""

from __future__ import annotations

import datetime as dt


def percent(share: float | None) -> str:
    """Return a share, 0 to 1, as a percentage; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.0f} %"


def count(number: float) -> str:
    """Return a whole number with thousands set apart."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """Return a number for an axis: at most three digits that matter."""
    return f"{number / 1000:g}k" if abs(number) >= 10_000 else f"{number:.3g}"


def signed(number: float | None) -> str:
    """Return a gain with its sign; a dash where it was not measured."""
    return "–" if number is None else f"{number:+.4f}".replace("-", "−")


def size(number: int) -> str:
    """Return bytes in the largest unit that fits."""
    amount, units = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] in ("bytes", "kB") else f"{amount:.1f} {units[0]}"


def day(when: float) -> str:
    """Return a date as on an axis; empty for a time that no calendar has."""
    return _local(when, "%d %b").lstrip("0")


def date(when: float) -> str:
    """Return a date."""
    return _local(when, "%Y-%m-%d")


def moment(when: float) -> str:
    """Return a date and the time of day."""
    return _local(when, "%Y-%m-%d %H:%M")


def _local(when: float, form: str) -> str:
    try:
        return dt.datetime.fromtimestamp(when).astimezone().strftime(form)
    except (OverflowError, OSError, ValueError):
        return ""
