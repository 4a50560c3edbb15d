"""Kernels are read by people: each names its parameters, and says what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pcapkit

PACKAGE = Path(pcapkit.__file__).parent
#: Folders whose kernels are held to it; below ``ingest`` all but the readers of text and logs.
FOLDERS = (
    "analysis/exchanges",
    "analysis/lookups",
    "analysis/search_lists",
    "ingest",
    "ingest/capture",
    "ingest/inputs",
    "ingest/packet",
    "ingest/reassembly",
    "kernels",
    "names",
)
KINDS = {"kernel", "inline_kernel", "helper_kernel"}
MOST_PARAMETERS, MOST_LINES = 8, 70


def kernels(*kinds: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for folder in FOLDERS:
        for path in sorted((PACKAGE / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    marks = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
                    if marks & set(kinds):
                        yield f"{folder}/{path.name}: {node.name}", node


def test_there_are_kernels_of_each_kind() -> None:
    assert all(list(kernels(kind)) for kind in KINDS)


def test_compiled_entries_name_every_parameter() -> None:
    silent = {}
    for where, kernel in kernels("kernel"):
        text = ast.get_docstring(kernel) or ""
        words = {word for part in text.split("``")[1::2] for word in _words(part)}
        if missing := [a.arg for a in kernel.args.args if a.arg not in words]:
            silent[where] = missing
    assert silent == {}


def test_no_parameter_may_be_anything() -> None:
    untyped = {}
    for where, kernel in kernels(*KINDS):
        annotations = [a.annotation for a in kernel.args.args] + [kernel.returns]
        if any(a is None or (isinstance(a, ast.Name) and a.id == "Any") for a in annotations):
            untyped[where] = [ast.unparse(a) for a in annotations if a is not None]
    assert untyped == {}


def test_kernels_are_short_and_take_few_things() -> None:
    long = {}
    for where, kernel in kernels(*KINDS):
        lines = (kernel.end_lineno or 0) - kernel.lineno + 1
        if len(kernel.args.args) > MOST_PARAMETERS or lines > MOST_LINES:
            long[where] = (len(kernel.args.args), lines)
    assert long == {}


def _words(part: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in part).split()
