"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pcapkit.errors import UsageError
from pcapkit.model.vocabulary import REPORT_FORMATS, Severity
from pcapkit.pipeline.options import READING_OPTIONS, Options, make_options

Command = TypeVar("Command", bound=Callable[..., Any])


def reading_options(command: Command) -> Command:
    """Add the options of every command that reads captures."""
    for row in reversed(READING_OPTIONS):
        option = click.option(
            row.flag,
            row.keyword,
            multiple=row.several,
            type=None if row.bounds is None else click.IntRange(*row.bounds),
            metavar=row.metavar,
            help=row.help,
        )
        command = option(command)
    return command


def output_options(formats: str) -> Callable[[Command], Command]:
    """Return what adds the options of a command that writes reports, by default in ``formats``."""
    options = (
        click.option(
            "-o",
            "--output",
            default="reports",
            metavar="DIR",
            show_default=True,
            help="Folder for reports.",
        ),
        click.option(
            "--format",
            "formats",
            default=formats,
            show_default=True,
            help=f"Comma-separated, of {', '.join(REPORT_FORMATS)}.",
        ),
        click.option(
            "--fail-on",
            metavar="RULE",
            help="Exit with 1 above a threshold, such as 'waste>30%', or where a fault is "
            "shown: 'fault:any', 'fault:CODE'.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Print only paths and warnings."),
        click.option("-v", "--verbose", is_flag=True, help="Say what is being done."),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def options_of(values: Mapping[str, object], captures: tuple[str, ...]) -> Options:
    """Return the options for reading that a command was given; UsageError where they clash."""
    if "-" in captures and "-" in (values["pods"], values["corefile"]):
        raise UsageError("- is standard input, and the capture comes from there: name a file")

    return make_options(**values)  # type: ignore[arg-type]


def _share(text: str) -> float:
    """Parse ``30%`` or ``0.3``; -1 where it is no number."""
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return -1.0


def parse_rule(text: str | None) -> tuple[float | None, frozenset[str]]:
    """Parse a rule to a share of waste, or to the codes of faults.

    ``fault:any`` means all that are more than good to know.
    """
    name, sep, code = (text or "").replace(" ", "").partition(":")
    if name != "fault" or not sep:
        return parse_threshold(text), frozenset()
    from pcapkit.analysis.faults.catalogue import FAULTS

    if code == "any":
        return None, frozenset(f.code for f in FAULTS if f.severity is not Severity.INFO)
    code = code.lower().replace("-", "_")
    known = [fault.code for fault in FAULTS]
    if code not in known:
        raise UsageError(f"--fail-on {text!r}: write fault:any, or one of {', '.join(known)}")
    return None, frozenset({code})


def parse_threshold(text: str | None) -> float | None:
    """Parse ``waste>30%`` or ``waste>0.3`` to a share."""
    if text is None:
        return None
    name, sep, value = text.replace(" ", "").partition(">")
    share = _share(value)
    if name != "waste" or not sep or not 0 <= share <= 1:
        raise UsageError(f"--fail-on {text!r}: write it as waste>30% or waste>0.3")
    return share


def parse_growth(text: str | None) -> float | None:
    """Parse ``queries>+5%`` or ``queries>+0.05`` to a share; None for another rule."""
    name, sep, value = (text or "").replace(" ", "").partition(">+")
    if name != "queries" or not sep:
        return None
    share = _share(value)
    if not share >= 0:
        raise UsageError(f"--fail-on {text!r}: write it as queries>+5% or queries>+0.05")
    return share


def parse_formats(text: str) -> tuple[str, ...]:
    """Parse ``html,png`` to the forms of a report, each once."""
    wanted = tuple(dict.fromkeys(f.strip() for f in text.split(",") if f.strip()))
    for form in wanted:
        if form not in REPORT_FORMATS:
            raise UsageError(f"--format {form!r}: it is one or more of {', '.join(REPORT_FORMATS)}")
    if not wanted:
        raise UsageError(f"--format: name one or more of {', '.join(REPORT_FORMATS)}")
    return wanted
