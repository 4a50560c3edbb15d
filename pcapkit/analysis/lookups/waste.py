"""Waste classes: what each query was good for. Every transaction has exactly one, the first that
applies; ``pcapkit explain CLASS`` says what each means and what to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, TYPE_PTR, TYPE_SRV, TYPE_TXT, UNANSWERED
from pcapkit.kernels.jit import helper_kernel
from pcapkit.model.vocabulary import WASTE_CLASSES

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
    outcome: Any,
    qtype: Any,
    is_probe: bool,
    is_answered: bool,
    is_first_existing: bool,
    resolved: bool,
    is_base: bool,
) -> Any:
    """Return the class of one transaction.

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
    if is_base:
        return ABSOLUTE_MISS if resolved else NONEXISTENT
    return SEARCH_MISS


def is_wasted(waste_classes: Any) -> Any:
    """Return which of an array of classes exist only because of the search list."""
    return (waste_classes == ABSOLUTE_MISS) | (waste_classes == SEARCH_MISS)


WASTED = is_wasted(np.arange(CLASSES))
