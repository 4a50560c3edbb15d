"""Jobs that succeed, fail, and kill their process, for the tests of engines."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def double(value: int) -> int:
    return 2 * value


def die(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def leave(status: int) -> None:
    os._exit(status)


def fill(size: int) -> int:
    return len(bytearray(size))


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def fail(text: str) -> None:
    raise ValueError(text)


def note(argument: tuple[str, Any]) -> Any:
    """Write the process's ID to a file, then wait."""
    Path(argument[0]).write_text(str(os.getpid()))
    time.sleep(argument[1])
    return argument[1]


KILL = int(signal.SIGKILL)
_LEFT: list[bytearray] = []


def leave_behind(size: int) -> None:
    _LEFT.append(bytearray(size))


def die_once(path: str) -> str:
    """Kill the process, unless it was killed before."""
    if not os.path.exists(path):
        Path(path).write_text("")
        die(KILL)
    return "well"


def add(path_and_value: tuple[str, int]) -> int:
    """Add this process to a file, then return the value: how often a job ran can be counted."""
    path, value = path_and_value
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.02)
    return value


def total(values: tuple[int, ...]) -> int:
    return sum(values)


def fill_slowly(size: int) -> int:
    """Take memory as fast as a capture would, so that who watches can see it."""
    held = []
    for _ in range(size >> 26):
        held.append(b"x" * (1 << 26))
        time.sleep(0.05)
    return len(held)


def meet(mine_and_other: tuple[str, str]) -> bool:
    """Say that this job is at work, and wait for another one."""
    mine, other = map(Path, mine_and_other)
    mine.write_text("")
    for _ in range(400):
        if other.exists():
            return True
        time.sleep(0.05)
    return False


def process(_: object) -> int:
    return os.getpid()


def note_once(argument: tuple[str, float]) -> None:
    """As ``note``; where the file is there already, return at once."""
    if not Path(argument[0]).exists():
        Path(argument[0]).write_text(str(os.getpid()))
        time.sleep(60)


def analyse(path: str) -> str:
    """Return the analysis of a capture as JSON text."""
    import pcapkit

    return pcapkit.analyze(path).to_json()
