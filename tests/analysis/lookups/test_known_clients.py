"""Clients that are known from the field: each of their lookups is one, and whole where it is."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path
from random import Random

import pytest

from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, NXDOMAIN, REFUSED, SERVFAIL, ZONE, Talk
from tests.build import AAAA, A

DEAD = "10.96.0.99"
WALK = (*(f"api.example.com.{suffix}" for suffix in LIST), "api.example.com")


@pytest.mark.parametrize("timer", [1000, 2000, 5000])
def test_a_race_within_walks_of_glibc(tmp_path: Path, timer: int) -> None:
    """Under ``options timeout``: both of a pair are sent again, under their IDs; one walk still."""
    talk, dice, at = Talk(), Random(timer), 0.0
    for number in range(40):
        raced = dice.randrange(len(WALK)) if number % 3 == 0 else None
        for place, name in enumerate(WALK):
            port = 20000 + 10 * number + place
            idents = {A: dice.randrange(1 << 16), AAAA: dice.randrange(1 << 16)}
            rcode = NXDOMAIN if place < 3 else 0
            for k, qtype in enumerate((A, AAAA)):
                lost = place == raced and qtype == AAAA
                how = {"port": port, "ident": idents[qtype], "rcode": rcode}
                talk.exchange(at + k / 50, name, qtype, took=None if lost else 0.3, **how)
            if place == raced:
                at += timer + dice.uniform(1, 9)
                for k, qtype in enumerate((A, AAAA)):
                    how = {"port": port, "ident": idents[qtype], "rcode": rcode}
                    talk.exchange(at + k / 2, name, qtype, **how)
            at += 1.2
        at += 300
    analysis = talk.analyze(tmp_path)
    assert analysis.lookups["queries"].tolist() == [8] * 40
    assert analysis.lookups["retries"].tolist() == [2 if n % 3 == 0 else 0 for n in range(40)]
    assert analysis.lookups["complete"].all()
    race = next(f for f in analysis.findings if f.code == "conntrack_race")
    assert race.evidence["lost_queries"] == 14


def test_envoy_walks_the_list_at_every_refresh(tmp_path: Path) -> None:
    """Every 5 s, each time from a new port, for full service names as well."""
    talk = Talk()
    names = ("api.example.com", f"web.{NAMESPACE}")
    for refresh in range(12):
        for which, base in enumerate(names):
            at, port = 5000 * refresh + 7 * which, 41000 + 2 * refresh + which
            talk.walk(at, base, port=port, edns=True)
    lookups = talk.analyze(tmp_path).lookups
    assert lookups["queries"].tolist() == [8] * 24
    assert sorted(set(lookups["base_name"])) == sorted(names)
    assert not lookups["retries"].any() and lookups["complete"].all()


@pytest.mark.parametrize("rcode", [0, NXDOMAIN])
@pytest.mark.parametrize("every", [1000, 10000])
def test_haproxy_keeps_one_id_over_rounds(tmp_path: Path, rcode: int, every: int) -> None:
    """AAAA first, then A, under one ID and from one port for ever: a lookup a round."""
    talk = Talk()
    for k in range(15):
        for which, name in enumerate((f"db.{NAMESPACE}", "api.example.com")):
            how = {"port": 45000, "ident": 4711 + which, "rcode": rcode}
            talk.exchange(every * k + 3 * which, name, AAAA, answers=[], **how)
            talk.exchange(every * k + 3 * which + 1, name, A, **how)
    lookups = talk.analyze(tmp_path).lookups
    assert lookups["queries"].tolist() == [2] * 30
    assert not lookups["retries"].any()


def test_dnspython_runs_out_of_its_lifetime_beside_a_dead_nameserver(tmp_path: Path) -> None:
    """It waits 2 s for the first nameserver at each candidate, and 5 s for all of them."""
    talk, dice = Talk(), Random(5)
    for number in range(10):
        base, at = f"api{number}.example.com", 8000.0 * number
        for place, suffix in enumerate(LIST):
            name = f"{base}.{suffix}"
            talk.exchange(at, name, A, took=None, server=DEAD)
            if place < 2:
                at += 2001 + dice.random()
                talk.exchange(at, name, A, rcode=NXDOMAIN)
                at += 1
    for number in range(3):  # the nameserver is alive again: these show the whole list
        for place, suffix in enumerate((*LIST, "")):
            name = f"www{number}.example.org.{suffix}".rstrip(".")
            rcode = NXDOMAIN if suffix else 0
            talk.exchange(100000 + 900 * number + place, name, A, rcode=rcode, server=DEAD)
    analysis = talk.analyze(tmp_path)
    assert analysis.client_rows[0].search == LIST
    assert analysis.lookups["queries"].tolist() == [3] * 10 + [4] * 3
    assert analysis.lookups["retries"].tolist() == [2] * 10 + [0] * 3
    assert analysis.lookups["complete"].all()
    assert not {"nonexistent", "external"} & set(analysis.lookups["kind"][:10])


@pytest.mark.parametrize("tries", [1, 2])
def test_a_last_lookup_that_timed_out_for_good_is_whole(tmp_path: Path, tries: int) -> None:
    """A question that was sent again and never answered waits for nothing more."""
    talk = Talk()
    for number in range(5):
        talk.walk(1000 * number, "api.example.com")
    for place, suffix in enumerate(LIST):
        talk.pair(9000 + place, f"www.example.org.{suffix}", rcode=NXDOMAIN)
    for k in range(tries):
        for qtype in (A, AAAA):
            at, ident = 9003 + 5000 * k + qtype / 100, 100 * qtype
            talk.exchange(at, "www.example.org", qtype, took=None, port=39000, ident=ident)
    last = talk.analyze(tmp_path).lookups.iloc[-1]
    assert (last["queries"], last["retries"]) == (8, 2 * (tries - 1))
    assert bool(last["complete"]) is (tries > 1)


@pytest.mark.parametrize(
    ("model", "rcode"),
    [
        *product(("musl", "dnspython", "bind-nslookup"), (0, SERVFAIL, REFUSED)),
        *product(("c-ares",), (SERVFAIL, REFUSED)),  # which goes on after NODATA
    ],
)
def test_a_name_behind_a_suffix_that_cuts_its_walk_may_exist(
    tmp_path: Path, model: str, rcode: int
) -> None:
    """It was never asked: a final dot or a lower ndots gets it past the suffix."""
    talk, said = Talk(), {0: "nodata", SERVFAIL: "servfail", REFUSED: "refused"}
    corp = (*LIST, "corp.example.net", "example.net")
    for number in range(4):
        for which, suffix in enumerate(("", "corp.example.net")):
            base, at = f"{'api' if suffix else 'www'}{number}.example.com", 4000 * number
            for place, name in enumerate((*(f"{base}.{s}" for s in corp), base)):
                ends = name.endswith("corp.example.net") and bool(suffix)
                denied = place < 5 and not ends
                how = {"rcode": NXDOMAIN if denied else rcode if ends else 0}
                if ends:
                    how["answers"] = []
                types = (A,) if model in ("dnspython", "bind-nslookup") else (A, AAAA)
                for qtype in types:
                    port = 30000 + 100 * number + 10 * which + (0 if model == "c-ares" else place)
                    own = at + 2000 * which + place + qtype / 100
                    talk.exchange(own, name, qtype, port=port, edns=model == "c-ares", **how)
                if ends:
                    break
    analysis = talk.analyze(tmp_path, resolver=model)
    cut = next(f for f in analysis.findings if f.code == "cut_chain")
    assert cut.evidence["suffixes"] == [
        {
            "subject": "corp.example.net",
            "lookups": 4,
            f"{said[rcode]}_responses": 4 * len(types),
            "never_asked_as_is": 4,
            "lookups_without_answer": 4,
        }
    ]
    assert "final dot" in cut.action and "lower ndots" in cut.action
    kinds = {n.base_name: n.kind for n in analysis.name_rows}
    assert {kinds[f"api{n}.example.com"] for n in range(4)} == {"unknown"}
    advised = next(r for r in analysis.recommendations if r.code == "set_ndots")
    assert advised.ndots == 2 and advised.safety == "review"  # as no answer shows that it exists


def printed(folder: Path, capture: str, flags: str) -> str:
    """Return a file with what tcpdump prints of a capture; the test skips without tcpdump."""
    program = shutil.which("tcpdump")
    if program is None:
        pytest.skip("tcpdump is not installed")
    text = subprocess.run(
        [program, *flags.split(), "-r", capture], capture_output=True, check=True, env={"TZ": "UTC"}
    ).stdout
    return build.save(folder, text, f"printed{flags.replace(' ', '')}.txt")


def shown(analysis: Analysis) -> list[tuple[object, ...]]:
    """Return what an analysis says of each lookup, times left out."""
    columns = ["client_addr", "base_name", "queries", "retries", "outcome", "complete"]
    rows = analysis.lookups[columns].itertuples(index=False, name=None)
    names = (tuple(c) for c in analysis.lookups["candidates"])
    return [(*row, *mine) for row, mine in zip(rows, names, strict=True)]


@pytest.mark.parametrize("flags", ["-nt", "-ntt", "-nttt", "-ntttt", "-nttttt"])
@pytest.mark.parametrize("detail", ["", " -vv"])
def test_all_times_that_tcpdump_prints_give_the_same_lookups(
    tmp_path: Path, flags: str, detail: str
) -> None:
    """Differences (-ttt), seconds, dates, since the beginning; without times (-t), the order."""
    talk, dice = Talk(), Random(1)
    at = 0.0
    for number in range(30):
        base = ("api.example.com", "web", "www.example.org")[number % 3]
        talk.walk(at, base, ends_at=0 if base == "web" else None)
        at += dice.uniform(100, 9000)
    if flags != "-nt":  # where nothing says that a query was sent again after a timer
        name = f"cache.{ZONE}"
        for k, took in enumerate((None, 0.3)):
            for qtype in (A, AAAA):
                how = {"port": 20000, "ident": 7 * qtype, "rcode": NXDOMAIN}
                talk.exchange(at + 5004 * k + qtype / 100, name, qtype, took=took, **how)
        talk.walk(at + 9000, "api.example.com")
    capture = build.save(tmp_path, talk.capture())
    found = analyze(printed(tmp_path, capture, flags + detail))
    assert shown(found) == shown(analyze(capture))
    assert found.client_rows[0].search == LIST
