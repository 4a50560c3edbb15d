"""Processes that live long stay as they were; ``endurance.py`` makes longer runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import GLIBC
from tests.environment.endurance import Held, growth, inputs, stream

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
_ROUNDS = 4


def test_many_analyses_in_one_process_leave_nothing(tmp_path: Path) -> None:
    """A leak of one megabyte in an analysis would be a fifth more after two rounds."""
    (tmp_path / "tmp").mkdir()
    code = (
        "import dataclasses, json, sys; from pathlib import Path\n"
        "from tests.environment.endurance import analyses\n"
        "for row in analyses(int(sys.argv[1]), Path(sys.argv[2])):\n"
        "    print(json.dumps(dataclasses.astuple(row)))\n"
    )
    count = str(_ROUNDS * len(inputs()))
    done = subprocess.run(
        [sys.executable, "-c", code, count, str(tmp_path)],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        check=True,
    )
    rows = [Held(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(rows) == _ROUNDS
    memory, other = growth(rows)
    assert memory < 0.12 and other == 0, rows


def test_an_hour_of_a_steady_stream_takes_no_more_than_its_first_half(tmp_path: Path) -> None:
    """Sent as fast as it is read; a thread that packs, and its file, come and go."""
    rows = list(stream(3600, 2000, tmp_path, speed=0, live=False))
    memory, other = growth(rows[-8:])
    assert memory < 0.04 and other <= 1, rows
    assert rows[-1].done >= 7_000_000


def test_what_a_live_summary_read_is_freed_at_once() -> None:
    """Without the collector of cycles, which comes by for many objects and not for large ones."""
    code = (
        "import gc, sys; gc.disable()\n"
        "import pcapkit\n"
        "from pcapkit.pipeline.hooks import Hooks\n"
        "from pcapkit.pipeline.reading import Reading\n"
        "def held():\n"
        "    return sum(isinstance(o, Reading) for o in gc.get_objects())\n"
        "seen = []\n"
        "def watch(so_far):\n"
        "    so_far()\n"
        "    seen.append(held())\n"
        "analysis = pcapkit.analyze(sys.argv[1], hooks=Hooks(watch=watch))\n"
        "analysis.table('lookups'), analysis.to_json(), analysis._repr_html_()\n"
        "before = held()\n"
        "del analysis\n"
        "print(len(seen), max(seen), before, held())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, GLIBC], stdout=subprocess.PIPE, check=True)
    snapshots, most, before, after = map(int, done.stdout.split())
    assert snapshots and most == 0
    assert (before, after) == (1, 0)
