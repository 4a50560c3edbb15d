"""How kernels run in a process of a target: compiled, with bounds checks, or as plain Python."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from pcapkit.concurrency import use_threads
from tests.fuzz.outcomes import Target, outcome

ROOT = Path(__file__).resolve().parents[2]
#: By name: what the environment says. Kernels with bounds checks are kept apart from the others.
MODES = {"compiled": {}, "checked": {"NUMBA_BOUNDSCHECK": "1"}, "plain": {"NUMBA_DISABLE_JIT": "1"}}
#: Modules whose products are hashes.
_OF_HASHES = r"pcapkit\.kernels\.hashing|pcapkit\.ingest\.duplicates"


def prepare() -> None:
    """Let this process read without threads of its own; warnings are findings.

    But sums of hashes run over, as they are meant to; compiled, nothing warns of that.
    """
    use_threads(1)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning, _OF_HASHES)


def warm(target: Target) -> None:
    """Run one input, so that all is imported that takes long to import."""
    for data in target.seeds():
        outcome(target, data)
        break


def environment(mode: str) -> dict[str, str]:
    """Return the environment of a process that runs kernels so."""
    path = os.pathsep.join([str(ROOT), *(p for p in sys.path if p)])
    return {**os.environ, "PYTHONPATH": path, **MODES[mode]}


def command(module: str, *arguments: str) -> Sequence[str]:
    """Return the command that runs a module of these tests in a process of its own."""
    return [sys.executable, "-W", "ignore", "-m", f"tests.fuzz.{module}", *arguments]
