"""Inputs read again in a process of its own, with kernels as its environment says.

``python -m tests.fuzz.replay``: standard input has lines of JSON, each a target and an input in
hexadecimal; standard output gets a line of JSON for each: its outcome, or what it raised.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence

from tests.fuzz.modes import MODES, ROOT, command, environment, prepare
from tests.fuzz.outcomes import Target, outcome


def main() -> None:
    """Read everything."""
    from tests.fuzz.targets import BY_NAME

    prepare()
    for line in sys.stdin:
        name, data = json.loads(line)
        try:
            found = outcome(BY_NAME[name], bytes.fromhex(data))
        except Exception as problem:  # noqa: BLE001 - the caller says what it was
            found = ["raised", type(problem).__name__, str(problem)]
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def replayed(
    mode: str, inputs: Sequence[tuple[str, bytes]], *, timeout: float | None = None
) -> list[list[object]]:
    """Return the outcomes of inputs, each of a target by its name, in one of MODES.

    Raises TimeoutExpired where that takes more than ``timeout`` seconds.
    """
    text = "".join(json.dumps([name, data.hex()]) + "\n" for name, data in inputs)
    done = subprocess.run(
        command("replay"),
        cwd=ROOT,
        env=environment(mode),
        input=text.encode(),
        capture_output=True,
        timeout=timeout,
    )
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) < len(inputs):
        name, data = inputs[min(len(lines), len(inputs) - 1)]
        problem = done.stderr.decode("utf-8", "replace")[-2000:]
        raise AssertionError(f"{mode}: {name} died on {data.hex()}: {problem}")
    return [json.loads(line) for line in lines]


def differing(inputs: Sequence[tuple[str, bytes]]) -> Iterable[str]:
    """Yield what the three ways make different of inputs, and what raised anything in one."""
    found = {mode: replayed(mode, inputs) for mode in MODES}
    for number, (name, data) in enumerate(inputs):
        ways = {mode: outcomes[number] for mode, outcomes in found.items()}
        first = ways["compiled"]
        if first[0] == "raised" or any(way != first for way in ways.values()):
            shown = "\n".join(f"  {mode}: {str(way)[:600]}" for mode, way in ways.items())
            yield f"{name}: {data.hex()}\n{shown}"


def differences(target: Target, inputs: Iterable[bytes]) -> list[str]:
    """Return what the three ways make different of a target's inputs."""
    return list(differing([(target.name, data) for data in inputs]))


if __name__ == "__main__":
    main()
