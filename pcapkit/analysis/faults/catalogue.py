"""FAULTS: what can be wrong beside waste, how it is recognised, and what to do.

A row holds a fault's manual, which ``pcapkit explain`` prints and every finding carries, and its
detector in two steps: ``note`` says what one part of the readings shows, and ``is_guilty`` judges
each subject once the notes of all parts are added up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pcapkit.analysis.faults import delivery, names, settings
from pcapkit.analysis.faults.notes import Note, Notes
from pcapkit.analysis.traffic.part import PartTraffic
from pcapkit.model.vocabulary import Severity


def _was_seen(subject: str, note: Note) -> bool:
    return True


def _counts(note: Note) -> dict[str, object]:
    return {key: n for key, n in note.counts.items() if n}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its manual and its detector."""

    code: str
    severity: Severity
    title: str
    meaning: str
    signature: str
    action: str
    note: Callable[[PartTraffic], Notes]
    is_guilty: Callable[[str, Note], bool] = _was_seen
    show: Callable[[Note], dict[str, object]] = _counts
    #: what the notes are about, as a key of the evidence; "" where they have no subject
    subjects: str = ""


#: The code of the fault that advice must know of.
WILDCARD = "wildcard_suffix"
FAULTS: tuple[Fault, ...] = (
    Fault(
        "conntrack_race",
        Severity.ERROR,
        "Queries are lost in a race in conntrack",
        "The A and the AAAA query of one lookup leave one port at the same moment, and the node's "
        "connection tracking drops one of them. The lookup hangs until the resolver's timer ends: "
        "5 seconds with glibc, 2.5 seconds with musl.",
        "A and AAAA from one source port within 20 ms, one of them without a response while the "
        "other got its own, and an answer to the resend after 5 s or 2.5 s. Not where every "
        "query has its own port, where both are lost, or where a type is never answered. "
        "lost_otherwise counts the other queries that were lost: many of them point to plain "
        "packet loss.",
        "Run NodeLocal DNSCache, which takes pods' queries past connection tracking; or set the "
        "option single-request-reopen (glibc only; musl knows none of them). Kernels from 5.0 on "
        "lose fewer. Fewer queries (ndots, final dots) mean fewer races.",
        delivery.conntrack_race,
    ),
    Fault(
        "resolver_stalls",
        Severity.ERROR,
        "Lookups wait for a resolver's timer",
        "A query got no response, so the lookup waited for the resolver's timer before it went "
        "on: 5 seconds with glibc and Go, 2.5 seconds with musl, unless resolv.conf sets timeout.",
        "A query without a response that was asked again at least 0.9 s later, or never answered. "
        "The longest wait of each name counts once. An answer that is only slow is none.",
        "Find where the packets are lost: capture at the pod and at the DNS server, look at "
        "conntrack -S (insert_failed), at dropped packets of the node, and at the CPU limits of "
        "CoreDNS. timeout:1 and attempts:3 in dnsConfig shorten the waits, and hide them.",
        delivery.stalls,
    ),
    Fault(
        "truncated_without_tcp",
        Severity.ERROR,
        "Truncated answers are not asked again over TCP",
        "The server cut the answer to fit UDP and said so (TC). This client did not ask again over "
        "TCP, so its application works with a part of the addresses, or with none.",
        "A UDP response with TC whose question the same client did not send over TCP afterwards. "
        "TCP connections that never carried a query do not show.",
        "Allow TCP port 53 in network policies and firewalls. musl before 1.2.4 (Alpine before "
        "3.18) never uses TCP: update the image. EDNS (option edns0 with glibc) lifts the limit of "
        "512 bytes; smaller answers help every client.",
        delivery.truncated_without_tcp,
    ),
    Fault(
        "oversize_answers",
        Severity.WARNING,
        "Answers over 512 bytes to clients that did not allow them",
        "A client that sends no EDNS takes 512 bytes at most (RFC 1035). The server sent more over "
        "UDP; some resolvers cut such answers or drop them.",
        "A UDP response of more than 512 bytes, without TC, to a query without an OPT record.",
        "Check the server's bufsize and any proxy between it and the client. The option edns0 "
        "makes glibc announce a larger size; musl has no EDNS.",
        delivery.oversize_answers,
        show=delivery.largest,
    ),
    Fault(
        "large_answer_walks",
        Severity.WARNING,
        "glibc walks the list again for large answers",
        "An answer that outgrew glibc's buffer makes the caller enlarge it and start again, from "
        "the first suffix: three or four walks for one lookup.",
        "A lookup of a name that was answered with TC a moment before (within 5 ms), by the same "
        "client. Lookups that the application repeats later are none.",
        "Write the name with its final dot, so that each repetition costs one query and not a "
        "whole walk; or return fewer addresses (a headless service of many pods is the usual one).",
        delivery.large_answer_walks,
    ),
    Fault(
        "dead_nameserver",
        Severity.ERROR,
        "A nameserver of the list never answers",
        "One address in resolv.conf is silent, so every lookup that tries it first waits for a "
        "timer (glibc: 5 s, for every candidate anew).",
        "A nameserver with at least two queries and no response at all, whose questions another "
        "one answered. Not where it answers slowly, or is silent for one zone only.",
        "Take the address out of resolv.conf (dnsConfig.nameservers, the node's file, or the "
        "kubelet's clusterDNS), or bring it back.",
        delivery.nameservers,
        delivery.dead,
        delivery.rescued_counts,
        "nameservers",
    ),
    Fault(
        "slow_nameserver",
        Severity.WARNING,
        "A nameserver is slow",
        "Most of its responses take longer than 100 ms. A walk of the search list multiplies that "
        "by the suffixes.",
        "At least ten responses, more than half of them later than 100 ms. Not where a few names "
        "are slow.",
        "Look at CoreDNS' CPU limits and number of replicas, at its upstream (forward), and at the "
        "distance between client and server. A cache on the node hides most of it.",
        delivery.nameservers,
        delivery.slow,
        delivery.response_times,
        "nameservers",
    ),
    Fault(
        "packet_rate",
        Severity.WARNING,
        "More DNS packets in a second than a cloud lets through",
        "Clouds limit the packets to their resolver: AWS to 1024 a second for each network "
        "interface. What is over it is dropped, and no log says so.",
        "One client that sent one nameserver 1024 packets or more within one second, where that "
        "nameserver does not hold the cluster's names.",
        "Send fewer: the share that comes from search suffixes (wasted_queries) goes away with "
        "ndots or final dots. NodeLocal DNSCache and CoreDNS' cache take most of the rest; watch "
        "linklocal_allowance_exceeded (ethtool -S).",
        delivery.busy_seconds,
        delivery.too_many,
        delivery.peak,
        "nameservers",
    ),
    Fault(
        WILDCARD,
        Severity.ERROR,
        "A wildcard record answers for external names",
        "A zone in the search list holds a wildcard record. External names get its address before "
        "they are asked as they are: connections go to the wrong host, and TLS fails.",
        "Names that look external (dots inside, a real top-level domain) are answered under a "
        "suffix, where more names with dots exist than do not. Not for real hosts of that domain, "
        "of which there are few among many misses.",
        "Take the suffix out of the search list (dnsConfig.searches, or the node's resolv.conf), "
        "or the wildcard out of the zone. Until then, write external names with their final dot.",
        names.wildcards,
        names.is_wildcard,
        names.captured_lookups,
        "suffixes",
    ),
    Fault(
        "cut_chain",
        Severity.ERROR,
        "A suffix ends the walk before the right name is asked",
        "Under this suffix the server said NODATA, SERVFAIL or REFUSED instead of NXDOMAIN. Some "
        "resolvers stop there (musl, c-ares, BIND's tools), others skip the rest of the list "
        "(glibc after REFUSED), so names that exist are not found.",
        "A walk whose last candidate under a suffix got one of these responses while more was to "
        "be asked, or from which the resolver went on to the name as is. Not where it went on with "
        "the next suffix.",
        "Take a suffix of the node or the provider out of the search list, or repair its zone so "
        "that it says NXDOMAIN. NODATA under the cluster's own suffixes means that a part of the "
        "name is there, such as a namespace, or a service without the asked type: mend the name. "
        "A DNS policy that refuses names (Cilium toFQDNs) can be told to answer NXDOMAIN.",
        names.cut_walks,
        subjects="suffixes",
    ),
    Fault(
        "double_expansion",
        Severity.WARNING,
        "Full cluster names are expanded once more",
        "A name that already ends in the cluster domain has fewer dots than ndots, so the resolver "
        "puts every suffix behind it first; or a proxy searches a second time for a name that an "
        "application's resolver has expanded.",
        "A suffix behind a name inside the cluster domain, asked before the name as is.",
        "Write service.namespace.svc.<cluster domain>. with its final dot, or set ndots:4, which "
        "asks it as is first. For a proxy, switch its search off (Envoy: "
        "no_default_search_domain).",
        names.double_expansion,
    ),
    Fault(
        "autopath",
        Severity.INFO,
        "CoreDNS walks the search list for its clients (autopath)",
        "The server answers the first suffix with a CNAME to the name that exists, so one query "
        "does for a whole walk. Little waste is left to save on these names.",
        "Under the first suffix, a CNAME to the bare name or to another candidate. An ExternalName "
        "service points elsewhere.",
        "Nothing to do where it works. It needs CoreDNS' pods verified, knows the first suffix "
        "only, and confuses Cilium's toFQDNs policies.",
        names.autopath,
    ),
    Fault(
        "autopath_disagreement",
        Severity.ERROR,
        "autopath answers one family and denies the other",
        "For one and the same candidate the server followed the list in one family and said "
        "NXDOMAIN in the other. musl takes the name for absent and walks on.",
        "A and AAAA of one name under the first suffix: one a CNAME to a shorter candidate, the "
        "other NXDOMAIN.",
        "Update CoreDNS, or switch autopath off. A CoreDNS template that denies AAAA must answer "
        "NOERROR, not NXDOMAIN.",
        names.autopath_disagreement,
    ),
    Fault(
        "aaaa_nxdomain",
        Severity.WARNING,
        "AAAA is denied with NXDOMAIN for names that exist",
        "NXDOMAIN says that a name does not exist at all, but its A record is there. musl believes "
        "it and walks on, and other resolvers may keep it in their cache.",
        "AAAA got NXDOMAIN for the very name that answered with an A record.",
        "Answer AAAA with NOERROR and no record. In CoreDNS' template plugin: rcode NOERROR.",
        names.denied_families,
    ),
    Fault(
        "repeated_lookups",
        Severity.INFO,
        "The same questions while their answers are still valid",
        "The client keeps no cache and asks again what it was told a moment ago.",
        "One client asked one question at least three times more before the last answer's TTL (or "
        "the negative TTL) had run out. Not for polls that are slower than the TTL.",
        "Run NodeLocal DNSCache, or keep connections open in the application. The number of "
        "repeated queries is what a cache beside the client would save.",
        names.repeats,
    ),
    Fault(
        "service_probes",
        Severity.INFO,
        "Client libraries ask for service configuration",
        "gRPC and others ask SRV and TXT names (_grpclb._tcp, _grpc_config) by themselves for "
        "every target, along the whole search list.",
        "SRV or TXT questions for names that libraries are known to make up, without an answer.",
        "Switch them off in the library (gRPC: grpc.service_config_disable_resolution, "
        "grpc.enable_srv_queries; recent versions ask less).",
        names.probes,
    ),
    Fault(
        "upstream_leak",
        Severity.WARNING,
        "Cluster names are asked outside the cluster",
        "Names inside the cluster domain went to a nameserver that does not hold it: they cannot "
        "be found there, and tell others what runs here.",
        "Names under the cluster domain at a nameserver that answered none of them with data or "
        "with authority (AA).",
        "Use dnsPolicy ClusterFirst (ClusterFirstWithHostNet on the host network), and take "
        "nameservers out of resolv.conf that do not know the cluster. In the Corefile the cluster "
        "domain belongs to the kubernetes plugin, without fallthrough to forward.",
        names.cluster_names,
        names.is_stranger,
        names.leaked_queries,
        "nameservers",
    ),
    Fault(
        "private_reverse_leak",
        Severity.INFO,
        "PTR of private addresses are asked upstream",
        "Looking up 10/8, 172.16/12 or 192.168/16 backwards outside the network that uses them "
        "never succeeds (RFC 1918), and tells others which addresses are in use.",
        "A PTR question for such an address that missed, in a response without authority (AA).",
        "Let CoreDNS hold the reverse zones of pods and services (kubernetes plugin: in-addr.arpa) "
        "and answer the others itself (RFC 6303). Switch reverse lookups off where they only "
        "decorate logs.",
        names.private_reverse,
    ),
    Fault(
        "mixed_settings",
        Severity.WARNING,
        "Different settings in one namespace or at one address",
        "Pods of one namespace have different search lists or ndots, or several resolvers share "
        "one address. What is right for one may break the other.",
        "Within one namespace: lists of which neither holds the other in its order, or ndots "
        "intervals that do not meet; at one address: two of them in turns. Not for lists that "
        "differ by their namespace alone.",
        "Compare dnsPolicy and dnsConfig of the namespace's workloads, and the nodes' resolv.conf. "
        "Several at one address mean address translation or a shared host network: capture in the "
        "pods.",
        settings.namespaces,
        settings.are_mixed,
        settings.differences,
        "where",
    ),
    Fault(
        "search_list",
        Severity.WARNING,
        "The search list breaks a limit",
        "Resolvers ignore, cut or misread search lists that are too long, hold a suffix twice, or "
        "hold a lone dot.",
        "In a given resolv.conf: a line of 255 bytes or more, '.', a suffix twice, more than 6 or "
        "32 suffixes; in the traffic: more than 6 or 32 suffixes, or musl's empty questions.",
        "Shorten the list in dnsConfig.searches or in the node's resolv.conf (kubelet "
        "--resolv-conf).",
        settings.search_lists,
        show=settings.problems_seen,
    ),
    Fault(
        "given_contradicted",
        Severity.WARNING,
        "The given settings do not fit the traffic",
        "What --resolv-conf, --search or --ndots say was used, but this client's traffic cannot "
        "come from such settings.",
        "Walks along suffixes that the given list does not hold in that order, or names searched, "
        "or asked as is first, that the given ndots would treat the other way.",
        "Bind each file to its clients (--resolv-conf 10.244.1.0/24=FILE), or leave the option out "
        "and let the traffic speak.",
        settings.contradictions,
        show=settings.contradictions_seen,
    ),
)
