"""Which resolver asks, or that several do, by what its pairs and walks look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from pcapkit.model.clients import Client
from tests.analysis.talk import LIST, NAMESPACE, NXDOMAIN, Talk
from tests.build import AAAA, A

Gap = Callable[[Random], int]


def far(dice: Random) -> int:
    """Unrelated IDs."""
    return dice.randrange(5000, 60000)


def close(dice: Random) -> int:
    """IDs of musl's, which are taken from the clock."""
    return dice.randrange(70, 400)


def near(dice: Random) -> int:
    """IDs of musl's in a pod at its CPU limit."""
    return dice.randrange(100, 4000)


def one(_: Random) -> int:
    """IDs that are counted up."""
    return 1


def seldom_far(dice: Random) -> int:
    """IDs of musl's whose process is often kept from running between the two."""
    return far(dice) if dice.random() < 0.35 else close(dice)


def walks(
    talk: Talk,
    gaps: Sequence[Gap],
    *,
    number: int = 40,
    nodata: int | None = None,
    ends: bool = False,
    apart: float = 0.03,
    port: int | None = None,
    edns: bool = False,
) -> None:
    """Walk the list for as many names; the suffix at ``nodata`` has no address, and may end it."""
    dice, at = Random(4), 0.0
    for n in range(number):
        gap = gaps[n % len(gaps)]
        for position, suffix in enumerate((*LIST, "")):
            name = f"v{n % 6}.example.com.{suffix}".rstrip(".")
            ident, own = dice.randrange(5000), port or dice.randrange(20000, 60000)
            is_empty = position == nodata
            how = {"rcode": NXDOMAIN if suffix and not is_empty else 0, "edns": edns}
            for qtype, sent, mine in ((A, at, ident), (AAAA, at + apart, ident + gap(dice))):
                answers = [] if is_empty or how["rcode"] or qtype == AAAA else None
                talk.exchange(
                    sent, name, qtype, port=own, ident=mine, took=0.1, answers=answers, **how
                )
            at += 2 * apart + 0.5
            if is_empty and ends:
                break
        at += 300


def only(talk: Talk, folder: Path, **options: str) -> Client:
    (row,) = talk.analyze(folder, **options).client_rows
    return row


@pytest.mark.parametrize(
    ("gap", "apart", "model"),
    [
        (far, 0.03, "glibc"),
        (far, 0.15, "glibc"),
        (close, 0.03, "musl"),
        (close, 0.15, "musl"),
        (near, 0.03, "musl"),
        (near, 0.15, "musl"),
        (one, 0.03, "unknown"),
    ],
)
def test_libc_by_the_distance_of_its_ids(
    tmp_path: Path, gap: Gap, apart: float, model: str
) -> None:
    """Also beside a server that answers A before AAAA is sent."""
    talk = Talk()
    walks(talk, [gap], apart=apart)
    row = only(talk, tmp_path)
    assert (row.resolver.model, row.mixture) == (model, False)


@pytest.mark.parametrize(("ends", "model"), [(True, "musl"), (False, "glibc")])
@pytest.mark.parametrize("gap", [far, close, seldom_far])
def test_walks_that_end_at_nodata_outweigh_ids(
    tmp_path: Path, gap: Gap, model: str, *, ends: bool
) -> None:
    talk = Talk()
    walks(talk, [gap], nodata=1, ends=ends)
    row = only(talk, tmp_path)
    assert (row.resolver.model, row.mixture_reasons) == (model, ())


@pytest.mark.parametrize("given", [None, "musl"])
def test_the_users_word_on_the_resolver_lifts_the_mixture(
    tmp_path: Path, given: str | None
) -> None:
    talk = Talk()
    walks(talk, [far, close])
    row = only(talk, tmp_path, **({"resolver": given} if given else {}))
    assert row.mixture is (given is None)
    assert given in (None, row.resolver.model)


@pytest.mark.parametrize("gaps", [[far, one], [far]])
def test_ids_that_are_counted_up_beside_random_ones_are_two_tools(
    tmp_path: Path, gaps: Sequence[Gap]
) -> None:
    talk = Talk()
    walks(talk, gaps)
    (*reasons,) = only(talk, tmp_path).mixture_reasons
    assert reasons == (
        ["asks as glibc and a tool that counts its IDs up do"] if len(gaps) > 1 else []
    )


@pytest.mark.parametrize("edns", [True, False])
def test_one_port_for_all_walks_is_c_ares(tmp_path: Path, *, edns: bool) -> None:
    talk = Talk()
    walks(talk, [far], port=40000, edns=edns)
    assert only(talk, tmp_path).resolver.model == "c-ares"


@pytest.mark.parametrize("port", [40000, None])
def test_no_libc_keeps_its_port_from_name_to_name(tmp_path: Path, port: int | None) -> None:
    talk, dice = Talk(), Random(3)
    for n in range(20):
        own = port or 20000 + n
        for k, qtype in enumerate((A, AAAA)):
            name, ident = f"db{n % 5}.{NAMESPACE}", dice.randrange(65536)
            talk.exchange(300 * n + k * 0.05, name, qtype, port=own, ident=ident)
    assert only(talk, tmp_path).resolver.model == ("unknown" if port else "glibc")
