"""Walks by hand, from the resolvers' sources and from what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.resolver.models import gives_up_s, resolver_model, sendings
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import Walk, Zone, walk

LIST = ("ns.svc.z", "svc.z", "z")


def zone(known: Mapping[str, int | tuple[int, int]]) -> Zone:
    """Answer A and AAAA of some names; every other name does not exist."""

    def answer(name: str, qtype: str) -> int:
        outcome = known.get(name, NXDOMAIN)
        if isinstance(outcome, tuple):
            return outcome[qtype == "AAAA"]
        return outcome

    return answer


def look(
    model: str,
    known: Mapping[str, int | tuple[int, int]],
    *,
    name: str = "name.ext",
    ndots: int = 5,
    servers: int = 1,
    options: tuple[str, ...] = (),
    version: str = "",
    search: tuple[str, ...] = LIST,
) -> Walk:
    config = ResolverConfig(
        tuple(f"10.0.0.{n}" for n in range(servers)), search, ndots, options, "resolv.conf"
    )
    return walk(
        name, config, resolver_model(f"{model}@{version}" if version else model), zone(known)
    )


ONLY_A = (ANSWER, NODATA)

#: name.ext under three suffixes, the event at the second, the bare name has an A alone:
#: (event, resolver, query packets, resolves, seconds of waiting)
MEASURED = [
    (NXDOMAIN, "glibc", 8, True, 0.0),
    (NXDOMAIN, "musl", 8, True, 0.0),
    (NXDOMAIN, "go", 8, True, 0.0),
    (NXDOMAIN, "c-ares", 8, True, 0.0),
    (NODATA, "glibc", 8, True, 0.0),
    (NODATA, "musl", 4, False, 0.0),
    (NODATA, "go", 8, True, 0.0),
    (NODATA, "c-ares", 8, True, 0.0),
    (SERVFAIL, "glibc", 10, True, 0.0),
    (SERVFAIL, "musl", 14, False, 5.0),
    (SERVFAIL, "go", 10, True, 0.0),
    (SERVFAIL, "c-ares", 8, False, 0.0),
    (REFUSED, "glibc", 8, True, 0.0),
    (REFUSED, "musl", 6, False, 5.0),
    (REFUSED, "go", 10, True, 0.0),
    (REFUSED, "c-ares", 8, False, 0.0),
    (UNANSWERED, "glibc", 8, True, 10.0),
    (UNANSWERED, "musl", 6, False, 5.0),
    (UNANSWERED, "go", 10, True, 10.0),
    (UNANSWERED, "c-ares", 8, False, 11.6),
    (NODATA, "hickory", 8, True, 0.0),
    (SERVFAIL, "hickory", 12, True, 0.0),
    (REFUSED, "hickory", 12, True, 0.0),
    (UNANSWERED, "hickory", 12, True, 15.0),
    (NODATA, "dnsjava", 4, False, 0.0),
    (SERVFAIL, "dnsjava", 6, False, 0.0),
]


@pytest.mark.parametrize(("event", "model", "packets", "resolves", "waits"), MEASURED)
def test_an_event_at_the_second_suffix(
    event: int, model: str, packets: int, resolves: bool, waits: float
) -> None:
    done = look(model, {"name.ext.svc.z": event, "name.ext": ONLY_A})
    assert done.packets == packets
    assert (done.answered_by == "name.ext") is resolves
    assert done.waited_s == waits


#: A has an answer at the first suffix, AAAA ends otherwise:
#: (AAAA, resolver, packets of A, packets of AAAA, resolves there, seconds of waiting)
ONE_FAMILY = [
    (NXDOMAIN, "glibc", 1, 1, True, 0.0),
    (NXDOMAIN, "musl", 1, 1, False, 0.0),
    (NXDOMAIN, "go", 1, 1, True, 0.0),
    (NXDOMAIN, "c-ares", 1, 1, True, 0.0),
    (SERVFAIL, "glibc", 1, 1, True, 0.0),
    (SERVFAIL, "musl", 1, 10, False, 5.0),
    (SERVFAIL, "go", 1, 2, True, 0.0),
    (UNANSWERED, "glibc", 2, 2, True, 10.0),
    (UNANSWERED, "musl", 1, 2, False, 5.0),
    (UNANSWERED, "go", 1, 2, True, 10.0),
    (UNANSWERED, "c-ares", 1, 1, True, 0.3),
]


@pytest.mark.parametrize(("aaaa", "model", "a_sent", "aaaa_sent", "resolves", "waits"), ONE_FAMILY)
def test_one_family_fails(
    aaaa: int, model: str, a_sent: int, aaaa_sent: int, resolves: bool, waits: float
) -> None:
    done = look(model, {"name.ext.ns.svc.z": (ANSWER, aaaa)})
    assert [s.sent for s in done.steps[:2]] == [a_sent, aaaa_sent]
    assert (done.answered_by is not None) is resolves
    assert done.waited_s == waits


def test_musl_walks_on_where_one_family_does_not_exist() -> None:
    done = look("musl", {"name.ext.ns.svc.z": (ANSWER, NXDOMAIN), "name.ext.z": ANSWER})
    assert done.answered_by == "name.ext.z"


#: the name as is fails, dots >= ndots: (how, resolver, what is asked after it)
AS_IS_FIRST = [
    (NXDOMAIN, "glibc", 3),
    (NXDOMAIN, "go", 3),
    (NXDOMAIN, "c-ares", 3),
    (NXDOMAIN, "musl", 0),
    (NODATA, "glibc", 3),
    (NODATA, "go", 3),
    (NODATA, "c-ares", 3),
    (NODATA, "musl", 0),
    (SERVFAIL, "glibc", 3),
    (SERVFAIL, "go", 3),
    (SERVFAIL, "c-ares", 0),
    (SERVFAIL, "dnspython", 0),
    (SERVFAIL, "musl", 0),
    (SERVFAIL, "bind-nslookup", 0),
    (UNANSWERED, "glibc", 3),
    (UNANSWERED, "go", 3),
    (UNANSWERED, "c-ares", 0),
]


@pytest.mark.parametrize(("event", "model", "after"), AS_IS_FIRST)
def test_after_the_name_as_is(event: int, model: str, after: int) -> None:
    done = look(model, {"name.ext": event}, ndots=1)
    assert [s.candidate for s in done.steps if s.candidate == "name.ext"]
    assert len({s.candidate for s in done.steps}) == 1 + after


def test_glibc_has_asked_as_is_already_when_a_suffix_is_silent() -> None:
    done = look("glibc", {"name.ext.svc.z": UNANSWERED}, ndots=1)
    names = list(dict.fromkeys(s.candidate for s in done.steps))
    assert names == ["name.ext", "name.ext.ns.svc.z", "name.ext.svc.z"]


def test_servers_are_asked_in_turn_or_all_at_once() -> None:
    known = {"name.ext.ns.svc.z": ANSWER}
    assert look("glibc", known, servers=2).packets == 2
    assert look("musl", known, servers=2).packets == 4
    assert look("glibc", {}, servers=2).packets == 8
    silent = dict.fromkeys(("name.ext.ns.svc.z", "name.ext"), UNANSWERED)
    assert look("glibc", silent, servers=2).packets == 16  # two rounds of both, for two names


#: (resolver, nameservers, options, seconds until a silent candidate is given up)
GIVES_UP = [
    ("glibc", 1, (), 10),
    ("glibc", 1, ("timeout:1",), 2),
    ("glibc", 1, ("attempts:3",), 15),
    ("glibc", 1, ("timeout:1", "attempts:9"), 5),
    ("glibc", 2, (), 20),
    ("glibc", 3, (), 2 * (5 + 3 + 6)),
    ("glibc", 3, ("timeout:1",), 2 * (1 + 1 + 1)),
    ("musl", 1, (), 5),
    ("musl", 3, (), 5),
    ("musl", 1, ("timeout:2", "attempts:4"), 2),
    ("go", 1, (), 10),
    ("go", 2, ("timeout:1",), 4),
    ("c-ares", 1, (), 11.6),
    ("dnspython", 1, ("timeout:1",), 5),
    ("busybox", 1, (), 5),
    ("bind-host", 1, (), 10),
    ("hickory", 1, ("timeout:1",), 3),
    ("hickory", 1, ("timeout:1", "attempts:1"), 2),
    ("dnsjava", 2, ("timeout:1", "attempts:1"), 30),
    ("jndi", 1, (), 15),
]


@pytest.mark.parametrize(("model", "servers", "options", "seconds"), GIVES_UP)
def test_timers(model: str, servers: int, options: tuple[str, ...], seconds: float) -> None:
    config = ResolverConfig(tuple("abc"[:servers]), (), None, options, "resolv.conf")
    assert gives_up_s(resolver_model(model), config) == seconds


def test_only_glibc_leaves_aaaa_out() -> None:
    options = ("no-aaaa",)
    assert look("glibc", {"name.ext": ANSWER}, options=options).queries == 4
    assert look("glibc", {"name.ext": ANSWER}, options=options, version="2.35").queries == 8
    for model in ("musl", "go", "c-ares"):
        assert look(model, {"name.ext": ANSWER}, options=options).queries == 8


def test_tools_ask_the_other_family_of_the_hit_alone() -> None:
    done = look("bind-nslookup", {"name.ext": ONLY_A})
    assert [s.qtype for s in done.steps] == ["A", "A", "A", "A", "AAAA"]


def test_busybox_asks_every_suffix_whatever_the_first_says() -> None:
    done = look("busybox", {"web.ns.svc.z": ANSWER}, name="web")
    assert (done.queries, done.answered_by) == (6, "web.ns.svc.z")


@pytest.mark.parametrize(("model", "asked"), [("go", 3), ("glibc", 2), ("musl", 3)])
def test_a_suffix_that_makes_the_name_too_long(model: str, asked: int) -> None:
    name = ".".join(["x" * 60] * 4)
    done = look(model, {}, name=name, search=("s.z", "y" * 20, "z"), ndots=9)
    assert len({s.candidate for s in done.steps}) == asked


#: what is asked under the list "ns.svc.z . z" at ndots 5: (resolver, names)
ROOT_IN_LIST = [
    ("glibc", ["ns", "as is", "z"]),
    ("c-ares", ["ns", "as is", "z"]),
    ("dnspython", ["ns", "as is", "z"]),
    ("dnsjava", ["ns", "as is", "z"]),
    ("musl", ["ns", "z", "as is"]),
    ("go", ["ns", "z", "as is"]),
    ("hickory", ["ns", "z", "as is"]),
    ("jndi", ["as is"]),
]


@pytest.mark.parametrize(("model", "asked"), ROOT_IN_LIST)
def test_the_root_in_the_list(model: str, asked: list[str]) -> None:
    """A list entry "." is the name as is, at that place: glibc's ``root_on_list``, KEP-4427."""
    places = {"name.ext": "as is", "name.ext.ns.svc.z": "ns", "name.ext.z": "z"}
    families = look(model, {}, search=("ns.svc.z", ".", "z")).steps[::2]
    assert [places[s.candidate] for s in families] == asked
    alone = look(model, {}, search=(".",))
    assert {s.candidate for s in alone.steps} == {"name.ext"}
    assert alone.queries == 2  # not asked twice
    behind = look(model, {}, search=("ns.svc.z", "."), ndots=1)
    assert behind.steps[0].candidate == "name.ext"


@pytest.mark.parametrize(
    ("model", "servers", "options", "expected"),
    [
        ("glibc", 1, (), ((0.0, (0,)), (5.0, (0,)))),
        ("glibc", 2, (), ((0.0, (0,)), (5.0, (1,)), (10.0, (0,)), (15.0, (1,)))),
        ("glibc", 3, ("attempts:1",), ((0.0, (0,)), (5.0, (1,)), (8.0, (2,)))),
        ("musl", 2, ("timeout:3",), ((0.0, (0, 1)), (1.5, (0, 1)))),
        ("go", 1, ("timeout:1", "attempts:3"), ((0.0, (0,)), (1.0, (0,)), (2.0, (0,)))),
    ],
)
def test_when_a_question_is_sent_again_and_to_whom(
    model: str,
    servers: int,
    options: tuple[str, ...],
    expected: tuple[tuple[float, tuple[int, ...]], ...],
) -> None:
    config = ResolverConfig(tuple("abc"[:servers]), (), 5, options, "")
    rules = resolver_model(model)
    assert sendings(rules, config) == expected
    assert expected[-1][0] < gives_up_s(rules, config)
    silent = walk("web.", config, rules, lambda *_: UNANSWERED)
    assert silent.steps[0].sent == sum(len(places) for _, places in expected)


def test_the_root_in_the_list_ended_all_lookups_of_musl_before_1_2_4() -> None:
    known = {".": REFUSED, "name.ext": ANSWER}
    assert look("musl", known, search=(".",), version="1.2.3").answered_by is None
    assert look("musl", known, search=(".",)).answered_by == "name.ext"


def test_a_silent_suffix_leads_glibc_to_the_name_as_is_once() -> None:
    before = look("glibc", {"name.ext.ns.svc.z": UNANSWERED}, search=("ns.svc.z", ".", "z"))
    assert [s.candidate for s in before.steps[::2]] == ["name.ext.ns.svc.z", "name.ext"]
    after = look("glibc", {"name.ext.z": UNANSWERED}, search=("ns.svc.z", ".", "z", "svc.z"))
    assert [s.candidate for s in after.steps[::2]][-1] == "name.ext.z"


def test_onion_names_are_never_sent() -> None:
    """Go asks them under the search list since 1.22 (golang/go#60678), c-ares not at all."""
    for ndots in (1, 5):
        asked = [s.candidate for s in look("go", {}, name="hidden.onion", ndots=ndots).steps]
        assert asked == [f"hidden.onion.{s}" for s in LIST for _ in "46"]
    assert look("go", {}, name="hidden.onion.").steps == ()
    assert look("go", {}, name="hidden.onion", version="1.21").steps == ()
    assert look("c-ares", {}, name="hidden.onion").steps == ()
    assert look("go", {}, name="onion").queries == look("c-ares", {}, name="onion").queries == 8
    assert look("glibc", {}, name="hidden.onion").queries == 8


def test_lists_that_are_too_long() -> None:
    eight = tuple(f"suffix-number-{n}.of.a.long.list.example" for n in range(8))
    assert look("musl", {}, search=eight).queries == 2  # 8 * 39 characters: no list at all
    assert look("glibc", {}, search=eight).queries == 18
    assert look("glibc", {}, search=eight, version="2.25").queries == 14
    assert look("musl", {}, search=LIST, version="1.1.12").queries == 2


def test_ndots_is_capped_at_15() -> None:
    deep = ".".join("abcdefghijklmnop")  # 15 dots
    assert look("glibc", {}, name=deep, ndots=99).steps[0].candidate == deep
