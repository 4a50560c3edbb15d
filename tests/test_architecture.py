"""The rules of the house, read from the imports."""

from __future__ import annotations

import ast
from pathlib import Path

from pcapkit.cli.root import COMMANDS

PACKAGE = Path(__file__).resolve().parents[1] / "pcapkit"

#: Folders from the lowest to the highest; each may import itself and what stands in a line above
#: it. Folders of one line never import one another.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("root",),
    ("kernels",),
    ("names",),
    ("model",),
    ("cluster",),
    ("resolver",),
    ("manifests",),
    ("ingest",),
    ("ingest.inputs", "ingest.packet"),
    ("ingest.logs.blocks", "ingest.reassembly"),
    ("ingest.capture", "ingest.logs"),
    ("ingest.logs.reading",),
    ("ingest.tallies",),
    ("analysis",),
    ("analysis.exchanges",),
    ("analysis.search_lists",),
    ("analysis.lookups",),
    ("analysis.summary", "analysis.traffic", "analysis.whatif"),
    ("analysis.advice", "analysis.faults", "analysis.tables"),
    ("analysis.advice.plan",),
    ("report.text",),
    ("report.html.sections",),
    ("report.html",),
    ("report",),
    ("pipeline",),
    ("capturing", "generating", "sharing"),
    ("batch.engines", "batch.finding", "batch.gate", "batch.history", "batch.overview"),
    ("batch.keeping", "batch.tallies"),
    ("batch",),
    ("cli",),
    ("cli.commands",),
)
#: Three that never import one another, though their floors would let them.
APART = ("ingest", "analysis", "report")
#: The door of the package, which loads the pipeline when somebody asks for it.
DOOR = "__init__"
#: foreign package -> folders or modules that may import it
ONLY = {
    "click": {"cli"},
    "cryptography": {"sharing.addresses"},
    "duckdb": {"batch.database"},
    "rich": {"cli", "report"},
    "matplotlib": {"report.html"},
    "jinja2": {"report.html"},
    "numba": {"kernels"},
    "publicsuffixlist": {"names"},
    "scapy": {"ingest.packet.scapy_layers"},
}
MOST_MODULES, MOST_ROOT_MODULES, MOST_LINES = 13, 12, 600


def modules() -> dict[str, ast.Module]:
    out = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        out[".".join(path.relative_to(PACKAGE).with_suffix("").parts)] = ast.parse(path.read_text())
    return out


def folder(module: str) -> str:
    return module.rpartition(".")[0] or "root"


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


def arrows() -> dict[str, set[str]]:
    """Return which modules of the package each module imports."""
    known = modules()
    out = {}
    for module, tree in known.items():
        targets = {t.removeprefix("pcapkit.") for t in imports(tree) if t.startswith("pcapkit.")}
        out[module] = {t for t in targets if t in known}
    return out


def test_imports_point_down() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    for module, targets in arrows().items():
        if module == DOOR:
            continue
        for target in targets:
            here, there = folder(module), folder(target)
            assert here == there or floor[there] < floor[here], f"{module} imports {target}"
            top, other = here.split(".")[0], there.split(".")[0]
            assert top == other or not {top, other} <= set(APART), f"{module} imports {target}"


def test_no_imports_go_in_a_circle() -> None:
    waiting = {module: targets - {module} for module, targets in arrows().items()}
    while waiting:
        done = {module for module, targets in waiting.items() if not targets & set(waiting)}
        assert done, f"in a circle, or above one: {sorted(waiting)}"
        waiting = {module: targets for module, targets in waiting.items() if module not in done}


def test_folders_stay_small() -> None:
    counts: dict[str, int] = {}
    for module in modules():
        counts[folder(module)] = counts.get(folder(module), 0) + 1
    assert counts.pop("root") <= MOST_ROOT_MODULES
    assert counts.pop("cli.commands") == len(COMMANDS) + 1  # a module each, and the folder's own
    assert max(counts.values()) <= MOST_MODULES, counts


def test_every_folder_stands_on_a_floor() -> None:
    assert {folder(m) for m in modules()} - {n for names in FLOORS for n in names} == set()


def test_foreign_packages_stay_where_they_belong() -> None:
    for module, tree in modules().items():
        for target in imports(tree):
            owners = ONLY.get(target.split(".")[0])
            allowed = owners is None or any(f"{module}.".startswith(f"{o}.") for o in owners)
            assert allowed, f"{module} imports {target}"


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
        assert lines <= MOST_LINES, f"{path.name} has {lines} lines"
