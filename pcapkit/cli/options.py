"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pcapkit.errors import UsageError
from pcapkit.model.vocabulary import REPORT_FORMATS
from pcapkit.pipeline.options import READING_OPTIONS, Options, ReadingOption, make_options

Command = TypeVar("Command", bound=Callable[..., Any])


def reading_options(command: Command) -> Command:
    """Add the options of every command that reads captures."""
    for row in reversed(READING_OPTIONS):
        command = _reading_option(row)(command)
    return command


def limit_option(command: Command) -> Command:
    """Add the option that changes a limit, for commands that take few others for reading."""
    return _reading_option(next(r for r in READING_OPTIONS if r.keyword == "limits"))(command)


def _reading_option(row: ReadingOption) -> Callable[[Command], Command]:
    return click.option(
        row.flag,
        row.keyword,
        multiple=row.several,
        type=None if row.bounds is None else click.IntRange(*row.bounds),
        metavar=row.metavar,
        help=row.help,
    )


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
        click.option("-q", "--quiet", is_flag=True, help="Print only paths and warnings."),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Say more: what is being done, settings, other advice.",
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


#: What ``--json`` may be followed by.
JSON_FORMS = ("full", "summary")


class JsonCommand(click.Command):
    """A command whose ``--json`` may stand alone, or before ``full`` or ``summary``.

    click's own optional values would take the capture that follows for one.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        out, rest = [], args[:end]
        while rest:
            arg = rest.pop(0)
            if arg == "--json":
                arg += "=" + (rest.pop(0) if rest and rest[0] in JSON_FORMS else JSON_FORMS[0])
            out.append(arg)
        return super().parse_args(ctx, out + args[end:])


def _json_form(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Return a form of JSON; a variable of the environment may also have a yes or a no."""
    if value in ("", *JSON_FORMS):
        return value
    try:
        return JSON_FORMS[0] if click.BOOL.convert(value, param, ctx) else ""
    except click.BadParameter:
        raise click.BadParameter(f"{value!r} is none of {', '.join(JSON_FORMS)}") from None


def json_option(command: Command) -> Command:
    """Add ``--json [full|summary]``; "" where it is not given."""
    return click.option(
        "--json",
        "as_json",
        callback=_json_form,
        default="",
        metavar=f"[{'|'.join(JSON_FORMS)}]",
        help="Print JSON, all of it or less than 8 kB; write no report.",
    )(command)


def pseudonymize_option(command: Command) -> Command:
    """Add the option that puts pseudonyms in the place of names and addresses."""
    option = click.option(
        "--pseudonymize",
        metavar="KEYFILE",
        help="Show keyed stand-ins for names and addresses; see share. A new key where none is.",
    )
    return option(command)


def options_of(values: Mapping[str, object], captures: tuple[str, ...]) -> Options:
    """Return the options for reading that a command was given; UsageError where they clash."""
    if "-" in captures and "-" in (values.get("pods"), values.get("corefile")):
        raise UsageError("- is standard input, and the capture comes from there: name a file")

    return make_options(**values)  # type: ignore[arg-type]


def parse_formats(text: str) -> tuple[str, ...]:
    """Parse ``html,png`` to the forms of a report, each once."""
    wanted = tuple(dict.fromkeys(f.strip() for f in text.split(",") if f.strip()))
    for form in wanted:
        if form not in REPORT_FORMATS:
            raise UsageError(f"--format {form!r}: it is one or more of {', '.join(REPORT_FORMATS)}")
    if not wanted:
        raise UsageError(f"--format: name one or more of {', '.join(REPORT_FORMATS)}")
    return wanted


_TIME = re.compile(r"(\d{1,6})(s|m|h)?")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_seconds(text: str, option: str) -> int:
    """Parse ``90s``, ``10m``, ``2h``; a number alone is seconds."""
    found = _TIME.fullmatch(text)
    if found is None or not 0 < (seconds := int(found[1]) * _UNITS[found[2] or "s"]) <= 86_400:
        raise UsageError(f"{option} {text!r}: write it as 90s, 10m or 2h, up to a day")
    return seconds
