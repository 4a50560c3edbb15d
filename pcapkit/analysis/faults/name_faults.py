"""The faults of names: wildcards, walks that are cut, expansion twice, leaks, probes."""

from __future__ import annotations

from pcapkit.analysis.faults import names
from pcapkit.analysis.faults.fault import Fault
from pcapkit.model.vocabulary import Severity

#: The code of the fault that advice must know of.
WILDCARD = "wildcard_suffix"
NAME_FAULTS: tuple[Fault, ...] = (
    Fault(
        WILDCARD,
        Severity.ERROR,
        "A wildcard record answers for names that do not belong there",
        "A zone in the search list holds a wildcard record. External names, or full "
        "service names, get its address before they are asked as they are: connections go "
        "to the wrong host, and TLS fails.",
        "Names that look external (dots inside, a real top-level domain) are answered "
        "under a suffix, where more names with dots exist than do not; or a full service "
        "name is answered under a suffix outside the cluster domain.",
        "Take the suffix out of the search list (dnsConfig.searches, or the node's "
        "resolv.conf), or the wildcard out of the zone. Until then, write external names "
        "and full service names with their final dot.",
        names.wildcards,
        is_guilty=names.is_wildcard,
        show=names.captured_lookups,
        subjects="suffixes",
        rivals="Real hosts of that domain (db1.eu of corp.example) are few among many names that "
        "miss there, and end alike: they are excluded where names of several domains "
        "were answered and none missed; else the finding only says 'consistent_with'. A full "
        "service name has no reason to exist outside its cluster: one is enough.",
        excludes_more=names.wildcard_rivals,
        certainty=names.wildcard_certainty,
    ),
    Fault(
        "cut_chain",
        Severity.ERROR,
        "A suffix ends the walk before the right name is asked",
        "Under this suffix the server said NODATA, SERVFAIL or REFUSED instead of "
        "NXDOMAIN. Some resolvers stop there (musl, c-ares, dnspython, BIND's tools), "
        "others skip the rest of the list (glibc and Java after REFUSED), so names that "
        "exist are not found.",
        "A walk whose last candidate under a suffix got one of these responses while more "
        "was to be asked, or from which the resolver went on to the name as is.",
        "Take a suffix of the node or the provider out of the search list, or repair its "
        "zone so that it says NXDOMAIN. A name that was never asked as is needs its final "
        "dot, or a lower ndots, to get past the suffix. NODATA under the cluster's own "
        "suffixes means that a part of the name is there, such as a namespace, or a "
        "service without the asked type: mend the name. A DNS policy that refuses names "
        "(Cilium toFQDNs) can be told to answer NXDOMAIN.",
        names.cut_walks,
        show=names.cuts,
        subjects="suffixes",
        rivals="A walk that the capture cuts is incomplete, and not counted. One that went on "
        "with the next suffix was not cut. A name written in full has one candidate: it "
        "walks no list.",
        excludes=(
            "walks that went on: none of {lookups:,} lookups asked a further suffix",
            "names that were only answered late: {never_as_is:,} of them were never asked as is",
        ),
    ),
    Fault(
        "double_expansion",
        Severity.WARNING,
        "Full service names still go through the search list",
        "A name that already ends in the cluster domain has fewer dots than ndots, so the "
        "resolver puts every suffix behind it first; or a proxy searches a second time for "
        "a name that an application's resolver has expanded.",
        "A suffix behind a name inside the cluster domain, asked before the name as is.",
        "Write service.namespace.svc.<cluster domain>. with its final dot, or set ndots:4, "
        "which asks it as is first. For a proxy, switch its search off (Envoy: "
        "no_default_search_domain).",
        names.double_expansion,
        rivals="A name that was asked as is first, and failed, goes down the list by the rules. A "
        "name under another domain is expanded once.",
        excludes=("names asked as is first: all {lookups:,} lookups put a suffix behind before",),
    ),
    Fault(
        "autopath",
        Severity.INFO,
        "CoreDNS walks the search list for its clients (autopath)",
        "The server answers the first suffix with a CNAME to the name that exists, so one "
        "query does for a whole walk. Little waste is left to save on these names.",
        "Under the first suffix, a CNAME to the bare name or to another candidate.",
        "Nothing to do where it works. It needs CoreDNS' pods verified, knows the first "
        "suffix only, and confuses Cilium's toFQDNs policies.",
        names.autopath,
        rivals="An ExternalName service points elsewhere: not to its own name less some labels.",
        excludes=(
            "ExternalName services: in all {lookups:,} lookups the CNAME only leaves "
            "labels of the suffix out",
        ),
    ),
    Fault(
        "autopath_disagreement",
        Severity.ERROR,
        "autopath answers one family and denies the other",
        "For one and the same candidate the server followed the list in one family and "
        "said NXDOMAIN in the other. musl takes the name for absent and walks on.",
        "A and AAAA of one name under the first suffix: one a CNAME to a shorter "
        "candidate, the other NXDOMAIN.",
        "Update CoreDNS, or switch autopath off. A CoreDNS template that denies AAAA must "
        "answer NOERROR, not NXDOMAIN.",
        names.autopath_disagreement,
        rivals="A name that does not exist is denied in both families; without autopath no CNAME "
        "leads along the list.",
        excludes=(
            "names that do not exist: the other family was answered in each of {lookups:,} lookups",
        ),
    ),
    Fault(
        "aaaa_nxdomain",
        Severity.WARNING,
        "AAAA is denied with NXDOMAIN for names that exist",
        "NXDOMAIN says that a name does not exist at all, but its A record is there. musl "
        "believes it and walks on, and other resolvers may keep it in their cache.",
        "AAAA got NXDOMAIN for the very name that answered with an A record.",
        "Answer AAAA with NOERROR and no record. In CoreDNS' template plugin: rcode NOERROR.",
        names.denied_families,
        rivals="A name that does not exist has no A record. Where autopath disagrees with itself, "
        "that is the finding.",
        excludes=(
            "names that do not exist: each of the {queries:,} was answered with an A "
            "record in the same lookup",
        ),
    ),
    Fault(
        "unstable_names",
        Severity.WARNING,
        "Names change between existing and not existing",
        "One server answered a name, denied it, and answered it again (or the other way "
        "round): applications fail now and then, and negative caches keep the denial.",
        "Answer and NXDOMAIN for one name and type of one client, with at least two "
        "changes, where one server gave both.",
        "Look whether replicas of the server know the same (a CoreDNS pod that lost the "
        "API server, autopath or hosts files that differ), and whether a headless service "
        "loses its ready pods.",
        names.changing,
        is_guilty=names.is_of_one_server,
        rivals="A service that is created or deleted changes once. Servers that contradict each "
        "other are contradicting_servers. A and AAAA are compared each with itself.",
        excludes=(
            "a name that was created or deleted: {changes:,} changes of {questions:,} "
            "questions, at least two each",
        ),
    ),
    Fault(
        "contradicting_servers",
        Severity.ERROR,
        "Nameservers contradict each other",
        "One nameserver answers what another one says does not exist. A list in "
        "resolv.conf is for servers that know the same: resolvers take the first response, "
        "whoever gives it.",
        "Answer and NXDOMAIN for one name and type of one client, each from another "
        "server, within a second or with at least two changes.",
        "Leave only nameservers in resolv.conf that hold the same names: put the cluster's "
        "DNS alone, and let it forward the other zones (CoreDNS: a server block with "
        "forward).",
        names.changing,
        is_guilty=names.is_of_several_servers,
        rivals="A service that is created or deleted changes once, at every server: one change "
        "alone, of servers asked within a second but not at one moment (20 ms), only says "
        "'consistent_with'. One server that changes its mind is unstable_names.",
        certainty=names.contradiction_certainty,
        excludes=(
            "a name that was created or deleted: {changes:,} changes of {questions:,} "
            "questions, each server with one view",
        ),
    ),
    Fault(
        "repeated_lookups",
        Severity.INFO,
        "The same questions while their answers are still valid",
        "One address asks again what it was told a moment ago: its client keeps no cache, or "
        "several clients behind it ask for the same.",
        "One client asked one question at least three times more before the last answer's "
        "TTL (or the negative TTL) had run out.",
        "Run NodeLocal DNSCache, or keep connections open in the application. The number "
        "of repeated queries is what a cache beside the client would save.",
        names.repeats,
        rivals="Polls that are slower than the TTL, what glibc walks again for a large answer, "
        "and other clients that ask the same are not counted.",
        excludes=(
            "polls slower than the TTL: all {repeated_queries:,} queries came while the "
            "last answer was valid",
        ),
    ),
    Fault(
        "service_probes",
        Severity.INFO,
        "Client libraries ask for service configuration",
        "gRPC and others ask SRV and TXT names (_grpclb._tcp, _grpc_config) by themselves "
        "for every target, along the whole search list.",
        "SRV or TXT questions for names that libraries are known to make up, without an answer.",
        "Switch them off in the library (gRPC: grpc.service_config_disable_resolution, "
        "grpc.enable_srv_queries; recent versions ask less).",
        names.probes,
        rivals="Questions of the application itself have other names, or an answer.",
        excludes=("the application's own questions: none of the {queries:,} has an answer",),
    ),
    Fault(
        "upstream_leak",
        Severity.WARNING,
        "Cluster names are asked outside the cluster",
        "Names inside the cluster domain went to a nameserver that does not hold it: they "
        "cannot be found there, and tell others what runs here.",
        "Names under the cluster domain whose denial carries the SOA of the root or of "
        "another zone above, from a nameserver that gave no data and no SOA of the cluster "
        "domain. Where a source shows no records, a denial 75 bytes larger than its "
        "question (86 with EDNS) is the root's.",
        "Use dnsPolicy ClusterFirst (ClusterFirstWithHostNet on the host network), and "
        "take nameservers out of resolv.conf that do not know the cluster. In the Corefile "
        "the cluster domain belongs to the kubernetes plugin, without fallthrough to "
        "forward.",
        names.cluster_names,
        is_guilty=names.is_stranger,
        show=names.leaked_queries,
        subjects="nameservers",
        rivals="The cluster's own DNS, or a cache of it (kube-dns, NodeLocal DNSCache, dnsmasq), "
        "denies with the SOA of the cluster domain, also without AA. A denial that shows "
        "no SOA proves nothing.",
        excludes=(
            "the cluster's own DNS or its cache: {foreign:,} denials carry the SOA of the "
            "root or of a zone above, {known:,} responses are of the cluster domain",
        ),
    ),
    Fault(
        "private_reverse_leak",
        Severity.INFO,
        "PTR of private addresses are asked upstream",
        "Looking up 10/8, 172.16/12 or 192.168/16 backwards outside the network that uses "
        "them never succeeds (RFC 1918), and tells others which addresses are in use.",
        "A PTR question for such an address that missed, without AA, in a response with "
        "the SOA of the root, arpa or in-addr.arpa; or with none that shows.",
        "Let CoreDNS hold the reverse zones of pods and services (kubernetes plugin: in- "
        "addr.arpa) and answer the others itself (RFC 6303). Switch reverse lookups off "
        "where they only decorate logs.",
        names.private_reverse,
        rivals="A server that holds the private zone itself (RFC 6303) denies with that zone's "
        "SOA: not counted. Where no SOA shows, a cache of such a server is not excluded, "
        "and the finding only says 'consistent_with'.",
        excludes=(
            "servers of the private zone: {foreign:,} of {queries:,} denials carry the SOA "
            "of a zone above",
        ),
        certainty=names.reverse_certainty,
    ),
)
