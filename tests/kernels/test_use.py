"""What is compiled is used: a kernel that nobody calls costs every first run its time."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pcapkit

PACKAGE = Path(pcapkit.__file__).parent
KINDS = {"kernel", "inline_kernel", "helper_kernel"}


def test_every_kernel_is_called_or_passed_on() -> None:
    defined, used = set(), Counter[str]()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                marks = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
                if marks & KINDS:
                    defined.add(node.name)
            elif isinstance(node, ast.Name):
                used[node.id] += 1
            elif isinstance(node, ast.Attribute):
                used[node.attr] += 1
    assert len(defined) > 200
    assert not {name for name in defined if not used[name]}
