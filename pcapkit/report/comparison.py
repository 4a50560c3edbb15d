"""A comparison on a terminal: the verdict, both sides with their intervals, promises."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcapkit.model.comparison import Comparison, Measure, PlanPromise, Promise, Rate, Subject
from pcapkit.model.plans import PlanKind
from pcapkit.report.text.formatting import number, percent, printable, shorten
from pcapkit.report.text.plans import KINDS
from pcapkit.report.text.wording import setting_text

_SUBJECTS, _PROMISES = 10, 10
_TITLES = {
    "queries_per_lookup": "queries per lookup",
    "wasted_per_lookup": "wasted per lookup",
    "wasted_share": "wasted share",
    "lookups_per_second": "lookups per second",
    "queries_per_second": "queries per second",
}
_VERDICTS = {
    "less": "less",
    "more": "more",
    "no_change_shown": "no change shown",
    "too_little_data": "too little data",
    "kept": "kept",
    "not_kept": "not kept",
    "not_applied": "not applied",
}
_STYLES = {"less": "green", "kept": "green", "more": "red", "not_kept": "red"}


def _plain(value: float) -> str:
    return f"{value:,.{2 if value < 10 else 1}f}" if value < 100 else number(round(value))


def _signed(change: float) -> str:
    return ("+" if change >= 0 else "−") + percent(abs(change))


def _with_interval(rate: Rate | None, *, share: bool) -> str:
    if rate is None:
        return ""
    of = 100 if share else 1
    value, low, high = (_plain(of * v) for v in (rate.value, rate.low, rate.high))
    return f"{value} ({low}–{high})" + (" %" if share else "")


def comparison_headline(comparison: Comparison) -> str:
    """Return the one sentence: what became of the queries of a lookup."""
    measure = comparison.subjects[0].measure("queries_per_lookup")
    change, old, new = measure.change, measure.before, measure.after
    if measure.verdict == "too_little_data" or change is None or old is None or new is None:
        lookups = comparison.subjects[0]
        return (
            f"Too little data: {number(lookups.before_lookups)} complete lookups before, "
            f"{number(lookups.after_lookups)} after."
        )
    sides = f"{_plain(old.value)} before, {_plain(new.value)} after"
    span = f"95 % interval {_signed(change.low)} to {_signed(change.high)}"
    if measure.verdict == "no_change_shown":
        return f"No change shown in the queries of a lookup: {sides} ({span})."
    word = "fewer" if measure.verdict == "less" else "more"
    return f"A lookup sends {percent(abs(change.value))} {word} queries: {sides} ({span})."


def _measures(subject: Subject) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "before", "after", "change"):
        table.add_column(
            title, justify="right" if title else "left", header_style="dim", no_wrap=True
        )
    for m in subject.measures:
        share = m.what == "wasted_share"
        sides = (_with_interval(r, share=share) for r in (m.before, m.after))
        table.add_row(_TITLES[m.what], *sides, _verdict(m))
    return table


def _verdict(m: Measure) -> Text:
    shown = "" if m.change is None or m.verdict == "too_little_data" else _signed(m.change.value)
    if m.verdict not in ("less", "more"):
        shown = _VERDICTS[m.verdict]
    return Text(shown, style=_STYLES.get(m.verdict, ""))


def _is_promise(promise: Promise) -> bool:
    """Was no more to be sent? Nobody promises more queries: that is a prediction."""
    return promise.promised is None or promise.promised <= 0


def _promise(promise: Promise) -> Text:
    what = "in full" if promise.setting.is_fqdn_of_all else setting_text(promise.setting)
    text = Text(f"{shorten(promise.subject, 48)}, {what}: ")
    is_promise = _is_promise(promise)
    if promise.promised is not None and not promise.setting.is_fqdn_of_all:
        word = "promised" if is_promise else "predicted"
        text.append(f"{_signed(promise.promised)} queries {word}, ")
        if promise.measured is not None:
            text.append(f"{_signed(promise.measured.value)} came: ")
    if is_promise:
        text.append(_VERDICTS[promise.verdict], style=_STYLES.get(promise.verdict, "yellow"))
    else:
        text.append(_prediction(promise))
    return text


def _prediction(promise: Promise) -> str:
    """Say what became of the prediction that a setting sends more queries."""
    if promise.verdict == "not_kept":
        return "more than predicted"
    if promise.verdict != "kept" or promise.measured is None or promise.promised is None:
        return _VERDICTS[promise.verdict]
    return "less than predicted" if promise.measured.high < promise.promised else "as predicted"


def _plan(promise: PlanPromise) -> Text:
    """Return what became of a plan: how many of its steps came true, and what they changed."""
    who = "" if promise.subject is None else f" of {shorten(promise.subject, 36)}"
    kind = "" if promise.kind is PlanKind.BEST else f", {KINDS[promise.kind]}"
    text = Text(f"the plan{who}{kind}: ")
    if not promise.done:
        text.append(f"{_signed(promise.promised)} queries promised: ")
    else:
        steps = f"{promise.done} of {promise.steps} steps"
        if promise.done == promise.steps:
            steps = "its step" if promise.steps == 1 else f"all {promise.steps} steps"
        text.append(f"{steps} came true, {_signed(promise.promised)} queries promised, ")
        if promise.measured is not None:
            text.append(f"{_signed(promise.measured.value)} came: ")
    text.append(_VERDICTS[promise.verdict], style=_STYLES.get(promise.verdict, "yellow"))
    return text


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison; it fits 80 columns, and names never act as markup."""
    whole, *clients = comparison.subjects
    console.print(Text(comparison_headline(comparison), style="bold"))
    for title, path, lookups in (
        ("before: ", comparison.before, whole.before_lookups),
        ("after:  ", comparison.after, whole.after_lookups),
    ):
        text = f"{title}{printable(path)}, {number(lookups)} complete lookups"
        console.print(Text(text, style="dim"))
    console.print()
    console.print(_measures(whole))
    if len(clients) > 1:
        console.print()
        console.print(_clients(clients[:_SUBJECTS]))
        if len(clients) > _SUBJECTS:
            console.print(Text(f"and {len(clients) - _SUBJECTS} more (--json)", style="dim"))
    if comparison.promises or comparison.plans:
        console.print()
        promised = comparison.plans or any(map(_is_promise, comparison.promises))
        console.print(Text(f"What was {'promised' if promised else 'predicted'}:"))
    for plan in comparison.plans[:_PROMISES]:
        console.print(Text("- ") + _plan(plan))
    if len(comparison.plans) > _PROMISES:
        more = len(comparison.plans) - _PROMISES
        console.print(Text(f"and {more} more plans (--json)", style="dim"))
    for promise in comparison.promises[:_PROMISES]:
        console.print(Text("- ") + _promise(promise))
    if len(comparison.promises) > _PROMISES:
        more = len(comparison.promises) - _PROMISES
        console.print(Text(f"and {more} more (--json)", style="dim"))


def _clients(subjects: list[Subject]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("queries per lookup of", "before", "after", "change"):
        table.add_column(
            title, justify="left" if "of" in title else "right", header_style="dim", no_wrap=True
        )
    for subject in subjects:
        m = subject.measure("queries_per_lookup")
        sides = ("" if r is None else _plain(r.value) for r in (m.before, m.after))
        table.add_row(Text(shorten(subject.subject or "", 36)), *sides, _verdict(m))
    return table
