"""Options from a file: ``pcapkit.toml``, or ``[tool.pcapkit]`` of ``pyproject.toml``.

The nearest of them counts, from the working directory up to the first folder that has one. Its
tables are commands, its keys options as they are typed, without the dashes in front::

    [audit]
    fail-on = ["waste>30%"]
    pods = "pods.json"

What is typed beats what the environment says, and that beats the file.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import click

from pcapkit.errors import UsageError
from pcapkit.text import encodable

_NAME, _SHARED = "pcapkit.toml", "pyproject.toml"


def options_of_file(command: click.Command, name: str) -> dict[str, Any]:
    """Return the values that the nearest file gives options of a command, by their parameters.

    Raises UsageError where the file cannot be read, or names what there is not.
    """
    path, tables = _nearest(Path.cwd())
    if path is None:
        return {}
    where = encodable(str(path))
    section = tables.get(name, {})
    if not isinstance(section, dict):
        raise UsageError(f"{where}: {name} is no table: write [{name}] above its options")
    known = {
        flag.lstrip("-"): option.name
        for option in command.params
        if isinstance(option, click.Option)
        for flag in option.opts
        if flag.startswith("--")
    }
    for key in section:
        if key not in known:
            raise UsageError(f"{where}: {name} has no option {key!r}")
    return {str(known[key]): value for key, value in section.items()}


def _nearest(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    for place in (folder, *folder.parents):
        for name in (_NAME, _SHARED):
            path = place / name
            if not os.path.isfile(path):
                continue
            try:
                found = tomllib.loads(path.read_text("utf-8"))
            except (OSError, ValueError) as problem:
                if name == _SHARED:  # which is somebody else's
                    continue
                raise UsageError(f"{encodable(str(path))}: {problem}") from None
            if name == _SHARED:
                found = found.get("tool", {}).get("pcapkit")
                if found is None:
                    continue
            return path, found
    return None, {}
