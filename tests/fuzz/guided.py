"""Targets under atheris, in a process that has loaded them all; ``searches.py`` starts it.

Kernels are Python in it (``NUMBA_DISABLE_JIT=1``), so that their branches are edges as those of all
other code are. Nothing of the package is imported before it is instrumented. Each search forks:
libFuzzer ends the process that it ran in.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Do what standard input says: a line of JSON for each search."""
    import atheris

    with atheris.instrument_imports(include=["pcapkit"], enable_loader_override=False):
        from tests.fuzz.modes import prepare, warm
        from tests.fuzz.targets import TARGETS

        prepare()
        for target in TARGETS:
            warm(target)  # what it imports, too, is instrumented
    gc.freeze()
    gc.collect()  # which sees little now: what a reader leaves is collected before it is much
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        name, found, log, *options = json.loads(line)
        child = os.fork()
        if not child:
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            _search(name, Path(found), options)
        _, status = os.waitpid(child, 0)
        answers.write(f"{status}\n")
        answers.flush()


def _search(name: str, folder: Path, options: list[str]) -> None:
    import atheris

    from tests.fuzz.outcomes import outcome
    from tests.fuzz.targets import BY_NAME

    target = BY_NAME[name]
    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            outcome(target, data)
        except Exception as problem:  # noqa: BLE001 - what is to be found
            frames = traceback.extract_tb(problem.__traceback__)
            ours = [f for f in frames if "/pcapkit/" in f.filename] or list(frames)
            place = f"{type(problem).__name__} {ours[-1].filename}:{ours[-1].lineno}"
            if place not in seen:
                seen.add(place)
                stem = folder / hashlib.sha256(place.encode()).hexdigest()[:12]
                stem.with_suffix(".input").write_bytes(data)
                stem.with_suffix(".trace").write_text(traceback.format_exc())

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
