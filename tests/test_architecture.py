"""The rules of the house, read from the imports."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "pcapkit"

#: room -> the rooms of the package that it may import
ROOMS: dict[str, set[str]] = {
    "base": {"base"},
    "resolver": {"base", "resolver"},
    "model": {"base", "resolver", "model"},
    "ingest": {"base", "ingest"},
    "analysis": {"base", "resolver", "model", "analysis"},
    "report": {"base", "model", "report"},
    "pipeline": {"base", "resolver", "model", "ingest", "analysis", "pipeline"},
    "batch": {"base", "resolver", "model", "ingest", "report", "pipeline", "batch"},
    "cli": {"base", "resolver", "model", "ingest", "report", "pipeline", "batch", "cli"},
}
HOME = {
    "resolver": "resolver", "expand": "resolver", "kubernetes": "resolver", "options": "resolver",
    "manual": "pipeline", "walk": "resolver", "context": "pipeline", "model": "model",
    "comparison": "model", "collect": "pipeline", "vantage": "pipeline",
    "pipeline": "pipeline", "compare": "batch", "warm": "pipeline", "attended": "cli",
    "cli": "cli", "cli_options": "cli", "series": "model",
}  # fmt: skip
#: foreign package -> modules that may import it
ONLY = {
    "click": {"cli", "cli_options"},
    "matplotlib": {"report.charts"},
    "jinja2": {"report.page"},
    "numba": {"kernels", "wire"},
    "publicsuffixlist": {"names"},
}
#: What reaches up on purpose, inside a function: an analysis can render itself.
UPWARD = {
    ("model", "report.export"), ("model", "report.files"), ("model", "report.page"),
    ("pipeline", "report.export"), ("__init__", "model"), ("__init__", "options"),
    ("__init__", "pipeline"),
}  # fmt: skip


def modules() -> dict[str, ast.Module]:
    out = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        out[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    return out


def room(module: str) -> str:
    first = module.split(".")[0]
    return first if first in ("ingest", "analysis", "report", "batch") else HOME.get(first, "base")


def imports(tree: ast.Module) -> set[str]:
    out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            out.add(node.module)
            if node.module == "pcapkit" or node.module.startswith("pcapkit."):
                out.update(f"{node.module}.{a.name}" for a in node.names)
    return out


def test_imports_point_down() -> None:
    known = modules()
    for module, tree in known.items():
        for target in imports(tree):
            name = target.removeprefix("pcapkit.")
            if not target.startswith("pcapkit.") or name not in known:
                continue
            allowed = room(name) in ROOMS[room(module)] or (module, name) in UPWARD
            assert allowed, f"{module} imports {name}"


def test_foreign_packages_stay_where_they_belong() -> None:
    for module, tree in modules().items():
        for target in imports(tree):
            owners = ONLY.get(target.split(".")[0])
            assert owners is None or module in owners, f"{module} imports {target}"


def test_scapy_is_never_imported_whole() -> None:
    for module, tree in modules().items():
        assert "scapy.all" not in imports(tree), module


def test_public_things_are_described() -> None:
    for module, tree in modules().items():
        assert ast.get_docstring(tree), f"{module} says nothing of itself"
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{module}.{node.name}"


def test_modules_stay_readable() -> None:
    for path in PACKAGE.rglob("*.py"):
        lines = len(path.read_text().splitlines())
        assert lines <= 600, f"{path.name} has {lines} lines"
