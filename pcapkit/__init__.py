"""pcapkit: which names waste DNS queries in Kubernetes pods, and what to change.

    >>> import pcapkit
    >>> analysis = pcapkit.analyze("pod.pcap")          # doctest: +SKIP
    >>> analysis.waste.share, analysis.lookups.head()   # doctest: +SKIP

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pcapkit.errors import PcapkitError
    from pcapkit.model import Analysis
    from pcapkit.options import Options, make_options
    from pcapkit.pipeline import analyze, read_messages

_HOMES = {
    "Analysis": "pcapkit.model",
    "Options": "pcapkit.options",
    "PcapkitError": "pcapkit.errors",
    "analyze": "pcapkit.pipeline",
    "make_options": "pcapkit.options",
    "read_messages": "pcapkit.pipeline",
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
