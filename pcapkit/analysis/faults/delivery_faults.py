"""The faults of delivery: packets that are lost, late, cut off, too large, too many."""

from __future__ import annotations

from pcapkit.analysis.faults import delivery, losses
from pcapkit.analysis.faults.fault import Fault
from pcapkit.model.vocabulary import Severity

DELIVERY_FAULTS: tuple[Fault, ...] = (
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
        losses.failed_families,
        is_guilty=losses.has_failed_family,
        show=losses.family_counts,
        rivals="A name that does not exist has no answer in the other family. A lost packet has "
        "no response to one try, and gets one to the next: where all that shows are questions "
        "without a response, lost packets are excluded where the losses elsewhere do not explain "
        "so many that lost every try (p < 0.01); else the finding only says 'consistent_with'. "
        "A failure that nobody waits for (glibc with SERVFAIL) is not counted.",
        excludes=(
            "names that do not exist: the other family was answered in each of {lookups:,} lookups",
        ),
        excludes_more=losses.family_rivals,
        certainty=losses.family_certainty,
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
        losses.conntrack_race,
        is_guilty=losses.may_have_raced,
        show=losses.race_counts,
        rivals="Plain loss hits queries with a port of their own (Go, single questions) as often "
        "as pairs: it is excluded where pairs lose more (Fisher's exact test, p < 0.01). "
        "Where it is not, the finding only says 'consistent_with', as with plain loss; "
        "outside a cluster, where nothing translates addresses, there is none. Not where "
        "both of a pair are lost, or a type is never answered.",
        excludes_more=losses.race_rivals,
        certainty=losses.race_certainty,
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
        losses.stalls,
        rivals="An answer that is only slow comes before the resend, or for it. An application "
        "that asks again by itself takes another port or ID: that counts where nothing was "
        "answered, and the client gets other responses. A client of which no response was "
        "captured may get them all: only what it sends again from the same port with the same "
        "ID counts. What glibc asks again with a lost other family is not counted.",
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
        show=delivery.concerned,
        excludes_more=delivery.quoted_queries,
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
        show=delivery.concerned,
        excludes_more=delivery.quoted_answers,
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
        show=delivery.truncated_counts,
        rivals="A client that did ask over TCP is not counted, answered or not. TCP connections "
        "that never carried a query do not show: a blocked port 53 looks the same, and is "
        "the same fault. A capture that takes UDP alone (tcpdump udp port 53) hides what was "
        "asked over TCP: where it holds no TCP packet of anybody's, the finding only says "
        "'consistent_with'.",
        excludes=(
            "clients that follow: none of the {responses:,} truncated responses was "
            "followed over TCP",
        ),
        excludes_more=delivery.truncated_rivals,
        certainty=delivery.truncated_certainty,
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
        "for others. A zone that is mute anywhere is answered by no other. Responses that take "
        "a way past the capture point reach the client, which would not ask another nameserver.",
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
        rivals="A few slow names leave most responses fast. A nameserver that waits for others is "
        "slow to its clients all the same.",
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
        "left out. Several clients together are not one network interface. A network without "
        "the limit lets all through: where no query of those seconds was lost, the finding only "
        "says 'consistent_with'.",
        excludes=(
            "the cluster's own DNS: {held:,} responses were data or denials of the cluster domain",
        ),
        excludes_more=delivery.rate_rivals,
        certainty=delivery.rate_certainty,
    ),
)
