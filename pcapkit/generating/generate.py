"""A scenario written: the capture, and the truth beside it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from pcapkit.files import whole_file
from pcapkit.generating.capture import play
from pcapkit.generating.habits import playable
from pcapkit.generating.scenario import Scenario
from pcapkit.generating.truth import Truth


def generate(
    scenario: Scenario,
    seed: int,
    output: Path | IO[bytes],
    truth_path: Path | None,
    *,
    faults_show: bool,
) -> dict[str, Any]:
    """Write a scenario's capture to a file or a stream, and its truth; return the truth.

    The same seed gives the same bytes. Both files appear whole, or neither does. ``faults_show``
    says whether the scenario's faults are sure to be in it. Raises UsageError where a resolver is
    not played, and InputError where a file cannot be written.
    """
    for pod in scenario.pods:
        playable(pod.settings.resolver)
    truth = Truth(scenario)
    with ExitStack() as files:
        says = files.enter_context(whole_file(truth_path)) if truth_path is not None else None
        if isinstance(output, Path):
            name, out = output.name, files.enter_context(whole_file(output))
        else:
            name, out = "-", output
        for piece in play(scenario, seed, truth):
            out.write(piece)
        out.flush()
        made = truth.as_json(seed, name, faults_show=faults_show)
        if says is not None:
            says.write(json.dumps(made, indent=2).encode() + b"\n")
            says.flush()
    return made
