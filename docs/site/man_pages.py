"""Man pages, made from the help: ``python docs/site/man_pages.py FOLDER``.

click-man makes them as well, but sees no command that is imported when it is asked for, shortens
the line of NAME, and knows neither variables nor exit statuses.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import click
from reference_pages import commands, flags, help_of, options, values

from pcapkit.cli.root import EXIT_STATUSES, cli
from pcapkit.version import __version__

ENVIRONMENT = (
    "Each option can be set as the variable that stands beside it, and as a key of pcapkit.toml, "
    "or of [tool.pcapkit] in pyproject.toml, in the folder or one above it. What is typed counts "
    "first, then variables, then the file."
)


def escaped(text: str) -> str:
    """Return text for troff, in short lines: none is a request, no character begins an escape."""
    for character, escape in (("\\", "\\e"), ("-", "\\-"), ("`", "\\(ga"), ("'", "\\(aq")):
        text = text.replace(character, escape)
    lines = textwrap.wrap(text, 76, break_long_words=False, break_on_hyphens=False)
    return "\n".join("\\&" + line if line.startswith(".") else line for line in lines)


def section(title: str, *lines: str) -> list[str]:
    return [f".SH {title}", *lines]


def listed(word: str, *text: str) -> list[str]:
    return [".TP", f"\\fB{escaped(word)}\\fR", *(escaped(line) for line in text if line)]


def paragraphs(texts: list[str]) -> list[str]:
    return [line for text in texts for line in (".PP", escaped(text))][1:]


def page(name: str, usage: str, texts: list[str], *sections: list[str], others: str) -> str:
    """Return a page of section 1, with what all of them have."""
    (first, *_) = texts
    head = f'.TH "{escaped(name.upper())}" 1 "" "pcapkit {__version__}" "pcapkit"'
    statuses = section("EXIT STATUS")
    for status, meaning in EXIT_STATUSES.items():
        statuses += listed(str(status), meaning[0].upper() + meaning[1:] + ".")
    lines = [
        head,
        *section("NAME", escaped(f"{name} @ {first.rstrip('.')}").replace("@", "\\-", 1)),
        *section("SYNOPSIS", f"\\fB{escaped(name.replace('-', ' '))}\\fR {escaped(usage)}"),
        *section("DESCRIPTION", *paragraphs(texts)),
        *(line for more in sections for line in more),
        *statuses,
        *section("ENVIRONMENT", escaped(ENVIRONMENT)),
        *section("SEE ALSO", escaped(others)),
    ]
    return "\n".join(lines) + "\n"


def command_page(name: str, command: click.Command, context: click.Context) -> str:
    known = section("OPTIONS") if options(command) else []
    for option in options(command):
        value = values(option, context)
        more = f"[{value}; {option.envvar}]" if value else f"[{option.envvar}]"
        known += listed(flags(option, context), option.help or "", more)
    usage = " ".join(command.collect_usage_pieces(context))
    return page(f"pcapkit-{name}", usage, help_of(command), known, others="pcapkit(1)")


def root_page() -> str:
    told, others = section("COMMANDS"), []
    for name, command, _ in commands():
        told += listed(name, help_of(command)[0])
        others.append(f"pcapkit-{name}(1)")
    root = click.Context(cli, info_name="pcapkit")
    known = section("OPTIONS")
    for option in (p for p in cli.get_params(root) if isinstance(p, click.Option)):
        known += listed(flags(option, root), option.help or "")
    usage = " ".join(cli.collect_usage_pieces(root))
    return page("pcapkit", usage, help_of(cli), told, known, others=", ".join(others))


def write(folder: Path) -> list[Path]:
    """Write a page for pcapkit and for each of its commands."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"pcapkit": root_page()}
    texts |= {f"pcapkit-{name}": command_page(name, c, context) for name, c, context in commands()}
    for name, text in texts.items():
        (folder / f"{name}.1").write_text(text, "utf-8")
    return [folder / f"{name}.1" for name in texts]


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)
