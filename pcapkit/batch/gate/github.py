"""Verdicts as GitHub Actions shows them: a step summary in Markdown, and annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapkit.batch.gate.judge import State, Verdict
from pcapkit.report.markdown import code, plain
from pcapkit.report.text.formatting import number, printable, shorten

#: GitHub takes no step summary of more than 1 MiB (``GITHUB_STEP_SUMMARY``), and shows ten
#: annotations of one kind for a step.
MOST_BYTES = (1 << 20) - 1
MOST_ANNOTATIONS = 10
_WIDTH = 300  # characters of a name or a reason
_ORDER = (State.FAILED, State.NOT_JUDGED, State.PASSED)


def title(verdicts: Sequence[Verdict]) -> str:
    """Return how many checks failed, in words."""
    failed = sum(v.state is State.FAILED for v in verdicts)
    checks = f"{number(len(verdicts))} check{'' if len(verdicts) == 1 else 's'}"
    if failed:
        return f"{number(failed)} of {checks} failed"
    judged = sum(v.state is State.PASSED for v in verdicts)
    return f"{number(judged)} of {checks} passed, none failed"


def render_step_summary(verdicts: Sequence[Verdict], room: int = MOST_BYTES) -> bytes:
    """Return Markdown in UTF-8 of at most ``room`` bytes, what failed first.

    It says so where there is not room for all; where there is none for that, it is empty.
    """
    head = [f"### pcapkit: {title(verdicts)}", "", "| | rule | subject | |"]
    head.append("| --- | --- | --- | --- |")
    rows = [_row(v) for state in _ORDER for v in verdicts if v.state is state]
    cut = "\nAnd {} more, for which a step summary has no room; --junit FILE holds all.\n"
    left = room - len("\n".join(head).encode()) - 2
    longest_cut = len(cut.format(number(len(rows))).encode())
    sizes = [len(row.encode()) + 1 for row in rows]
    if sum(sizes) <= left:
        return "\n".join([*head, *rows, "", ""]).encode()
    shown: list[str] = []
    left -= longest_cut
    for row, size in zip(rows, sizes, strict=True):
        if size > left:
            break
        shown.append(row)
        left -= size
    if left < 0:
        return b""
    return "\n".join([*head, *shown, cut.format(number(len(rows) - len(shown)))]).encode()


def _row(verdict: Verdict) -> str:
    subject, reason = shorten(verdict.subject, _WIDTH), shorten(verdict.reason, _WIDTH)
    mark = f"**{verdict.state}**" if verdict.state is State.FAILED else str(verdict.state)
    return f"| {mark} | {code(verdict.rule.text)} | {plain(subject)} | {plain(reason)} |"


def render_annotations(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield workflow commands, at most ten: what failed, and how much more there is."""
    failed = [v for v in verdicts if v.state is State.FAILED]
    shown = failed if len(failed) <= MOST_ANNOTATIONS else failed[: MOST_ANNOTATIONS - 1]
    for verdict in shown:
        about = f"{shorten(verdict.subject, _WIDTH)}: {shorten(verdict.reason, _WIDTH)}"
        yield _command(f"pcapkit: {verdict.rule.text}", about)
    if more := len(failed) - len(shown):
        yield _command("pcapkit", f"{number(more)} more checks failed: see the step's log")


def _command(about: str, message: str) -> str:
    """Return one workflow command; a property's value is escaped for ``:`` and ``,`` as well."""
    value = _escaped(about).replace(":", "%3A").replace(",", "%2C")
    return f"::error title={value}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
