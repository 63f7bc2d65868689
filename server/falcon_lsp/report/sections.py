"""The report's sections, each a heading, a sentence or two, a chart and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence

from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.rejections import Rejection
from falcon_lsp.model.adapters import BASE
from falcon_lsp.report import pieces, words
from falcon_lsp.report.charts import Column, Row, columns_chart, rows_chart
from falcon_lsp.report.gather import FileRow, Report, Version
from falcon_lsp.report.markup import Content, Markup, join, tag
from falcon_lsp.report.periods import Period

TERMS = {
    "compiler": ("does not compile", "bad"),
    "error_lines": ("lines with errors", "warn"),
    "developer": ("taken or declined", "main"),
    "tests": ("tests", "good"),
    "runtime": ("errors when run", "bad"),
}
"""What the terms of a reward are called, and their colour."""


def summary(report: Report) -> Markup:
    """Return what there is to know at a glance."""
    now, before = report.this_week, report.last_week
    served = "none" if report.current == BASE else report.current
    tiles = (
        ("Taken this week", words.percent(now.acceptance), _against(now, before)),
        ("Kept this week", words.count(now.kept_chars), "characters of what you took"),
        ("Remembered", words.count(report.counts.get("suggestions", 0)), "suggestions in all"),
        ("Adapter", served, _adapters_in_words(report)),
    )
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", value), tag("dd", note, class_="note"))
            for name, value, note in tiles
        ),
        class_="tiles",
    )


def over_time(report: Report) -> Markup:
    """Return how many suggestions were taken, and how much of them stands."""
    periods = report.periods
    if not periods:
        return pieces.section("time", pieces.nothing("Nothing was suggested yet."))
    taken = columns_chart(
        "taken",
        "Suggestions taken and not taken",
        f"{len(periods)} columns; in the last one {periods[-1].taken} of {periods[-1].shown}.",
        [_shown(each) for each in periods],
        words.short,
    )
    kept = columns_chart(
        "kept",
        "Characters kept of the suggestions that were taken",
        f"{sum(each.kept_chars for each in periods)} characters in all.",
        [Column(words.day(each.start), [("main", each.kept_chars)]) for each in periods],
        words.short,
    )
    numbers = pieces.table(
        "Suggestions and characters by the day on which they begin",
        ("From", "Shown", "Taken", "Declined", "Share taken", "Characters kept", "of"),
        [
            (
                words.date(each.start),
                *map(words.count, (each.shown, each.taken, each.declined)),
                words.percent(each.acceptance),
                *map(words.count, (each.kept_chars, each.offered_chars)),
            )
            for each in periods
        ],
    )
    legend = pieces.legend(("main", "taken"), ("rest", "not taken"))
    return pieces.section(
        "time",
        tag("h3", "Suggestions taken"),
        pieces.figure(taken, legend),
        tag("h3", "Characters kept"),
        pieces.figure(kept),
        pieces.behind(numbers),
    )


def rewards(report: Report) -> Markup:
    """Return what the trainer is told that suggestions were worth."""
    groups = report.rewards
    if not groups:
        return pieces.section("rewards", pieces.nothing("No suggestion has been judged yet."))
    names = list(dict.fromkeys(name for group in groups for name in group.terms))
    columns = [
        Column(
            words.day(group.time),
            [(_term(name)[1], group.terms.get(name, 0.0)) for name in names],
            mark=group.total,
        )
        for group in groups
    ]
    latest = groups[-1]
    chart = columns_chart(
        "reward-terms",
        "Mean reward and its terms",
        f"The latest {latest.count} suggestions were worth {latest.total:+.2f} each.",
        columns,
        words.short,
    )
    seen = [name for name in names if any(group.terms.get(name) for group in groups)]
    kinds = [(_term(name)[1], _term(name)[0]) for name in seen]
    legend = pieces.legend(*kinds, ("mark", "reward in all"))
    numbers = pieces.table(
        "Mean reward per suggestion and its terms",
        ("Until", "Suggestions", *(_term(name)[0] for name in names), "In all"),
        [
            (
                words.moment(group.time),
                group.count,
                *(words.signed(group.terms.get(name, 0.0)) for name in names),
                words.signed(group.total),
            )
            for group in groups
        ],
    )
    text = "What you took counts for a suggestion, what you declined and what broke against it."
    return pieces.section(
        "rewards", tag("p", text), pieces.figure(chart, legend), pieces.behind(numbers)
    )


def adapters(report: Report, *, actions: bool) -> Markup:
    """Return what was trained, what the gate said, and the way back."""
    if not report.versions:
        text = "Nothing was trained yet: training begins when enough suggestions were judged."
        train = pieces.button("Train now", "train", "train-now") if actions else None
        return pieces.section("adapters", pieces.nothing(text), train)
    measured = [each for each in report.versions if each.gain is not None]
    chart = rows_chart(
        "gains",
        "How much likelier your own later code became with each adapter",
        "Nats per token against the adapter before it; the line ends at the 90 % bound.",
        [
            Row(
                _short_id(each.id),
                each.gain or 0.0,
                words.signed(each.gain),
                "main" if each.promoted else "rest",
                each.bound,
            )
            for each in measured
        ],
    )
    legend = pieces.legend(("main", "promoted"), ("rest", "set aside"), ("bound", "90 % bound"))
    names = ("Adapter", "Made", "From", "Learned from", "Verdict", "Gain", "Bound", "Ordinary code")
    rows = [_version(each, actions=actions) for each in report.versions]
    header = (*names, "Go back") if actions else names
    table = pieces.table("Adapters, newest first", header, rows)
    text = (
        "A new adapter is served only if it makes your own later code likelier, what you declined "
        "no likelier than that, and ordinary code no worse. Gains are in nats per token."
    )
    return pieces.section(
        "adapters",
        tag("p", text),
        pieces.figure(chart, legend) if measured else None,
        table,
        _decisions(report) if report.decisions else None,
        _adapter_buttons(report) if actions else None,
    )


def memory(report: Report, *, actions: bool) -> Markup:
    """Return what is remembered, to be searched and forgotten."""
    known = words.count(report.counts.get("suggestions", 0))
    said = f"{known} suggestions are remembered; {len(report.entries)} of "
    said += f"{words.count(report.found)} from the last half year"
    said += f" with “{report.search}” are listed." if report.search else " are listed."
    gone = report.counts.get("forgotten", 0)
    entries = pieces.table(
        "Suggestions, newest first",
        ("When", "What became of it", "File", "Suggestion", *(("Forget",) if actions else ())),
        [_entry(each, actions=actions) for each in report.entries],
    )
    files = pieces.table(
        "Files with the most suggestions",
        ("File", "Suggestions", "Taken", *(("Forget",) if actions else ())),
        [_file(each, actions=actions) for each in report.files],
    )
    return pieces.section(
        "memory",
        tag("p", said, f" {gone} events were forgotten." if gone else None),
        pieces.search_form(report.search) if actions else None,
        entries if report.entries else pieces.nothing("Nothing is there."),
        tag("h3", "By file") if report.files else None,
        files if report.files else None,
    )


def rejected(report: Report, *, actions: bool) -> Markup:
    """Return what is not offered again, and how to let it be."""
    text = "What you declined is not offered again in its place, nor what is nearly the same."
    header = ("When", "Kept away", "File", "Suggestion", *(("Undo",) if actions else ()))
    rows = [_rejection(each, actions=actions) for each in report.rejections]
    table = pieces.table("Declined suggestions, newest first", header, rows)
    empty = pieces.nothing("Nothing was declined.")
    return pieces.section("rejected", tag("p", text), table if rows else empty)


def storage(report: Report, *, actions: bool) -> Markup:
    """Return what lies on the disk, and the ways to take it elsewhere."""
    rows = [Row(each.name, each.size, words.size(each.size)) for each in report.storage]
    total = words.size(sum(each.size for each in report.storage))
    chart = rows_chart("sizes", "Storage by kind", f"{total} in all.", rows)
    table = pieces.table(
        "Storage by kind",
        ("What", "For", "Size"),
        [(each.name, each.purpose, words.size(each.size)) for each in report.storage],
    )
    where = tag("p", f"{total}, below ", tag("code", report.store))
    buttons = (
        tag(
            "p",
            pieces.button("Export what is remembered …", "export", "export"),
            " ",
            pieces.button("Save this report …", "save", "save"),
        )
        if actions
        else None
    )
    return pieces.section("storage", where, pieces.figure(chart), pieces.behind(table), buttons)


# ------------------------------------------------------------------------- rows


def _version(each: Version, *, actions: bool) -> Sequence[Content]:
    state = "served now" if each.current else "promoted" if each.promoted else "set aside"
    state += "" if each.everywhere else ", in one workspace"
    reasons = [tag("li", reason) for reason in each.reasons]
    verdict = join(
        tag("strong", state, class_="good" if each.current else None),
        tag("ul", *reasons) if reasons else None,
    )
    back = each.promoted and not each.current
    label = f"Serve adapter {each.id} again"
    button = pieces.button("Serve this", "rollback", each.id, label, id_=each.id) if back else ""
    lost = "–" if each.regression is None else f"{each.regression:+.1%} loss".replace("%", " %")
    return (
        tag("code", _short_id(each.id), title=each.id),
        words.moment(each.created),
        tag("code", _short_id(each.parent), title=each.parent),
        words.count(each.learned),
        verdict,
        words.signed(each.gain),
        words.signed(each.bound),
        lost,
        *((button,) if actions else ()),
    )


def _decisions(report: Report) -> Markup:
    rows = [
        (
            words.moment(each.time),
            tag("code", _short_id(each.adapter), title=each.adapter),
            each.what.replace("_", " ") + (f" to {_short_id(each.to)}" if each.to else ""),
            "; ".join(each.reasons),
        )
        for each in report.decisions
    ]
    header = ("When", "Adapter", "Decision", "Reasons")
    table = pieces.table("Every decision, newest first", header, rows)
    return pieces.behind(table, "Every decision")


def _adapter_buttons(report: Report) -> Markup:
    served = report.current != BASE
    back = pieces.button("Go back to the one before", "rollback", "", id_=None) if served else None
    base = (
        pieces.button("Serve without an adapter", "rollback", "base", id_=BASE) if served else None
    )
    return tag("p", pieces.button("Train now", "train", "train-now"), " ", back, " ", base)


def _entry(each: Episode, *, actions: bool) -> Sequence[Content]:
    outcome = each.outcome.value.replace("_", " ") if each.outcome else "open"
    said = join(outcome, tag("span", " (inferred)", class_="note") if each.inferred else None)
    label = f"Forget the suggestion of {words.moment(each.time)} in {each.path}"
    ids = {"id_": each.completion_id}
    button = pieces.button("Forget", "forget", each.completion_id, label, **ids)
    cells = (words.moment(each.time), said, pieces.place(each.workspace, each.path))
    return (*cells, pieces.code(each.suggestion.text), *((button,) if actions else ()))


def _file(each: FileRow, *, actions: bool) -> Sequence[Content]:
    button = pieces.button(
        "Forget file",
        "forgetFile",
        f"{each.workspace}/{each.path}",
        f"Forget all of {each.path}",
        workspace=each.workspace,
        path=each.path,
    )
    place = pieces.place(each.workspace, each.path)
    return (place, each.suggestions, each.taken, *((button,) if actions else ()))


def _rejection(each: Rejection, *, actions: bool) -> Sequence[Content]:
    until = f"until {words.date(each.until)}" if each.blocks else "no longer"
    until = "for good" if each.never else until
    label = f"Let the suggestion in {each.path} be offered again"
    button = pieces.button("Offer again", "forgive", each.id, label, id_=each.id)
    place = pieces.place(each.workspace, each.path)
    text = pieces.code(each.text)
    return (words.date(each.time), until, place, text, *((button,) if actions else ()))


# ----------------------------------------------------------------------- columns


def _shown(period: Period) -> Column:
    parts = [("main", float(period.taken)), ("rest", float(period.shown - period.taken))]
    note = words.percent(period.acceptance) if period.shown else ""
    return Column(words.day(period.start), parts, note=note)


def _term(name: str) -> tuple[str, str]:
    return TERMS.get(name, (name.replace("_", " "), "rest"))


def _short_id(adapter_id: str) -> str:
    return adapter_id[:12]


def _against(now: Period, before: Period) -> str:
    shown = f"{words.count(now.taken)} of {words.count(now.shown)}"
    if before.acceptance is None:
        return shown
    return f"{shown}; {words.percent(before.acceptance)} the week before"


def _adapters_in_words(report: Report) -> str:
    if not report.versions:
        return "the model as it came"
    promoted = sum(each.promoted for each in report.versions)
    return f"{promoted} promoted, {len(report.versions) - promoted} set aside"
