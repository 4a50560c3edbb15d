"""The reference, made from the code: pages of Markdown, by their path below ``docs/``.

Hand-written pages of commands get their options appended; all other pages here are whole.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from pcapkit.analysis import timing
from pcapkit.cli.manual import entries
from pcapkit.cli.root import COMMANDS, EXIT_STATUSES, cli
from pcapkit.model.columns import COLUMNS
from pcapkit.model.manual import Entry

#: page -> its title, what stands above the entries, and the kinds of entries on it
MANUALS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "waste-classes": (
        "Waste classes",
        "Every query has exactly one class. [Words](words.md) says which one applies first.",
        ("waste class", "mark"),
    ),
    "faults": ("Faults", "What is wrong beside waste, each with what shows it.", ("fault",)),
    "settings": (
        "Settings",
        "The rows of what-if tables: what the same lookups would send under another setting.",
        ("setting", "word"),
    ),
    "advice": (
        "Advice",
        "What plans and recommendations say, and how far a setting or a step can be trusted.",
        ("plan", "verdict", "recommendation"),
    ),
    "skipped": (
        "Packets without a message",
        "Every packet carries a message, is a duplicate, or is counted under one of these.",
        ("skip reason",),
    ),
    "named-limits": (
        "Named limits",
        "What a capture may make grow, and what happens beyond; `--limit NAME=VALUE` changes one. "
        "[Reliability](../reliability.md) has what was measured.",
        ("limit",),
    ),
}
#: schema -> what prints it
SCHEMAS = {
    "analysis": "`pcapkit analyze --json` prints it, and `analysis.json` holds it.",
    "summary": "`pcapkit analyze --json summary` prints it: less than 8 kB.",
    "audit": "`pcapkit audit` writes it as `audit.json`, and prints it with `--json`.",
}


def pages() -> dict[str, str]:
    """Return the pages that are wholly made, by their path."""
    made = {f"reference/{name}.md": manual_page(name) for name in MANUALS}
    made["reference/tables.md"] = tables_page()
    made["reference/json.md"] = json_page()
    made["reference/timing.md"] = timing_page()
    return made


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    return f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell(c) for c in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def prose(text: str) -> str:
    """Return text of the code as Markdown: what looks like markup there is none.

    Options, paths and expressions that a text holds are set as code.
    """
    text = re.sub(r"(?<![\w`-])(--[a-z][\w-]*|_\w+(?:\.\w+)*)", r"`\1`", text)
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else plain(p) for p in parts)


def plain(text: str) -> str:
    return re.sub(r"([*_\[\]])", r"\\\1", text).replace("<", "&lt;")


# Commands


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield each command, with the context in which its help is made."""
    root = click.Context(cli, info_name="pcapkit")
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        yield name, command, click.Context(command, info_name=name, parent=root)


def options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option)]


def flags(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None
    return record[0]


def help_of(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's help."""
    return [" ".join(p.split()) for p in re.split(r"\n\s*\n", command.help or "") if p.strip()]


def values(option: click.Option, context: click.Context) -> str:
    """Return what an option is where nobody says so, and what it may be."""
    extra = option.get_help_extra(context)
    told = [f"default: {extra['default']}"] if "default" in extra else []
    told += ["required"] if "required" in extra else []
    told += [extra["range"].replace("<=x<=", " to ")] if "range" in extra else []
    return ", ".join(told)


def options_section(command: click.Command, context: click.Context) -> str:
    """Return the generated part of a command's page."""
    rows = []
    for option in options(command):
        told, known = prose(option.help or ""), values(option, context)
        told = f"{told} ({known})" if known else told
        rows.append((code(flags(option, context)), told.strip(), code(str(option.envvar))))
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = "\n\n".join(prose(paragraph) for paragraph in help_of(command))
    out = [f"\n## Options\n\n```text\n{usage}\n```\n\n{text}\n\n"]
    if rows:
        listed = table(("option", "what it does", "variable"), rows)
        out.append(f'<div class="options" markdown>\n\n{listed}\n</div>\n\n')
    out.append("[Exit statuses](index.md#exit-statuses) are those of all commands.\n")
    return "".join(out)


def commands_lists() -> str:
    """Return a row for each command, with the first sentence of its help, and the exit statuses."""
    rows = [(f"[{name}]({name}.md)", prose(help_of(command)[0])) for name, command, _ in commands()]
    statuses = [(str(status), prose(meaning)) for status, meaning in EXIT_STATUSES.items()]
    return (
        "\n## All commands\n\n"
        + table(("command", "what it does"), rows)
        + "\n## Exit statuses\n\n"
        + table(("status", "when"), statuses)
    )


# Entries of the manual


def entry_section(entry: Entry, level: int) -> str:
    parts = (
        ("", entry.meaning),
        ("Why", entry.why),
        ("What shows it", entry.signature),
        ("What else may look like it", entry.excludes),
        ("What to do", entry.action),
    )
    told = "\n\n".join((label and f"**{label}.** ") + prose(text) for label, text in parts if text)
    return f"\n{'#' * level} {code(entry.code)}\n\n{told}\n"


def manual_page(name: str) -> str:
    title, above, kinds = MANUALS[name]
    out = [f"# {title}\n\n{above} `pcapkit explain CODE` prints the same.\n"]
    several = len(kinds) > 1
    for kind in kinds:
        if several:
            out.append(f"\n## {kind.capitalize()}\n")
        out.extend(entry_section(e, 2 + several) for e in entries() if e.kind == kind)
    return "".join(out)


# Tables and JSON


def tables_page() -> str:
    out = [
        "# Tables\n\nWhat `pcapkit export`, `pcapkit sql` and the frames of an analysis hold. "
        "Null where it is not known, or was not seen. Parquet files say the same of their "
        "columns.\n"
    ]
    for name, columns in COLUMNS.items():
        rows = [(code(column), prose(text)) for column, text in columns.items()]
        out.append(f"\n## {code(name)}\n\n" + table(("column", "what stands in it"), rows))
    return "".join(out)


def kind_of(node: dict[str, Any]) -> str:
    """Return the type of a value, in words."""
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(kind_of(n) for n in node["anyOf"]))
    if "enum" in node:
        return ", ".join("null" if v is None else code(str(v)) for v in node["enum"])
    if "const" in node:
        return code(str(node["const"]))
    kinds = node.get("type", "any value")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return "time, UTC" if "T" in str(node.get("pattern", "")) else text


def keys_of(node: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield each key below a node of a schema, as a path, with its type."""
    for choice in node.get("anyOf", ()):
        yield from keys_of(choice, path)
    if isinstance(node.get("items"), dict):
        yield from keys_of(node["items"], f"{path}[]")
    for key, inner in node.get("properties", {}).items():
        below = f"{path}.{key}"
        yield below, kind_of(inner)
        yield from keys_of(inner, below)


def meaning(path: str) -> str:
    """Return what a key means where it is a column of the table of that name."""
    name, _, rest = path.partition("[].")
    return COLUMNS.get(name, {}).get(rest.replace(".", "_"), "")


def keys_table(rows: Sequence[tuple[str, str]]) -> str:
    told = [(code(path), kind, prose(meaning(path))) for path, kind in rows]
    if any(means for _, _, means in told):
        return table(("key", "type", "meaning"), told)
    return table(("key", "type"), [row[:2] for row in told])


def json_page() -> str:
    out = [
        "# JSON\n\nThe schemas ship with the package, as `pcapkit/report/*.schema.json`. Keys may "
        "be added within a version, and are never renamed or dropped. Where a key is a column of "
        "a [table](tables.md), it means the same. [compare](commands/compare.md) and "
        "[fix](commands/fix.md) describe their own.\n"
    ]
    for name, printed in SCHEMAS.items():
        schema = json.loads(files("pcapkit.report").joinpath(f"{name}.schema.json").read_text())
        out.append(f"\n## {schema['properties']['schema']['const']}\n\n{printed}\n")
        keys = schema["properties"].items()
        out.append("\n" + keys_table([(key, kind_of(node)) for key, node in keys]))
        for key, node in keys:
            if below := list(keys_of(node, key)):
                out.append(f"\n### {code(key)}\n\n" + keys_table(below))
    return "".join(out)


# Thresholds in time


def in_words(nanoseconds: int) -> str:
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:,g} {unit}"
    return f"{nanoseconds} ns"


def thresholds() -> list[tuple[str, str, str]]:
    """Return each threshold of ``analysis/timing.py``: its name, its time, the comment above it."""
    source = Path(timing.__file__).read_text()
    comments = {
        token.start[0]: token.string.removeprefix("#:").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and token.string.startswith("#:")
    }
    rows = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, line = node.targets[0].id, node.lineno - 1
            told: list[str] = []
            while line in comments:
                told.insert(0, comments[line])
                line -= 1
            value = getattr(timing, name)
            if told and isinstance(value, int):
                rows.append((name, in_words(value), " ".join(told).replace("``", "`")))
    return rows


def timing_page() -> str:
    out = [
        "# Thresholds in time\n\nHow soon what belongs together follows. Where a capture has no "
        "clock, a packet counts as 1 µs. A reason that begins with dots goes on from the one "
        "above.\n"
    ]
    for name, time, why in thresholds():
        out.append(f"\n## {time} {{ #{name.lower()} }}\n\n{code(name)}: {prose(why)}\n")
    return "".join(out)
