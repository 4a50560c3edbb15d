"""The faults of settings: who differs, and what a search list breaks."""

from __future__ import annotations

from pcapkit.analysis.faults import settings
from pcapkit.analysis.faults.fault import Fault
from pcapkit.model.vocabulary import Severity

SETTING_FAULTS: tuple[Fault, ...] = (
    Fault(
        "mixed_settings",
        Severity.WARNING,
        "Different settings in one namespace or at one address",
        "Pods of one namespace have different search lists or ndots, or several resolvers "
        "share one address. What is right for one may break the other.",
        "Within one namespace: lists of which neither holds the other in its order, or "
        "ndots intervals that do not meet, at different addresses; at one address: two of "
        "them in turns.",
        "Compare dnsPolicy and dnsConfig of the namespace's workloads, and the nodes' "
        "resolv.conf. Several at one address mean containers of one pod that differ, "
        "address translation or a shared host network: capture in the pods.",
        settings.namespaces,
        is_guilty=settings.are_mixed,
        show=settings.differences,
        subjects="where",
        rivals="Lists that differ by their namespace alone, lists that were not walked to their "
        "end, and one address whose settings changed once (a restart) are none. An address "
        "that answers DNS itself, or asks over TCP (NodeLocal DNSCache, dnsmasq, unbound), "
        "asks for others. Final dots here and there may explain names that are searched and "
        "asked as is in turns: where that is all, the finding only says 'consistent_with'.",
        excludes=(
            "a restart: what differs is of different addresses, or in turns at {at_once:,} of them",
        ),
        certainty=settings.mix_certainty,
    ),
    Fault(
        "search_list",
        Severity.WARNING,
        "The search list breaks a limit",
        "Resolvers ignore, cut or misread search lists that are too long, hold a suffix "
        "twice, or hold a lone dot.",
        "In a given resolv.conf: a line of 255 bytes or more, '.', a suffix twice, more "
        "than 6 or 32 suffixes; in the traffic: more than 6 or 32 suffixes, or musl's "
        "empty questions.",
        "Shorten the list in dnsConfig.searches or in the node's resolv.conf (kubelet "
        "--resolv-conf).",
        settings.search_lists,
        show=settings.problems_seen,
        rivals="A list in the traffic is one that walks show in its order. An empty question that "
        "is not sent again after FORMERR is a stray one.",
        excludes_more=settings.list_rivals,
    ),
    Fault(
        "given_contradicted",
        Severity.WARNING,
        "The given settings do not fit the traffic",
        "What --resolv-conf, --search or --ndots say was used, but this client's traffic "
        "cannot come from such settings.",
        "Walks along suffixes that the given list does not hold in that order, or names "
        "searched, or asked as is first, that the given ndots would treat the other way.",
        "Bind each file to its clients (--resolv-conf 10.244.1.0/24=FILE), or leave the "
        "option out and let the traffic speak.",
        settings.contradictions,
        show=settings.contradictions_seen,
        rivals="A name with a final dot is asked as is under any ndots: only names that were "
        "searched afterwards count. A walk that was not seen to its end leaves suffixes "
        "out, and contradicts nothing.",
        excludes_more=settings.contradiction_rivals,
    ),
)
