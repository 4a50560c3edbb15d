"""Verdicts as JUnit XML, as Jenkins, GitLab and others read it: a suite a rule, a case a subject.

It has no times: the same verdicts give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from pcapkit.batch.gate.judge import State, Verdict
from pcapkit.report.text.formatting import printable

#: What XML 1.0 has no way to hold (section 2.2), and the characters that are none.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _clean(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", printable(text))


def render_junit(verdicts: Sequence[Verdict]) -> bytes:
    """Return JUnit XML in UTF-8; what is not judged is a case that was skipped."""
    suites: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        suites.setdefault(verdict.rule.text, []).append(verdict)
    root = ElementTree.Element("testsuites", _counts("pcapkit", verdicts))
    for rule, mine in suites.items():
        skipped = {"skipped": str(_count(mine, State.NOT_JUDGED))}
        suite = ElementTree.SubElement(root, "testsuite", _counts(rule, mine) | skipped)
        for verdict in mine:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                {"classname": f"pcapkit.{verdict.rule.check}", "name": _clean(verdict.subject)},
            )
            reason = _clean(verdict.reason)
            if verdict.state is State.FAILED:
                about = {"type": str(verdict.rule.check), "message": reason}
                ElementTree.SubElement(
                    case, "failure", about
                ).text = f"{_clean(rule)}: {_clean(verdict.subject)}: {reason}"
            elif verdict.state is State.NOT_JUDGED:
                ElementTree.SubElement(case, "skipped", {"message": reason})
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _count(verdicts: Sequence[Verdict], state: State) -> int:
    return sum(v.state is state for v in verdicts)


def _counts(name: str, verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {
        "name": _clean(name),
        "tests": str(len(verdicts)),
        "failures": str(_count(verdicts, State.FAILED)),
        "errors": "0",
    }
