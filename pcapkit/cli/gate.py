"""``--fail-on`` and what belongs to it: the verdicts printed, saved, and the exit status."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcapkit.cli.output import check_output_file, say
from pcapkit.errors import InputError, UsageError

if TYPE_CHECKING:
    from pcapkit.batch.gate.growth import Growth
    from pcapkit.batch.gate.judge import Verdict
    from pcapkit.batch.gate.rules import Rule
    from pcapkit.batch.gate.subjects import Subject
    from pcapkit.pipeline.analysis import Analysis

Command = TypeVar("Command", bound=Callable[..., Any])

#: So many lines of what failed are printed, and so many of what one rule could not judge.
_MOST_FAILED, _MOST_NOT_JUDGED = 50, 3
_RULES = (
    "Exit with 1 where this does not hold: 'waste>30%', 'nxdomain>0.5', 'lookup_p95>50ms', "
    "'queries>+5%', 'new_waste', 'fault:any', 'fault:CODE'; of workloads: 'shop/web:waste>30%', "
    "'shop/*:...'. Several with commas, or a line each in a file: @FILE. Repeatable."
)


#: What to do instead of rules that need an earlier run, where one run is all there is.
INSTEAD = {
    "queries": "use it with 'pcapkit compare BEFORE AFTER', or with 'pcapkit audit --history'",
    "new_waste": "use it with 'pcapkit audit --history'",
}


class _Whole(click.types.StringParamType):
    """Text that may hold spaces, also as an environment variable."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [rv]


def gate_options(command: Command) -> Command:
    """Add the options of every command that may fail by rules."""
    for option in reversed(
        (
            click.option("--fail-on", metavar="RULE", multiple=True, type=_Whole(), help=_RULES),
            click.option(
                "--junit", metavar="FILE", help="Write what --fail-on found as JUnit XML."
            ),
            click.option(
                "--step-summary",
                metavar="FILE",
                help="Add what --fail-on found to a file, as Markdown. Default in GitHub Actions: "
                "the step's summary.",
            ),
        )
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of one run, and where their verdicts go."""

    rules: tuple[Rule, ...]
    junit: str | None
    step_summary: str | None

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        junit: str | None,
        step_summary: str | None,
        *,
        instead: Mapping[str, str],
    ) -> Gate:
        """Parse the rules; raises UsageError.

        ``instead`` says by check what to do where a rule needs an earlier run and there is none.
        """
        if not texts:
            if junit is not None:
                raise UsageError("--junit: it holds what --fail-on finds; give that, too")
            return cls((), None, None)
        from pcapkit.batch.gate.rules import parse_rules

        rules = parse_rules(texts)
        for rule in rules:
            if rule.check in instead:
                why = f"needs an earlier run: {instead[rule.check]}"
                raise UsageError(f"--fail-on {rule.text!r} {why}")
        summary = step_summary or os.environ.get("GITHUB_STEP_SUMMARY") or None
        if junit is not None:
            check_output_file(junit, "--junit")
        if summary is not None:
            check_output_file(summary, "--step-summary", added_to=True)
        return cls(rules, junit, summary)

    def judge(
        self,
        subjects: Callable[[], Sequence[Subject]],
        growths: Callable[[], Iterable[Growth]] = tuple,
        *,
        prints_json: bool = False,
    ) -> bool:
        """Judge, say and write what came of it; return whether something failed.

        With ``prints_json``, standard output is for that alone.
        """
        if not self.rules:
            return False
        from pcapkit.batch.gate.judge import State, judge

        verdicts = judge(self.rules, subjects(), tuple(growths()))
        for line in _lines(verdicts):
            say(line)
        if self.junit is not None:
            from pcapkit.batch.gate.junit import render_junit
            from pcapkit.files import atomic_write

            atomic_write(Path(self.junit), render_junit(verdicts))
        if self.step_summary:
            _add_summary(self.step_summary, verdicts)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from pcapkit.batch.gate.github import render_annotations

            for line in render_annotations(verdicts):
                click.echo(line, err=prints_json)
        return any(v.state is State.FAILED for v in verdicts)


def _lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield what is not judged, then what failed, a line each."""
    from pcapkit.batch.gate.judge import State

    by_rule: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.state is State.NOT_JUDGED:
            by_rule.setdefault(verdict.rule.text, []).append(verdict)
    for mine in by_rule.values():
        yield from map(_line, mine[:_MOST_NOT_JUDGED])
        if (more := len(mine) - _MOST_NOT_JUDGED) > 0:
            yield f"{State.NOT_JUDGED}: {mine[0].rule.text}: and {more:,} more"
    failed = [v for v in verdicts if v.state is State.FAILED]
    yield from map(_line, failed[:_MOST_FAILED])
    if (more := len(failed) - _MOST_FAILED) > 0:
        yield f"{State.FAILED}: and {more:,} more; --junit FILE holds all"


def _line(verdict: Verdict) -> str:
    return f"{verdict.state}: {verdict.rule.text}: {verdict.subject}: {verdict.reason}"


def _add_summary(path: str, verdicts: Sequence[Verdict]) -> None:
    """Add a step summary to a file, which earlier commands of the step may have written to."""
    from pcapkit.batch.gate.github import MOST_BYTES, render_step_summary

    try:
        with open(path, "ab") as file:
            file.write(render_step_summary(verdicts, MOST_BYTES - file.tell()))
    except OSError as problem:
        why = f"cannot be written: {problem.strerror}"
        raise InputError(path, why, hint="name another with --step-summary") from None


def subjects_in(analysis: Analysis) -> Callable[[], Sequence[Subject]]:
    """Return what gives the subjects of rules in an analysis, when there are rules."""

    def subjects() -> Sequence[Subject]:
        from pcapkit.batch.gate.subjects import subjects_of

        return subjects_of(analysis)

    return subjects
