"""Hash tables in kernels: the seed that nobody can guess, and the hash of two integers."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from pcapkit.kernels.jit import inline_kernel

#: Of the hash tables of this process: no capture can be made to fill their slots unevenly.
SEED = np.uint64(secrets.randbits(64))


@inline_kernel
def hash_ids(left: Any, right: Any, seed: Any) -> Any:
    """Hash two integers; its lower bits are as good as its upper ones."""
    h = (np.uint64(left) ^ seed) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(32)) ^ np.uint64(right)) * np.uint64(0xC2B2AE3D27D4EB4F)
    return h ^ (h >> np.uint64(32))
