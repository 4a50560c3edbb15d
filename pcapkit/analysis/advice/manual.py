"""What each recommendation means, why it helps and how to follow it."""

from __future__ import annotations

from pcapkit.model.manual import Entry

PLAN_MANUAL: tuple[Entry, ...] = (
    Entry(
        "plan",
        "plan",
        "The fewest edits that end at least four fifths of the waste that safe edits, and edits to "
        "be reviewed, can end; in the order in which to make them.",
        "All numbers come from one replay of all of its steps together, by the rules of each "
        "client's own resolver: the steps' savings add up to the plan's. 'settings' changes "
        "dnsConfig alone, 'names' writes full names alone, 'best' does both, and takes suffixes "
        "that never answer anything out of search lists where that is worth an edit. It is safe "
        "where every name that was seen still resolves, to the same name; below ten minutes of "
        "capture that is said with how long it was.",
        "Make the steps from the first on: after each, the state is no less safe than the whole "
        "plan. 'pcapkit fix CAPTURE --manifests DIR' prints it as a diff on your own manifests; "
        "'pcapkit compare BEFORE AFTER' says whether its promise was kept.",
    ),
    Entry(
        "edits",
        "plan",
        "What a plan counts: one dnsConfig changed, one search list made shorter, or one name "
        "written in full, each in one workload.",
        "A setting that would harm a name brings that name along, written in full in the same "
        "roll-out: each is an edit. A name with at least as many dots as the plan's ndots needs no "
        "final dot (glibc, musl, Go, c-ares from 1.28 on, dnspython); others keep it.",
        "Edit the workload's pod template, or where its configuration names the host.",
    ),
)

#: In the order in which ``explain`` lists them.
ADVICE_MANUAL: tuple[Entry, ...] = (
    Entry(
        "use_fqdn",
        "recommendation",
        "Write an external name with its final dot.",
        "A name with a final dot is asked as is only, by every resolver and at any ndots.",
        "Change it where the application configures the host. Test one workload first: some "
        "TLS clients compare the name with its dot to the certificate, and some HTTP servers "
        "do not know a Host header with a dot.",
    ),
    Entry(
        "set_ndots",
        "recommendation",
        "Set ndots in the pod's dnsConfig.",
        "With a lower ndots, external names go out as is first and need no suffix.",
        "Paste the patch (the value is a string). The verdict says which names seen would "
        "change: musl never walks the list for a name with enough dots, so service.namespace "
        "stops resolving there at ndots 1.",
    ),
    Entry(
        "full_service_name",
        "recommendation",
        "Write a service of another namespace in full, with its final dot.",
        "service.namespace first misses under the pod's own namespace; the full name with its "
        "final dot is asked once.",
        "Use service.namespace.svc.<cluster domain>. in the configuration.",
    ),
    Entry(
        "drop_suffix",
        "recommendation",
        "Take a suffix out of the search list.",
        "Every name that walks the list is asked under it, and nothing was answered there. Such "
        "suffixes usually come from the node's resolv.conf.",
        "Give the kubelet a resolv.conf without it, or use dnsPolicy None with nameservers, list "
        "and ndots written out (dnsConfig alone only adds to the list). Names that only this "
        "suffix completes stop resolving. A step of a plan takes out the suffixes outside the "
        "cluster domain under which nothing in the capture was answered, and is always to be "
        "reviewed.",
    ),
    Entry(
        "no_aaaa",
        "recommendation",
        "Ask no AAAA where the cluster has no IPv6.",
        "getaddrinfo asks A and AAAA of every candidate, so half of the queries are AAAA.",
        "Set the option no-aaaa (glibc 2.36 and later), or let CoreDNS answer AAAA with NOERROR "
        "and nothing: never with NXDOMAIN, which musl takes for an absent name.",
    ),
    Entry(
        "cache",
        "recommendation",
        "Keep answers on each node.",
        "Most resolvers keep none, so the same questions come again within their TTL.",
        "Run NodeLocal DNSCache, or see to the TTLs in CoreDNS' cache plugin.",
    ),
    Entry(
        "enable_autopath",
        "recommendation",
        "Let CoreDNS walk the search list in the client's stead.",
        "The first question is then answered with what the whole list would find.",
        "Needs 'pods verified' (CoreDNS watches all pods) and the pods' own addresses; a reused "
        "address can get another namespace's answer. Prefer a lower ndots.",
    ),
)
