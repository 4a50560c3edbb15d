"""Thresholds in time: how soon what belongs together follows, each with its reason."""

from __future__ import annotations

#: A capture that ends within this time of a query was perhaps still to see another.
WAITS_NS, WAITS_WITHOUT_CLOCK_NS = 5_000_000_000, 4_000

GOES_ON_NS = 50_000_000

#: glibc walks again at once where an answer outgrew its buffer; none of 512 bytes does.
AGAIN_NS = 5_000_000

#: The other family of a candidate follows its first within this time of the last answer.
JOIN_NS = 8_000_000

#: ... or, from the same port, within this time.
JOIN_AT_PORT_NS = 1_000_000_000

#: The next candidate follows within this time (a busy pod may be kept from running).
NEXT_NS = 500_000_000

NEXT_WITHOUT_CLOCK_NS = 20_000

#: A resolver asks the next candidate at once: within this time of the last answer.
NEAR_NS = 5_000_000

#: ... in a server's log, a way through the network later: within this time of it.
NEAR_IN_LOG_NS = 50_000_000

#: Without a clock a packet counts as 1,000 ns: this is "within a few packets".
NEAR_WITHOUT_CLOCK_NS = 4_000

#: After a candidate that was never answered, the next one waits for every timeout.
LONGEST_TIMEOUT_NS = 40_000_000_000

#: No resolver's retry timer is shorter (c-ares adapts down to a quarter of a second).
SHORTEST_TIMER_NS = 200_000_000

#: A walk that began longer ago is at its end, whatever it waits for.
LONGEST_WALK_NS = 2 * LONGEST_TIMEOUT_NS


def timing(*, has_clock: bool) -> tuple[int, int, int]:
    """Return how soon the other family, the same walk and the next candidate follow, in ns."""
    if has_clock:
        return JOIN_NS, NEAR_NS, NEXT_NS
    return NEAR_WITHOUT_CLOCK_NS, NEAR_WITHOUT_CLOCK_NS, NEXT_WITHOUT_CLOCK_NS
