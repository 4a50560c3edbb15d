"""Hold the twins for longer than the tests do: ``python -m tests.twins.fuzz [EXAMPLES]``.

Every run draws other examples; what differs is shown by the smallest example of it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.twins import test_lookups, test_messages
from tests.twins.engines import Work, works
from tests.twins.messages import messages
from tests.twins.test_engines import differences
from tests.twins.traffic import traffic


def test_engines(work: Work) -> None:
    """Compare simulation and prediction."""
    assert differences(work) == []


def main() -> int:
    """Run everything; return 1 where something differs."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    runs: list[tuple[Callable[..., None], dict[str, Any]]] = [
        (test_engines, {"work": works()}),
        *((getattr(test_messages, f"test_{n}"), {"rows": messages()}) for n in _MESSAGES),
        *((getattr(test_lookups, f"test_{n}"), {"traffic": traffic()}) for n in _LOOKUPS),
    ]
    failed = False
    for test, drawn in runs:
        plain = test.hypothesis.inner_test if hasattr(test, "hypothesis") else test
        limits = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        )
        try:
            limits(given(**drawn)(plain))()
            print(f"{test.__name__}: {examples} examples hold", flush=True)
        except AssertionError:
            failed = True
            traceback.print_exc()
    return int(failed)


_MESSAGES = ("duplicates", "pairs")
_LOOKUPS = ("grouping", "describing", "replaying", "evidence")

if __name__ == "__main__":
    sys.exit(main())
