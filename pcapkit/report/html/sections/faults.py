"""What is wrong beside waste: what it means, what to do, and the packets that show it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pcapkit.limits import Limits
from pcapkit.model.results import Finding, Results
from pcapkit.model.vocabulary import Severity
from pcapkit.report.html.sections.tables import Context, base_name, table
from pcapkit.report.text.formatting import number, printable
from pcapkit.report.text.wording import certainty_text, client_texts
from pcapkit.words import seconds

_MOST_NAMED = 5


#: Keys of a finding's evidence that have a form of their own on the page.
_SHOWN_APART = ("names", "examples", "display_filter")


def _plain(key: str, value: object) -> str:
    """Return one value of a finding's evidence as a reader wants to see it."""
    if isinstance(value, float):
        return seconds(value) if key.endswith("_s") else f"{value:,.3f}"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')}: {_plain(k, v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(_plain("", v) for v in value)
    return printable(str(value))


#: A key that names a time of its own: ``stalls_of_2_5_s``.
_TIME_OF_KEY = re.compile(r"_(\d+)(?:_(\d+))?_s\Z")


def _what(key: str) -> str:
    """Return a key of the evidence in words."""
    if found := _TIME_OF_KEY.search(key):
        time = found[1] + (f".{found[2]}" if found[2] else "")
        return f"{key[: found.start()].replace('_', ' ')} {time} s"
    return "time lost" if key == "lost_s" else key.removesuffix("_s").replace("_", " ")


def _facts(evidence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a finding counted; rows about subjects are a table of their own."""
    for key, value in evidence.items():
        if key in _SHOWN_APART or _is_table(value):
            continue
        for part in value if isinstance(value, list) else [value]:
            yield _what(key), _plain(key, part)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and "subject" in v for v in value)


def _subjects(code: str, evidence: Mapping[str, Any], limits: Limits) -> Context | None:
    """A table of the subjects that a finding is about: nameservers, suffixes ..."""
    for key, rows in evidence.items():
        if key not in _SHOWN_APART and _is_table(rows):
            columns = list(dict.fromkeys(k for row in rows for k in row if k != "subject"))
            cells = [
                (printable(row["subject"]), *(_plain(k, row.get(k, "")) for k in columns))
                for row in rows
            ]
            signs = ["" if any(isinstance(r.get(k), list) for r in rows) else "#" for k in columns]
            titles = [sign + _what(k) for sign, k in zip(signs, columns, strict=True)]
            what = _what(key)
            one = what.removesuffix("es" if what.endswith("xes") else "s")
            return table(f"{what} of {code}", (f"@{one}", *titles), cells, limits=limits)
    return None


def _finding(finding: Finding, who: Mapping[str, str], limits: Limits) -> Context:
    evidence: Mapping[str, Any] = finding.evidence
    names = [(printable(n["name"]), number(n["count"])) for n in evidence.get("names", ())]
    examples = [
        (
            printable(e["name"]),
            e["client_addr"],
            base_name(e["capture"]),
            ", ".join(str(p) for p in e["packets"]),
        )
        for e in evidence.get("examples", ())
    ]
    clients = ", ".join(who.get(c, c) for c in finding.clients[:_MOST_NAMED])
    if (more := finding.concerns - _MOST_NAMED) > 0:
        clients += f" and {number(more)} more"
    return {
        "code": finding.code,
        "title": finding.title,
        "severity": finding.severity.value,
        "doubt": certainty_text(finding),
        "excludes": [printable(rival) for rival in finding.excludes],
        "clients": clients,
        "meaning": finding.meaning,
        "action": finding.action,
        "facts": list(_facts(evidence)),
        "subjects": _subjects(finding.code, evidence, limits),
        "names": table(
            f"names of {finding.code}", ("@name", "#count"), names, limits=limits, first=5
        ),
        "examples": table(
            f"packets of {finding.code}",
            ("@name", "@client", "@capture", "packets"),
            examples,
            limits=limits,
            first=5,
        ),
        "filter": evidence.get("display_filter"),
    }


def faults(analysis: Results) -> Context | None:
    """Faults that cost time or answers, or may."""
    return _findings(analysis, [f for f in analysis.findings if f.severity is not Severity.INFO])


def minor(analysis: Results) -> Context | None:
    """What is worth knowing, and costs little."""
    return _findings(analysis, [f for f in analysis.findings if f.severity is Severity.INFO])


def _findings(analysis: Results, findings: list[Finding]) -> Context | None:
    who = client_texts(analysis)
    return {"findings": [_finding(f, who, analysis.limits) for f in findings]} if findings else None
