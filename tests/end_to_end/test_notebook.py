"""The notebook of the documentation runs to its end, and every cell shows something."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]


def test_the_notebook_runs() -> None:
    notebook = nbformat.read(ROOT / "docs" / "how-to" / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [
        set().union(*(o.get("data", {}) for o in cell["outputs"]))
        for cell in notebook.cells
        if cell["cell_type"] == "code"
    ]
    assert "text/html" in shown[0]
    assert sum("image/svg+xml" in kinds for kinds in shown) == 2
    assert all(shown), "a cell that shows nothing tells nothing"
