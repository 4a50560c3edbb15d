"""FAULTS: what can be wrong beside waste, how it is recognised, and what to do.

A row holds a fault's manual, which ``pcapkit explain`` prints and every finding carries, and its
detector in two steps: ``note`` says what one part of the readings shows, and ``is_guilty`` judges
each subject once the notes of all parts are added up. ``certainty`` says whether another
explanation is left, ``rivals`` and ``excludes`` what rules the others out.
"""

from __future__ import annotations

from pcapkit.analysis.faults import delivery, names, settings
from pcapkit.analysis.faults.fault import Fault
from pcapkit.model.vocabulary import Severity

#: The code of the fault that advice must know of.
WILDCARD = "wildcard_suffix"
FAULTS: tuple[Fault, ...] = (
    Fault(
        "failed_family",
        Severity.ERROR,
        "One address family fails for names that the other one answers",
        "The server answers A (or AAAA) and fails for the other family of the same name. "
        "Resolvers that want both ask again and wait: musl for five seconds, and then the "
        "whole lookup fails (EAI_AGAIN) although an address was there.",
        "A and AAAA of one name: one with an answer, the other with SERVFAIL, REFUSED or "
        "no response to any try, and asked again, or waited for by 0.1 s or more.",
        "First make the server answer the failing family with NOERROR and no record: mend "
        "its upstream for AAAA, or in CoreDNS 'template IN AAAA . { rcode NOERROR }'. A "
        "lower ndots does not help: it is the right name that fails. musl cannot be told "
        "to ask no AAAA.",
        delivery.failed_families,
        rivals="A name that does not exist has no answer in the other family. A lost packet has "
        "no response to one try, and gets one to the next. A failure that nobody waits for "
        "(glibc with SERVFAIL) is not counted.",
        excludes=(
            "names that do not exist: the other family was answered in each of {lookups:,} lookups",
            "lost packets: {servfail:,} of {failed_questions:,} questions got SERVFAIL, "
            "{refused:,} REFUSED, {unanswered:,} no response to two tries or more",
        ),
        for_glibc="The option no-aaaa (from 2.36 on) asks A alone.",
    ),
    Fault(
        "conntrack_race",
        Severity.ERROR,
        "Queries are lost in a race in conntrack",
        "The A and the AAAA query of one lookup leave one port at the same moment, and the "
        "node's connection tracking drops one of them. The lookup hangs until the "
        "resolver's timer ends: 5 seconds with glibc, 2.5 seconds with musl, less where "
        "resolv.conf sets timeout.",
        "A and AAAA from one source port within 20 ms, one of them without a response "
        "while the other got its own, and an answer to the resend after a timer: whole or "
        "half seconds.",
        "Run NodeLocal DNSCache, which takes pods' queries past connection tracking. "
        "Kernels from 5.0 on lose fewer. Fewer queries (ndots, final dots) mean fewer "
        "races. If losses elsewhere are as frequent, look for plain packet loss first.",
        delivery.conntrack_race,
        is_guilty=delivery.may_have_raced,
        show=delivery.race_counts,
        rivals="Plain loss hits queries with a port of their own (Go, single questions) as often "
        "as pairs: it is excluded where pairs lose more (Fisher's exact test, p < 0.01). "
        "Where it is not, the finding only says 'consistent_with', as with plain loss; "
        "outside a cluster, where nothing translates addresses, there is none. Not where "
        "both of a pair are lost, or a type is never answered.",
        excludes_more=delivery.race_rivals,
        certainty=delivery.race_certainty,
        for_glibc="The option single-request-reopen gives each query a port of its own.",
    ),
    Fault(
        "resolver_stalls",
        Severity.ERROR,
        "Lookups wait for a resolver's timer",
        "A query, or its answer, did not arrive, so the lookup waited for the resolver's "
        "timer before it went on: 5 seconds with glibc and Go, 2.5 seconds with musl, "
        "unless resolv.conf sets timeout.",
        "A query without a response that was asked again at least 0.9 s later, or never "
        "answered; or one that was answered at once, and yet asked again so late from the "
        "same port with the same ID: the answer was lost behind the capture point. The "
        "longest wait of each name counts once.",
        "Find where the packets are lost: capture at the pod and at the DNS server, look "
        "at conntrack -S (insert_failed), at dropped packets of the node, and at the CPU "
        "limits of CoreDNS. timeout:1 and attempts:3 in dnsConfig shorten the waits, and "
        "hide them.",
        delivery.stalls,
        rivals="An answer that is only slow comes before the resend, or for it. An application "
        "that asks again by itself takes another port or ID. What glibc asks again with a "
        "lost other family is not counted.",
        excludes=(
            "slow answers: {queries_lost:,} of {stalls:,} waits had no response, "
            "{answers_lost:,} had one before the question was sent again from the same "
            "port with the same ID",
        ),
    ),
    Fault(
        "failed_lookups",
        Severity.ERROR,
        "Lookups fail because servers fail",
        "Nothing answered these lookups: where they ended, the server said SERVFAIL or "
        "REFUSED, or nothing. Applications see a temporary failure, and often wait for it.",
        "A complete lookup without an answer whose last candidate got SERVFAIL, REFUSED or "
        "another error, or no response to any query while the client got others.",
        "Look at the server's log for these names (CoreDNS: plugin errors), at its "
        "upstream (forward) and at what refuses: a policy, or a server that does not hold "
        "the zone. CoreDNS from 1.13 on asks no second upstream after SERVFAIL unless it "
        "is told to.",
        delivery.failed_lookups,
        show=delivery.failures,
        subjects="nameservers",
        rivals="A name that does not exist gets NXDOMAIN, one without the type NOERROR: neither "
        "is counted. A client of which no response was captured shows nothing. A lookup "
        "that the capture cuts is not counted.",
        excludes=(
            "names that do not exist: of {failed_lookups:,} lookups {servfail:,} ended in "
            "SERVFAIL, {refused:,} in REFUSED, {other_rcode:,} in another error, "
            "{unanswered:,} without a response; none in NXDOMAIN or NODATA",
        ),
    ),
    Fault(
        "nameserver_unreachable",
        Severity.ERROR,
        "Queries meet no nameserver",
        "ICMP said that a query did not get there: nothing listens at the port, or there "
        "is no way to the address, or somebody forbids it.",
        "An ICMP destination unreachable message that quotes a packet to port 53.",
        "Look whether CoreDNS has ready pods (kubectl get endpointslices -n kube-system), "
        "at network policies that reject, and at the addresses in resolv.conf.",
        delivery.query_unreachable,
        rivals="A lost packet brings no ICMP message. One about a response quotes a packet from "
        "port 53, and is closed_port_answers.",
        excludes=("lost packets: {packets:,} ICMP messages quote queries",),
        skip_reason="query_unreachable",
    ),
    Fault(
        "closed_port_answers",
        Severity.INFO,
        "Answers come to closed ports",
        "A response came after the resolver had closed its socket: it had given up "
        "waiting, or had the answer of another nameserver already.",
        "An ICMP port unreachable message that quotes a packet from port 53.",
        "Nothing where a resolver asks several nameservers at once (musl). Else answers "
        "take longer than the timeout: look at slow_nameserver, and at resolver_stalls.",
        delivery.answer_unreachable,
        rivals="An ICMP message about a query quotes a packet to port 53, and is "
        "nameserver_unreachable.",
        excludes=("unreachable nameservers: {packets:,} ICMP messages quote responses",),
        skip_reason="answer_unreachable",
    ),
    Fault(
        "truncated_without_tcp",
        Severity.ERROR,
        "Truncated answers are not asked again over TCP",
        "The server cut the answer to fit UDP and said so (TC). This client did not ask "
        "again over TCP, so its application works with a part of the addresses, or with "
        "none.",
        "A UDP response with TC whose question the same client did not send over TCP afterwards.",
        "Allow TCP port 53 in network policies and firewalls. musl before 1.2.4 (Alpine "
        "before 3.18) never uses TCP: update the image. Smaller answers help every client.",
        delivery.truncated_without_tcp,
        rivals="A client that did ask over TCP is not counted, answered or not. TCP connections "
        "that never carried a query do not show: a blocked port 53 looks the same, and is "
        "the same fault.",
        excludes=(
            "clients that follow: none of the {responses:,} truncated responses was "
            "followed over TCP",
        ),
        for_glibc="EDNS (option edns0) lifts the limit of 512 bytes.",
    ),
    Fault(
        "oversize_answers",
        Severity.WARNING,
        "Answers over 512 bytes to clients that did not allow them",
        "A client that sends no EDNS takes 512 bytes at most (RFC 1035). The server sent "
        "more over UDP; some resolvers cut such answers or drop them.",
        "A UDP response of more than 512 bytes, without TC, to a query without an OPT record.",
        "Check the server's bufsize and any proxy between it and the client.",
        delivery.oversize_answers,
        show=delivery.largest,
        rivals="A client with EDNS announced a larger size, and TCP has no limit: neither is "
        "counted, nor a query whose EDNS the source does not show.",
        excludes=(
            "clients that allow more: each of the {responses:,} queries came over UDP "
            "without an OPT record",
        ),
        for_glibc="The option edns0 makes it announce a larger size.",
    ),
    Fault(
        "large_answer_walks",
        Severity.WARNING,
        "glibc walks the list again for large answers",
        "An answer that outgrew glibc's buffer makes the caller enlarge it and start "
        "again, from the first suffix: three or four walks for one lookup.",
        "A lookup of a name that was answered with TC, or more than 512 bytes, a moment "
        "before (within 5 ms), by the same client.",
        "Write the name with its final dot, so that each repetition costs one query and "
        "not a whole walk; or return fewer addresses (a headless service of many pods is "
        "the usual one).",
        delivery.large_answer_walks,
        rivals="Lookups that the application repeats come later than 5 ms, or after a small "
        "answer; resolvers that do not walk again are left out.",
        excludes=(
            "the application's own repetitions: each of the {repeated_walks:,} walks began "
            "within 5 ms of a large answer",
        ),
    ),
    Fault(
        "dead_nameserver",
        Severity.ERROR,
        "A nameserver of the list never answers",
        "One address in resolv.conf is silent, so every lookup that tries it first waits "
        "for a timer (glibc: 5 s, for every candidate anew).",
        "A nameserver with at least two queries and no response at all, whose questions "
        "another one answered.",
        "Take the address out of resolv.conf (dnsConfig.nameservers, the node's file, or "
        "the kubelet's clusterDNS), or bring it back.",
        delivery.nameservers,
        is_guilty=delivery.dead,
        show=delivery.rescued_counts,
        subjects="nameservers",
        rivals="One that answers slowly has responses. One that is silent for a zone only answers "
        "for others. A zone that is mute anywhere is answered by no other.",
        excludes=(
            "slow nameservers: {answered:,} of {asked:,} queries were answered",
            "mute zones: another nameserver answered {answered_by_another:,} of the same questions",
        ),
    ),
    Fault(
        "slow_nameserver",
        Severity.WARNING,
        "A nameserver is slow",
        "Most of its responses take longer than 100 ms. A walk of the search list "
        "multiplies that by the suffixes.",
        "At least ten responses, more than half of them later than 100 ms.",
        "Look at CoreDNS' CPU limits and number of replicas, at its upstream (forward), "
        "and at the distance between client and server. A cache on the node hides most of "
        "it.",
        delivery.nameservers,
        is_guilty=delivery.slow,
        show=delivery.response_times,
        subjects="nameservers",
        rivals="A few slow names leave most responses fast.",
        excludes=("a few slow names: {slow:,} of {answered:,} responses took longer than 100 ms",),
    ),
    Fault(
        "packet_rate",
        Severity.WARNING,
        "More DNS packets in a second than a cloud lets through",
        "Clouds limit the packets to their resolver: AWS to 1024 a second for each network "
        "interface. What is over it is dropped, and no log says so.",
        "One client that sent one nameserver 1024 packets or more within one second, where "
        "that nameserver does not hold the cluster's names.",
        "Send fewer: the share that comes from search suffixes (wasted_queries) goes away "
        "with ndots or final dots. NodeLocal DNSCache and CoreDNS' cache take most of the "
        "rest; watch linklocal_allowance_exceeded (ethtool -S).",
        delivery.busy_seconds,
        is_guilty=delivery.too_many,
        show=delivery.peak,
        subjects="nameservers",
        rivals="The cluster's own DNS has no such limit: one that answers names of the cluster is "
        "left out. Several clients together are not one network interface.",
        excludes=(
            "the cluster's own DNS: {held:,} responses were data or denials of the cluster domain",
        ),
    ),
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
        rivals="Real hosts of that domain are few among many names that miss there. A full "
        "service name has no reason to exist outside its cluster.",
        excludes=(
            "real hosts of that domain: {answered:,} names with dots were answered there, "
            "{missed:,} were not",
            "services: {caught:,} answers were for full names of the cluster, outside its domain",
        ),
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
        "Full cluster names are expanded once more",
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
        rivals="A service that is created or deleted changes once, at every server. One server "
        "that changes its mind is unstable_names.",
        excludes=(
            "a name that was created or deleted: {changes:,} changes of {questions:,} "
            "questions, each server with one view",
        ),
    ),
    Fault(
        "repeated_lookups",
        Severity.INFO,
        "The same questions while their answers are still valid",
        "The client keeps no cache and asks again what it was told a moment ago.",
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
        "asks for others.",
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
        excludes=("stray questions: {empty_questions:,} empty questions were sent again",),
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
    ),
)
