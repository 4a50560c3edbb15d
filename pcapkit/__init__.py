"""pcapkit: which names waste DNS queries in Kubernetes pods, and what to change.

    >>> import pcapkit
    >>> analysis = pcapkit.analyze("pod.pcap")          # doctest: +SKIP
    >>> analysis.waste.share, analysis.lookups.head()   # doctest: +SKIP

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcapkit.version import __version__

if TYPE_CHECKING:
    from pcapkit.errors import PcapkitError
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.pipeline.analyze import analyze
    from pcapkit.pipeline.messages import read_messages
    from pcapkit.pipeline.options import Options, make_options

_HOMES = {
    "Analysis": "pcapkit.pipeline.analysis",
    "Options": "pcapkit.pipeline.options",
    "PcapkitError": "pcapkit.errors",
    "analyze": "pcapkit.pipeline.analyze",
    "make_options": "pcapkit.pipeline.options",
    "read_messages": "pcapkit.pipeline.messages",
}

__all__ = [
    "Analysis",
    "Options",
    "PcapkitError",
    "__version__",
    "analyze",
    "make_options",
    "read_messages",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
