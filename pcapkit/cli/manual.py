"""The manual behind ``pcapkit explain``: every code that a result may hold, and what to do."""

from __future__ import annotations

import textwrap
from functools import cache

from pcapkit.errors import UsageError
from pcapkit.limits import listed
from pcapkit.model.manual import NOTHING_TO_DO, Entry

_WORDS: tuple[Entry, ...] = (
    Entry(
        "ndots",
        "word",
        "The resolv.conf option that decides whether a name goes out as is first, or walks the "
        "search list first.",
        "Resolvers compare dots >= ndots (often told as 'more dots than ndots', which is wrong "
        "by one): a name with at least ndots dots goes out as is first; one with fewer walks "
        "the list first. Kubernetes writes ndots:5, so that even "
        "_port._tcp.service.namespace.svc finds its suffix; nearly every external name has "
        "fewer dots.",
        "Write a final dot to go out as is only, or set ndots in the pod's dnsConfig.",
    ),
    Entry(
        "gate",
        "word",
        "Rules that a run must keep to: --fail-on makes the exit status 1 where one does not hold.",
        "waste>30%: wasted queries of those of complete lookups; nxdomain>0.5: NXDOMAIN of all "
        "queries; lookup_p95>50ms: 95 of 100 complete lookups end within it; queries>+5%: growth "
        "of the queries of a lookup since before; new_waste: names that were not wasted before; "
        "fault:CODE and fault:any: faults that are shown. shop/web:waste>30% means one workload, "
        "shop/*:waste>30% each of a namespace, a rule alone each capture and all together. Of "
        "fewer than 20 complete lookups nothing is concluded, and nothing fails.",
        "Give several with commas, or a line each in a file: --fail-on @rules.txt.",
    ),
    Entry(
        "vantage",
        "word",
        "From where the capture was taken: pod, node, cluster_dns, upstream or unknown.",
        "It decides what cannot be seen: other pods from a pod, pods on other nodes from a node, "
        "answers of caches in front of the cluster's DNS from there, and who asked upstream of "
        "it. The report says which it is, and by what that is known; vantage in analysis.json.",
        "Where what you look for cannot be seen from there, capture in the pod, or on its node's "
        "side of the pod.",
    ),
    Entry(
        "truth",
        "word",
        "What a generated capture holds, exactly: plain.truth.json beside plain.pcap.",
        "It is counted from what was decided to be sent, by the rules of resolvers, and no "
        "analysis has a part in it: lookups, queries, retries, waste classes, names, each client's "
        "settings, and the faults that show (null where options change what does).",
        "Hold an analysis, a gate or a dashboard against it; 'pcapkit generate' lists scenarios.",
    ),
)
_VERDICTS: tuple[Entry, ...] = (
    Entry(
        "safe",
        "verdict",
        "Every name that was seen still resolves, at the same name, and none is asked upstream "
        "first that the cluster answers.",
        "It is said of what was seen: each complete lookup is replayed by the rules of its "
        "client's own resolver. Below ten minutes of capture the report adds how long it was.",
        "Make the change. After a capture of less than ten minutes, capture for longer before you "
        "roll it out.",
    ),
    Entry(
        "review",
        "verdict",
        "No lookup that was seen breaks, but something is to be decided first: the reasons beside "
        "the verdict say what.",
        "Names of the cluster would be asked upstream first, the prediction rests on answers that "
        "the capture does not show, the capture is thin (fewer than 20 complete lookups, 5 names, "
        "or one second), or the change has a caveat of its own, such as a name that TLS and HTTP "
        "see as well.",
        "Read the reasons, and make the change where they do not matter to you; try it on one "
        "workload.",
    ),
    Entry(
        "unsafe",
        "verdict",
        "A lookup that resolved would fail, or could reach another host.",
        "It would be answered by another name, or be asked as is first although its last label is "
        "a real top-level domain (web.dev), where somebody else may answer.",
        "Do not make the change; write the names that it would break in full first. No plan has "
        "such a step.",
    ),
)
_SETTINGS: tuple[Entry, ...] = (
    Entry(
        "in_force",
        "setting",
        "What the clients have now: the row that all other settings are held against.",
        "Its counts are those of the capture, and nothing in it is assumed.",
        NOTHING_TO_DO,
    ),
    Entry(
        "fqdn",
        "setting",
        "A final dot on every name; fqdn:10 on the ten that cost most.",
        "A name with a final dot is asked as it is, and never walks the search list.",
        "Write the names so where they are configured; see use_fqdn and full_service_name. "
        "Server names of TLS and Host headers may not like the dot.",
    ),
    Entry(
        "fqdn+ndots",
        "setting",
        "Another ndots, with a final dot on those names alone that it would harm.",
        "A lower ndots asks service names upstream first, or no longer finds them: these are "
        "written in full in the same roll-out.",
        "Change dnsConfig and the names together; 'pcapkit fix' writes both.",
    ),
    Entry(
        "cluster_names_in_full",
        "setting",
        "Services of other namespaces written in full, with a final dot; nothing else changes.",
        "Such a name is asked under the pod's own namespace first, and misses there.",
        "See full_service_name.",
    ),
    Entry(
        "drop",
        "setting",
        "The search list without one suffix, as drop:example.internal.",
        "Every name that walks the list is asked under it.",
        "See drop_suffix: names that only this suffix completes stop resolving.",
    ),
    Entry(
        "no_aaaa",
        "setting",
        "No query of type AAAA; all else as it is.",
        "Lookups that ask for both families lose half of their queries.",
        "The recommendation of the same code says how, and when not to.",
    ),
    Entry(
        "autopath",
        "setting",
        "CoreDNS walks the search list for its clients (plugin autopath).",
        "A name without an answer under the first suffix costs one query for each family then.",
        "The plugin needs 'pods verified', which costs memory, and it does not get along with "
        "Cilium's toFQDNs policies.",
    ),
    Entry(
        "cache",
        "setting",
        "A cache on the node or in the pod that keeps answers for as long as they are valid.",
        "Repeated questions do not reach the cluster's DNS; the walks of the list stay.",
        "The recommendation of the same code says how: NodeLocal DNSCache.",
    ),
)
_MARKS: tuple[Entry, ...] = (
    Entry(
        "ambiguous",
        "mark",
        "The first name answered at once, so it can be read several ways.",
        "web and web.default.svc.cluster.local give the same packets then.",
        "Nothing: no waste is at stake.",
    ),
    Entry(
        "repeated",
        "mark",
        "The same client asked the same question again while the last answer was still valid.",
        "Most resolvers keep no cache.",
        "A node-local cache answers these without the network.",
    ),
    Entry(
        "forwarded",
        "mark",
        "A miss that came without the AA flag: the cluster's DNS had to ask upstream.",
        "The name is outside the zones that the cluster's DNS holds.",
        "Such misses cost most: they leave the cluster.",
    ),
)


@cache
def entries() -> tuple[Entry, ...]:
    """Return the whole manual: the entries here, and those that stand beside their rules."""
    from pcapkit.analysis.advice.manual import ADVICE_MANUAL, PLAN_MANUAL
    from pcapkit.analysis.faults.catalogue import FAULTS
    from pcapkit.analysis.lookups.waste import WASTE_MANUAL
    from pcapkit.ingest.skip_reasons import SKIP_MANUAL

    here = (
        _WORDS
        + _SETTINGS
        + _VERDICTS
        + WASTE_MANUAL
        + PLAN_MANUAL
        + ADVICE_MANUAL
        + _MARKS
        + SKIP_MANUAL
    )
    faults = tuple(
        Entry(f.code, "fault", f"{f.title}.", f.meaning, f.whole_action, f.signature, f.rivals)
        for f in FAULTS
    )
    return here + faults + _limits()


def _limits() -> tuple[Entry, ...]:
    """Return an entry for each limit; its value is what it is unless an option says otherwise."""
    return tuple(
        Entry(
            limit.name,
            "limit",
            limit.of,
            f"{limit.value:,} {limit.unit}. Beyond: {limit.crossed}",
            f"--limit {limit.name}=N, on every command that reads captures, changes it; in "
            f'pcapkit.toml: limit = ["{limit.name}=N"].',
        )
        for limit in listed()
    )


def render_limits() -> str:
    """Return all limits as text, each with its value and what happens beyond it."""
    lines = ["limits, changed with --limit NAME=VALUE:"]
    for limit in listed():
        lines.append(f"\n{limit.name}  ({limit.value:,} {limit.unit})")
        lines += [_wrapped("of", limit.of), _wrapped("then", limit.crossed)]
    return "\n".join(lines) + "\n"


def explain(code: str) -> tuple[Entry, ...]:
    """Return the entries of a code, or of a setting's text such as ``ndots:2``.

    There are two where a fault or a recommendation is a setting as well. Raises UsageError
    listing close ones.
    """
    from difflib import get_close_matches

    wanted = code.strip().lower().partition(":")[0].replace("-", "_")
    if found := tuple(entry for entry in entries() if entry.code == wanted):
        return found
    close = get_close_matches(wanted, [e.code for e in entries()], cutoff=0.5)
    hint = f"; did you mean {', '.join(close)}?" if close else "; 'pcapkit explain' lists all"
    raise UsageError(f"no code {code!r}{hint}")


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(text, 78, initial_indent=f"  {label:<6}", subsequent_indent=" " * 8)


def render_entry(entry: Entry) -> str:
    """Return one entry as text."""
    parts = (
        ("what", entry.meaning),
        ("why", entry.why),
        ("sign", entry.signature),
        ("not", entry.excludes),
        ("do", entry.action),
    )
    lines = [f"{entry.code}  ({entry.kind})", *(_wrapped(k, text) for k, text in parts if text)]
    return "\n".join(lines) + "\n"


def render_all() -> str:
    """Return every code with its first sentence, by kind."""
    lines = []
    for kind in dict.fromkeys(e.kind for e in entries()):
        lines.append(f"{kind}:")
        for entry in (e for e in entries() if e.kind == kind):
            text = f"  {entry.code:<21} {entry.meaning}"
            lines.append(textwrap.fill(text, 80, subsequent_indent=" " * 24))
        lines.append("")
    return "\n".join([*lines, "pcapkit explain CODE says why, and what to do.", ""])
