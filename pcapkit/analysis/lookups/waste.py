"""Waste classes: what each query was good for. Every transaction has exactly one, the first that
applies; ``pcapkit explain CLASS`` says what each means and what to do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, TYPE_PTR, TYPE_SRV, TYPE_TXT, UNANSWERED
from pcapkit.kernels.jit import helper_kernel
from pcapkit.model.manual import NOTHING_TO_DO, Entry
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.schema import Int

CLASSES = len(WASTE_CLASSES)

(
    INCOMPLETE,
    NO_RESPONSE,
    SERVER_ERROR,
    HIT,
    REVERSE_MISS,
    SERVICE_PROBE,
    EMPTY_FAMILY,
    NO_SUCH_TYPE,
    ABSOLUTE_MISS,
    NONEXISTENT,
    SEARCH_MISS,
) = range(len(WASTE_CLASSES))
#: First labels of the SRV and TXT names that libraries ask for by themselves.
PROBES = ("_grpclb", "_grpc_config", "_xds", "_etcd-client", "_ldap", "_mongodb", "_sip", "_stun")


@helper_kernel
def waste_class(
    complete: bool,
    outcome: Int,
    qtype: Int,
    is_probe: bool,
    is_answered: bool,
    is_first_existing: bool,
    resolved: bool,
    is_base: bool,
) -> Int:
    """Return the class of one transaction.

    ``complete``: its lookup is seen whole. ``outcome`` and ``qtype`` are its own. ``is_probe``: its
    base name is one that libraries ask for by themselves. ``resolved``: its lookup has an answer.
    ``is_answered``: its candidate answered the lookup in some family. ``is_first_existing``: its
    candidate is the first that exists, in a lookup that nothing answered. ``is_base``: it is the
    name as is.
    """
    if not complete:
        return INCOMPLETE
    if outcome == UNANSWERED:
        return NO_RESPONSE
    if outcome == ANSWER:
        return HIT
    if outcome not in (NODATA, NXDOMAIN):
        return SERVER_ERROR
    if qtype == TYPE_PTR:
        return REVERSE_MISS
    if is_probe and qtype in (TYPE_SRV, TYPE_TXT):
        return SERVICE_PROBE
    if is_answered:
        return EMPTY_FAMILY
    if is_first_existing and outcome == NODATA:
        return NO_SUCH_TYPE
    if is_base and resolved:
        return ABSOLUTE_MISS
    if is_base:
        return NO_SUCH_TYPE if outcome == NODATA else NONEXISTENT
    return SEARCH_MISS


def is_wasted(waste_classes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return which of an array of classes exist only because of the search list."""
    wasted: npt.NDArray[np.bool_] = (waste_classes == ABSOLUTE_MISS) | (
        waste_classes == SEARCH_MISS
    )
    return wasted


WASTED = is_wasted(np.arange(CLASSES))
#: What each class means.
WASTE_MANUAL: tuple[Entry, ...] = (
    Entry(
        "search_miss",
        "waste class",
        "NXDOMAIN or NODATA for a name with a search suffix. Counted as wasted.",
        "The application asked for a name with fewer dots than ndots, so its resolver tried "
        "every suffix first.",
        "Write the name in full with a final dot, or lower ndots for the workload.",
    ),
    Entry(
        "absolute_miss",
        "waste class",
        "The name as is missed, and then a suffix answered. Counted as wasted.",
        "ndots is too low for this name: a cluster name was asked upstream first. Besides the "
        "cost, it leaks the name.",
        "Write the service name in full with its final dot, or raise ndots.",
    ),
    Entry(
        "nonexistent",
        "waste class",
        "The name as is missed, and nothing else answered: the name does not exist.",
        "A service that is gone, a typing error, or a name of another cluster.",
        "Find who asks for it; every suffix multiplies the mistake.",
    ),
    Entry(
        "no_such_type",
        "waste class",
        "The name exists, but has no record of the asked type, and the lookup got no answer.",
        "Mostly AAAA, or SRV, asked of a name that only has A records.",
        "Ask for the family that exists; with glibc 2.36 or later, the option no-aaaa.",
    ),
    Entry(
        "empty_family",
        "waste class",
        "A miss, usually AAAA, on the very name that answered in the other family.",
        "Resolvers ask A and AAAA together; most cluster services have one of them.",
        "Normal. The option no-aaaa (glibc 2.36 or later) saves these queries in IPv4 pods.",
    ),
    Entry(
        "reverse_miss",
        "waste class",
        "A PTR query without an answer.",
        "ping, ssh and log formatters look addresses up by themselves.",
        "Switch the reverse lookup off (ping -n, UseDNS no, HostnameLookups Off).",
    ),
    Entry(
        "service_probe",
        "waste class",
        "An SRV or TXT question that a client library asks by itself, and that missed.",
        "gRPC asks _grpclb._tcp and _grpc_config for every target, along the whole list.",
        "Switch it off in the library (gRPC: grpc.enable_srv_queries, service config lookup).",
    ),
    Entry(
        "server_error",
        "waste class",
        "SERVFAIL, REFUSED, FORMERR or another error code.",
        "The server, or one behind it, could not answer. Resolvers repeat such questions.",
        "Look at the server's log and its upstream; some resolvers give the name up here.",
    ),
    Entry(
        "unanswered",
        "waste class",
        "A query with no response in the capture.",
        "A lost packet, an overloaded server, a firewall, or the capture missed the response.",
        "Compare captures at the pod and at the server; a resolver waits seconds for each.",
    ),
    Entry(
        "answer",
        "waste class",
        "The response holds a record of the asked type.",
        "This is what DNS is for.",
        NOTHING_TO_DO,
    ),
    Entry(
        "incomplete",
        "waste class",
        "Belongs to a lookup that the capture shows only in part.",
        "The capture began or ended in the middle of it.",
        "Nothing: such lookups are left out of every saving.",
    ),
)
