"""Records of audits: what is kept of every capture, of its workloads, and of the plan for it; and
what all captures say together.

They are plain values, so that they travel between processes and are saved as JSON. Counts of
workloads are of complete lookups where their name says so, else of all.
"""

from __future__ import annotations

from dataclasses import dataclass

from pcapkit.model.vocabulary import Safety


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells, without reading, whether a file is the one that was there before.

    Of files ``size`` in bytes, ``mtime_ns``, and the numbers of the device and the inode; of
    objects ``size`` and ``tag``: the ETag, or when it was last modified.
    """

    size: int
    mtime_ns: int | None = None
    device: int | None = None
    inode: int | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """What one workload did in one capture.

    ``client_addr`` stands in place of a workload that is not known, and is None where it is.
    ``queries`` are transactions; ``complete_queries`` those of ``complete_lookups``, of which
    ``wasted_queries`` are a part. ``nxdomain_queries`` were answered with NXDOMAIN. ``lookups_s``
    is the time of all complete lookups together; their percentiles are right within 1 %. Times are
    None without a clock. ``faults`` are codes of faults that are shown at its clients.
    """

    namespace: str | None
    workload: str | None
    client_addr: str | None
    clients: int
    lookups: int
    complete_lookups: int
    queries: int
    complete_queries: int
    wasted_queries: int
    nxdomain_queries: int
    wasted_s: float
    lookups_s: float | None
    p50_s: float | None
    p95_s: float | None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """What the names of one family cost in one capture; all counts are of all lookups.

    ``family`` is the domain under which the names are: ``example.com`` of ``api.example.com``, the
    namespace's zone of a service's name.
    """

    family: str
    lookups: int
    queries: int
    wasted_queries: int


@dataclass(frozen=True, slots=True)
class AuditStep:
    """One step of the best plan of a whole capture; see ``model/plans.Step``."""

    code: str
    subjects: tuple[str, ...]
    ndots: int | None
    name: str | None
    fqdn: str | None
    suffixes: tuple[str, ...]
    edits: int
    saves_queries: int
    ends_queries: int  #: wasted queries that it ends, with the steps before it done
    safety: Safety
    names: tuple[str, ...] = ()  #: that a ``set_ndots`` obliges to be written in full


@dataclass(frozen=True, slots=True)
class Warned:
    """The warnings of one kind that a capture has, without its path.

    ``kind`` is the sentence with … for what differs from capture to capture, ``text`` the first of
    ``count`` warnings.
    """

    kind: str
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One capture of an audit, or one set of rotated files that are read as one.

    ``path`` is the first of ``paths``; ``error`` is why it has no report, ``error_kind`` one word
    for it, ``report`` a path relative to the output folder. ``gone`` says that the capture is no
    longer there: the row is what an earlier run found. ``share`` is of the queries of complete
    lookups.
    """

    path: str
    report: str | None
    error: str | None
    packets: int
    lookups: int
    queries: int
    wasted_queries: int
    share: float
    clients: int
    advice: str | None
    saves_queries: int
    warnings: int
    #: codes of the faults that are shown
    faults: tuple[str, ...] = ()
    #: of the plan of the whole capture, 0 and None where there is none: how many wasted queries it
    #: ends, and how safe it is
    plan_edits: int = 0
    plan_ends: int = 0
    plan_safety: str | None = None
    paths: tuple[str, ...] = ()
    error_kind: str | None = None
    gone: bool = False
    group: str | None = None  #: what ``--group-by`` makes of it, where that is of captures
    first_time: int | None = None  #: ns since 1970
    last_time: int | None = None
    complete_lookups: int = 0
    complete_queries: int = 0
    nxdomain_queries: int = 0
    wasted_s: float = 0.0
    p95_s: float | None = None  #: of complete lookups
    families: tuple[Family, ...] = ()  #: those that waste most, the worst first
    workloads: tuple[Workload, ...] = ()
    steps: tuple[AuditStep, ...] = ()
    nodes: tuple[str, ...] = ()  #: on which its clients run, as far as ``--pods`` says it
    warned: tuple[Warned, ...] = ()  #: the kinds of its warnings


# ---- all captures together -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """What is summed up of all captures under one name; None is what has no such name.

    All numbers are sums of rows; ``share`` is wasted queries over those of complete lookups.
    """

    name: str | None
    captures: int
    workloads: int
    clients: int
    lookups: int
    complete_lookups: int
    queries: int
    complete_queries: int
    wasted_queries: int
    nxdomain_queries: int
    wasted_s: float
    share: float
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grouping:
    """All groups of one kind, those that waste most first.

    ``by`` is what ``--group-by`` was given; ``others`` what a group without a name is called;
    ``notes`` say what a reader of the sums should know.
    """

    by: str
    others: str
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedStep:
    """One change that the plans of one or several captures have in common.

    ``captures`` have it in their plans, of ``captures_of_subjects`` in which its subjects occur;
    ``seen_s`` is how long the former last together, None where one has no clock. ``edits`` count
    the change once for each subject, in however many captures it is. ``ends_queries`` and
    ``saves_queries`` are sums over the captures.
    """

    code: str
    subjects: tuple[str, ...]
    ndots: int | None
    name: str | None
    fqdn: str | None
    suffixes: tuple[str, ...]
    names: tuple[str, ...]
    edits: int
    saves_queries: int
    ends_queries: int
    safety: Safety
    captures: int
    captures_of_subjects: int
    seen_s: float | None


@dataclass(frozen=True, slots=True)
class Together:
    """The plan for all captures, put together from theirs; each was replayed on its own capture.

    ``captures`` have a plan; ``wasted_queries`` are those of all captures. ``conflicts`` say where
    plans ask for different things of the same subject, and what was taken; what that leaves out,
    and what steps end that no capture's plan lists, is ``left_out_queries`` and counts nowhere.
    """

    captures: int
    steps: tuple[SharedStep, ...]
    edits: int
    saves_queries: int
    ends_queries: int
    wasted_queries: int
    safety: Safety
    seen_s: float | None
    conflicts: tuple[str, ...] = ()
    left_out_queries: int = 0


@dataclass(frozen=True, slots=True)
class Failures:
    """All captures that failed alike; ``kind`` is one word, ``rows`` in order of their paths."""

    kind: str
    rows: tuple[AuditRow, ...]


@dataclass(frozen=True, slots=True)
class Warnings:
    """All captures with a warning of one kind; ``rows`` are in order of their paths."""

    kind: str
    rows: tuple[AuditRow, ...]

    def text_of(self, row: AuditRow) -> str:
        """Return the warning of one of the captures, without its path."""
        return next(w.text for w in row.warned if w.kind == self.kind)


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The waste of a workload in one run: its share, and the interval in which it lies."""

    time: int  #: ns since 1970, when the run was
    share: float
    low: float
    high: float
    queries: int  #: of complete lookups, that it is of


@dataclass(frozen=True, slots=True)
class Trend:
    """How the waste of a workload went over the last runs, the latest last.

    ``change`` is the share's, since the run before, with the interval in which it lies; None where
    there is none. ``verdict`` is ``better``, ``worse``, ``same``, ``new`` or ``unknown``.
    """

    namespace: str | None
    workload: str | None
    client_addr: str | None
    points: tuple[TrendPoint, ...]
    change: float | None
    change_low: float | None
    change_high: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class AuditIndex:
    """An audit as a whole: its captures in their order, and what they say together.

    The first of ``groupings`` is what was asked for; ``trend`` is None without a history.
    """

    captures: tuple[AuditRow, ...]
    groupings: tuple[Grouping, ...]
    together: Together | None
    failures: tuple[Failures, ...]
    trend: tuple[Trend, ...] | None = None
    warnings: tuple[Warnings, ...] = ()
