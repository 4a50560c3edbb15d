"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcapkit.errors import UsageError
from pcapkit.model.vocabulary import REPORT_FORMATS

if TYPE_CHECKING:
    from pcapkit.pipeline.options import Options


Command = TypeVar("Command", bound=Callable[..., Any])
_STYLE: dict[str, Any] = {"show_default": True}


def reading_options(command: Command) -> Command:
    """Add the options of every command that reads captures."""
    for option in reversed(
        (
            click.option(
                "--resolv-conf",
                multiple=True,
                metavar="[CLIENT=]FILE",
                help="The pods' resolv.conf, or that of one client or block.",
            ),
            click.option(
                "--search",
                multiple=True,
                metavar="SUFFIX",
                help="A search suffix; repeat in order.",
            ),
            click.option(
                "--ndots", type=click.IntRange(0, 15), metavar="N", help="The ndots in force."
            ),
            click.option(
                "--resolver",
                metavar="MODEL",
                help="glibc, musl, go, c-ares, dnspython, bind-nslookup, busybox ...",
            ),
            click.option(
                "--cluster-domain",
                "cluster_domains",
                multiple=True,
                metavar="ZONE",
                help="The cluster domain, if not cluster.local.",
            ),
            click.option(
                "--corefile", metavar="FILE", help="A Corefile, or the ConfigMap that holds it."
            ),
            click.option(
                "--pods",
                metavar="FILE",
                help="What 'kubectl get pods,services -A -o json' prints, or -.",
            ),
            click.option(
                "--client",
                "clients",
                multiple=True,
                metavar="ADDR|CIDR",
                help="Only these clients.",
            ),
            click.option(
                "--port",
                "ports",
                type=click.IntRange(1, 65535),
                multiple=True,
                metavar="N",
                help="Another port that carries DNS, besides 53.",
            ),
            click.option(
                "--from",
                "time_from",
                metavar="TIME",
                help="Leave out what came before (ISO 8601 or epoch seconds).",
            ),
            click.option("--to", "time_to", metavar="TIME", help="Leave out what came after."),
        )
    ):
        command = option(command)
    return command


def output_options(command: Command) -> Command:
    """Add the options of the commands that write reports."""
    for option in reversed(
        (
            click.option(
                "-o",
                "--output",
                default="reports",
                metavar="DIR",
                **_STYLE,
                help="Folder for reports.",
            ),
            click.option(
                "--format",
                "formats",
                default="html,png,json",
                **_STYLE,
                help=f"Comma-separated, of {', '.join(REPORT_FORMATS)}.",
            ),
            click.option(
                "--fail-on",
                metavar="RULE",
                help="Exit with 1 above a threshold, such as 'waste>30%'.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="Print only paths and warnings."),
            click.option("-v", "--verbose", is_flag=True, help="Say what is being done."),
        )
    ):
        command = option(command)
    return command


def options_of(values: dict[str, Any], captures: tuple[str, ...]) -> Options:
    """Return the options for reading that a command was given; UsageError where they clash."""
    from pcapkit.pipeline.options import make_options

    if "-" in captures and "-" in (values["pods"], values["corefile"]):
        raise UsageError("- is standard input, and the capture comes from there: name a file")

    return make_options(**values)


def _share(text: str) -> float:
    """Parse ``30%`` or ``0.3``; -1 where it is no number."""
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return -1.0


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
