"""The settings that the what-if replays: one row each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcapkit.model.vocabulary import Safety

#: Which names a setting writes with their final dots; HARMED are those that its ndots would harm.
NONE_IN_FULL, ALL_IN_FULL, CLUSTER_IN_FULL, HARMED_IN_FULL = range(4)

#: A setting as kernels take it: ``ndots`` -1 is the value in force, ``drop`` a position of the
#: search list or -1.
SETTING = np.dtype(
    [
        ("ndots", np.int32),
        ("in_full", np.int32),
        ("drop", np.int32),
        ("no_aaaa", np.uint8),
        ("autopath", np.uint8),
        ("walked", np.uint8),  # 0: another kernel fills its sums
    ],
    align=True,
)
#: The largest ndots that is replayed; a larger value in force has its own row.
MOST_NDOTS = 5
#: Suffixes that may be dropped, counted from the front of the list.
MOST_DROPPED = 8
#: How many of the names that cost most ``fqdn:N`` writes in full.
TOP_NAMES = 10
TLS = (
    "a final dot can break TLS names, virtual hosts and certificates in some clients: "
    "try it in one workload first"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the what-if; ``ndots`` None is the value in force.

    ``caveat`` is a reason why it is never better than ``best``. ``each`` says that every client
    gets a row of it.
    """

    name: str
    ndots: int | None = None
    in_full: int = NONE_IN_FULL
    drop: int = -1
    no_aaaa: bool = False
    autopath: bool = False
    walked: bool = True
    each: bool = False
    best: Safety = Safety.SAFE
    caveat: str | None = None


IN_FORCE = Setting("in-force")
FQDN = Setting("fqdn", in_full=ALL_IN_FULL, each=True, best=Safety.REVIEW, caveat=TLS)
FQDN_TOP = Setting(f"fqdn:{TOP_NAMES}", best=Safety.REVIEW, caveat=TLS)
#: Keeping answers is no way to walk; ``caching.py`` counts it.
CACHE = Setting(
    "cache",
    walked=False,
    best=Safety.REVIEW,
    caveat="NodeLocal DNSCache runs on every node, and all queries of the cluster go through it",
)
#: What is replayed, in this order. The first shows no row: it is what others are measured against.
_TIMED: tuple[Setting, ...] = (
    IN_FORCE,
    *(Setting(f"ndots:{n}", n, each=True) for n in range(MOST_NDOTS + 1)),
    FQDN,
    *(
        Setting(
            f"fqdn+ndots:{n}",
            n,
            HARMED_IN_FULL,
            best=Safety.REVIEW,
            caveat="the names that this ndots harms must be written in full, with a final dot",
        )
        for n in (1, 2)
    ),
    Setting(
        "cluster-names-in-full",
        in_full=CLUSTER_IN_FULL,
        best=Safety.REVIEW,
        caveat="full service names need their final dot, or ndots of 4 or less",
    ),
    Setting(
        "no-aaaa",
        no_aaaa=True,
        each=True,
        best=Safety.REVIEW,
        caveat="the option is known to glibc 2.36 and later alone; other resolvers ignore it",
    ),
    Setting(
        "autopath",
        autopath=True,
        best=Safety.REVIEW,
        caveat="CoreDNS must watch all pods (pods verified), and must see the pods' own addresses",
    ),
    CACHE,
)
SETTINGS = (*_TIMED, *(Setting(f"drop:{p}", drop=p) for p in range(MOST_DROPPED)))
#: The first so many have percentiles and peaks; the others are for lists that are long enough.
TIMED = len(_TIMED)


def setting(name: str) -> Setting:
    """Return a setting by its name."""
    return next(s for s in SETTINGS if s.name == name)
