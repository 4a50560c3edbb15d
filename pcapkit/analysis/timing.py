"""Thresholds in time: how soon what belongs together follows, each with its reason and source.

All are in nanoseconds. Without a clock a packet counts as ``CLOCKLESS_STEP_NS`` (1,000 ns, see
``ingest/window.py``): thresholds *without clock* count packets in thousands.
"""

from __future__ import annotations

from typing import NamedTuple

#: A candidate that is asked at once follows the last answer within this time. A stub resolver sends
#: it as soon as it has read the response (glibc ``__res_context_search``, musl
#: ``name_from_dns_search``, Go ``goLookupIPCNAMEOrder``): what lies between is the way to the
#: capture point and the scheduler, far below 5 ms where no process waits.
NEAR_NS = 5_000_000
#: ... in a server's log, a way through the network later: within this time of it. The server logs
#: the response as it leaves; it has to reach the client, and the next query the server.
NEAR_IN_LOG_NS = 50_000_000
#: ... without a clock: within four packets, both families with their responses.
NEAR_WITHOUT_CLOCK_NS = 4_000
#: A walk goes on within this time where nothing else explains its next query: a pod at its CPU
#: limit is kept from running for the rest of a period, 100 ms each (Linux ``sched-bwc.rst``);
#: measured pauses are 5 to 50 ms.
PAUSED_NS = 150_000_000

#: The other family of a candidate follows its first within this time of the last answer. glibc's
#: ``single-request`` and programs that ask A and AAAA by two calls send it as soon as the first is
#: answered; it is a little more than NEAR_NS, as the program itself runs in between.
JOIN_NS = 8_000_000
#: ... or, from the same port, within this time: a resolver that keeps its socket open from query to
#: query (c-ares; glibc within one call) shows by the port that both are its own.
JOIN_AT_PORT_NS = 1_000_000_000

#: The next candidate follows within this time of the end of the one before it. At once in
#: principle; a pod at its CPU limit is kept from running for the rest of a CFS period, 100 ms each
#: (Linux ``sched-bwc.rst``), and for several in a row.
NEXT_NS = 500_000_000
#: ... without a clock: within twenty packets.
NEXT_WITHOUT_CLOCK_NS = 20_000

#: After a candidate that was never answered, the next one waits for every timeout. glibc's
#: defaults, 5 s and two attempts, come to 30 s with three nameservers (resolv.conf(5)); the rest is
#: for late wake-ups.
LONGEST_TIMEOUT_NS = 40_000_000_000
#: No resolver's retry timer is shorter: c-ares adapts its own down to 250 ms
#: (``ares_metrics.c``); glibc, musl and Go count from whole seconds (resolv.conf(5) ``timeout``).
SHORTEST_TIMER_NS = 200_000_000
#: ... and where a candidate was asked longer ago, its next query may wait for such a timer: a
#: second, a little less for clocks.
WHOLE_TIMER_NS = 950_000_000
#: A walk that began longer ago is at its end, whatever it waits for: two candidates in it that
#: waited for every timeout.
LONGEST_WALK_NS = 2 * LONGEST_TIMEOUT_NS
#: A response later than this belongs to no query: beyond every resolver's total timeout, also with
#: longer settings than the defaults; and a client's port and ID have been given anew by then.
LONGEST_WAIT_NS = 60_000_000_000

#: A lookup that begins within this time of the end of an equal one repeats it because its answer
#: was large: glibc walks again at once where an answer outgrew its buffer (``getaddrinfo`` begins
#: with 1,024 bytes and doubles); none of 512 bytes does (RFC 1035 section 4.2.1).
AGAIN_NS = 5_000_000

#: A capture that ends within this time of a query without response was perhaps still to see
#: another: the first timeout of glibc, musl and Go, 5 s (resolv.conf(5)).
WAITS_NS = 5_000_000_000
#: ... without a clock: within four packets.
WAITS_WITHOUT_CLOCK_NS = 4_000
#: A capture that ends within this time of a miss was perhaps still to see the next candidate, which
#: follows at once: ten times NEAR_NS, as a lookup that is taken for whole must be so.
GOES_ON_NS = 50_000_000


class Gaps(NamedTuple):
    """How soon queries of one walk follow, in ns."""

    join: int  # the other family of a candidate
    near: int  # what is the same walk only where it follows at once, or after a pause
    next: int  # the next candidate


def gaps_of(*, has_clock: bool) -> Gaps:
    """Return how soon queries follow in captures with times, or without."""
    if has_clock:
        return Gaps(JOIN_NS, PAUSED_NS, NEXT_NS)
    return Gaps(NEAR_WITHOUT_CLOCK_NS, NEAR_WITHOUT_CLOCK_NS, NEXT_WITHOUT_CLOCK_NS)
