"""What kernels are compiled with before there is anything to read: input that makes sense."""

from __future__ import annotations

import os
import subprocess
import sys


def test_kernels_are_loaded_with_input_that_stays_in_bounds() -> None:
    checked = {"NUMBA_BOUNDSCHECK": "1"}  # kept: those of ``tests/fuzz`` are the same
    code = "from pcapkit.pipeline.first_run import warm; warm(); print('all')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **checked}, capture_output=True, text=True
    )
    assert done.stdout == "all\n", done.stderr
