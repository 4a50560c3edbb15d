"""What kernels are compiled with before there is anything to read: input that makes sense."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_kernels_are_loaded_with_input_that_stays_in_bounds(tmp_path: Path) -> None:
    kept = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    code = "from pcapkit.pipeline.first_run import warm; warm(); print('all')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **kept}, capture_output=True, text=True
    )
    assert done.stdout == "all\n", done.stderr
