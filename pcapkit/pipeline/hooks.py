"""What a caller of ``analyze`` wants to know, or to decide, while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcapkit.model.results import Results
    from pcapkit.pipeline.analysis import Analysis

#: Called with a capture's path, its bytes read so far, and the packets read so far in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Each may be left out; all are called in the thread that called ``analyze``."""

    progress: Progress | None = None
    #: once it is set, what was read until then is all that is analysed
    stop: threading.Event | None = None
    #: called whenever more was read, with a function that analyses what is there so far
    watch: Callable[[Callable[[], Analysis]], None] | None = None
    #: called once, when all is read
    collected: Callable[[], None] | None = None
    #: called once with all that was read (``collect.Collected``), to give it other names
    rename: Callable[[Any], None] | None = None
    #: called once with all that charts show, but no advice and no settings of single clients
    charted: Callable[[Results], None] | None = None
