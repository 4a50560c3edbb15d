"""Searches of targets, in a process of their own that loads all targets once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.fuzz.modes import ROOT, command, environment


class Searches:
    """The process that searches, as a context."""

    def __enter__(self) -> Searches:
        self._process = subprocess.Popen(
            command("guided"),
            cwd=ROOT,
            env=environment("plain"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, target: str, found: Path, options: Sequence[str]) -> str:
        """Run one search with libFuzzer's ``options``; return what libFuzzer printed.

        Input that gives no outcome is written to the folder ``found`` with its trace, once for each
        place, and the search goes on.
        """
        log = found.parent / "log"
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([target, str(found), str(log), *options]) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError("the process that searches has ended")
        return log.read_text("utf-8", "replace")
