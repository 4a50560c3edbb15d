"""The settings that the what-if replays: one row each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pcapkit.model.settings import Change, Setting
from pcapkit.model.vocabulary import Safety

#: Which names a setting writes with their final dots; AFFECTED are those for which its ndots alone
#: would be unsafe.
NONE_IN_FULL, ALL_IN_FULL, CLUSTER_IN_FULL, AFFECTED_IN_FULL = range(4)

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
class Replayed:
    """One row of the what-if: a setting, and how it is replayed and judged.

    ``drop`` is the position of the suffix that is taken out of the list, whichever that is.
    ``caveat`` is a reason why it is never better than ``best``. ``each`` says that every client
    gets a row of it.
    """

    setting: Setting
    in_full: int = NONE_IN_FULL
    drop: int = -1
    walked: bool = True
    each: bool = False
    best: Safety = Safety.SAFE
    caveat: str | None = None

    @property
    def ndots(self) -> int | None:
        """The ndots to replay with; None is the value in force."""
        return self.setting.ndots

    @property
    def no_aaaa(self) -> bool:
        """Are there no AAAA queries?"""
        return self.setting.change is Change.NO_AAAA

    @property
    def autopath(self) -> bool:
        """Does the cluster's DNS walk the search list?"""
        return self.setting.change is Change.AUTOPATH


IN_FORCE = Replayed(Setting(Change.NOTHING))
#: By value, from 0 on.
NDOTS = tuple(Replayed(Setting(Change.NDOTS, n), each=True) for n in range(MOST_NDOTS + 1))
FQDN = Replayed(
    Setting(Change.FQDN), in_full=ALL_IN_FULL, each=True, best=Safety.REVIEW, caveat=TLS
)
FQDN_TOP = Replayed(Setting(Change.FQDN, names=TOP_NAMES), best=Safety.REVIEW, caveat=TLS)
FQDN_NDOTS = tuple(
    Replayed(
        Setting(Change.FQDN_NDOTS, n),
        AFFECTED_IN_FULL,
        best=Safety.REVIEW,
        caveat="the names that this ndots harms must be written in full, with a final dot",
    )
    for n in (1, 2)
)
NO_AAAA = Replayed(
    Setting(Change.NO_AAAA),
    each=True,
    best=Safety.REVIEW,
    caveat="the option is known to glibc 2.36 and later alone; other resolvers ignore it",
)
AUTOPATH = Replayed(
    Setting(Change.AUTOPATH),
    best=Safety.REVIEW,
    caveat="CoreDNS must watch all pods (pods verified), and must see the pods' own addresses",
)
#: Keeping answers is no way to walk; ``caching.py`` counts it.
CACHE = Replayed(
    Setting(Change.CACHE),
    walked=False,
    best=Safety.REVIEW,
    caveat="NodeLocal DNSCache runs on every node, and all queries of the cluster go through it",
)
#: What is replayed, in this order. The first shows no row: it is what others are measured against.
_TIMED: tuple[Replayed, ...] = (
    IN_FORCE,
    *NDOTS,
    FQDN,
    *FQDN_NDOTS,
    Replayed(
        Setting(Change.CLUSTER_FQDN),
        in_full=CLUSTER_IN_FULL,
        best=Safety.REVIEW,
        caveat="full service names need their final dot, or ndots of 4 or less",
    ),
    NO_AAAA,
    AUTOPATH,
    CACHE,
)
#: By the position of the suffix.
DROPPED = tuple(
    Replayed(
        Setting(Change.DROP),
        drop=p,
        best=Safety.REVIEW,
        caveat="names that only this suffix completes would no longer resolve; pods need dnsPolicy "
        "None with nameservers, list and ndots written out, or nodes another resolv.conf",
    )
    for p in range(MOST_DROPPED)
)
SETTINGS = (*_TIMED, *DROPPED)
#: The first so many have percentiles and peaks; the others are for lists that are long enough.
TIMED = len(_TIMED)
