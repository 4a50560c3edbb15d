"""Every reader that takes bytes from others: damaged input gives a result, or an error of ours."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import corpora
from tests.fuzz.outcomes import Target, outcome
from tests.fuzz.replay import replayed
from tests.fuzz.run import main
from tests.fuzz.targets import TARGETS
from tests.fuzz.test_kernels import SETTINGS, mutated

_SHARE = 4  # of the examples that whole captures get


@pytest.fixture
def inputs(target: Target) -> list[bytes]:
    return [*target.seeds(), *corpora.kept(target)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(SETTINGS, max_examples=max(10, SETTINGS.max_examples // _SHARE))
@given(data=st.data())
def test_damaged_input(target: Target, inputs: list[bytes], data: st.DataObject) -> None:
    """What is kept and the seeds, with bytes changed, lost and doubled."""
    assert outcome(target, data.draw(mutated(inputs)))[0] in ("read", "refused")


_LONG = 60_000  # characters; a program that looks at each pair of them takes minutes
_TCPDUMP = b"12:00:00.000000 IP 10.96.0.10.53 > 10.0.0.1.4000: 7 1/0/0 A 192.0.2.1"
_HUBBLE = b"10:00:00.000 a/b:1 (ID:1) %s c/d:53 (ID:2) dns-re%s proxy FORWARDED (DNS %s"
LONG_LINES = {
    "blanks in front": ("text", b" " * _LONG + _TCPDUMP),
    "blanks in a frame": ("text", b"|" + b" " * _LONG + _TCPDUMP),
    "a heading of dashes": ("text", b"--- x" + b"-" * _LONG + b"x\n" + _TCPDUMP),
    "blanks among records": ("tcpdump text", _TCPDUMP + b" " * _LONG + b", A 192.0.2.2 (61)"),
    "quotes without an end": ("tcpdump text", _TCPDUMP + b', TXT "' + b'\\"' * (_LONG // 2)),
    "a word like a name": ("CoreDNS log", b"udp NOERROR a. " + b"a" * _LONG + b"/"),
    "a word like an address": ("CoreDNS log", b"udp NOERROR a. " + b"0:" * (_LONG // 2) + b"/"),
    "errors without an end": (
        "CoreDNS log",
        b"[ERROR] plugin/errors: 2 a. A: NOERROR udp b. " + b"->a " * (_LONG // 4),
    ),
    "blanks in a question": (
        "Hubble text",
        _HUBBLE % (b"->", b"quest", b"Query a" + b" " * _LONG + b". A)"),
    ),
    "a word in an answer": (
        "Hubble text",
        _HUBBLE % (b"<-", b"sponse", b"Answer RCode: " + b"a" * _LONG + b")"),
    ),
    "blanks of no flow": ("Hubble text", b"dns-re -> " + b" " * _LONG + b"x" * 1000),
}


def test_long_lines_take_no_longer_than_they_are() -> None:
    """Blanks and words that could be taken apart in many ways: nothing tries them all."""
    found = replayed("compiled", list(LONG_LINES.values()), timeout=120)
    assert [outcome[0] for outcome in found] == ["read"] * len(LONG_LINES)


def test_seeds_are_read() -> None:
    """Each target begins with input that its reader takes."""
    for target in TARGETS:
        assert "read" in {outcome(target, data)[0] for data in target.seeds()}, target.name


def test_a_guided_search_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A search by coverage, of all targets: so many seconds as PCAPKIT_FUZZ_SECONDS says."""
    pytest.importorskip("atheris", reason="atheris is not installed")
    seconds = os.environ.get("PCAPKIT_FUZZ_SECONDS", "20")
    assert main(["--seconds", seconds, "--executions", "20000", "--search-only"]) == 0
    assert capsys.readouterr().out.count("|") > len(TARGETS)
