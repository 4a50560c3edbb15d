"""How each resolver walks, by hand from its sources, and what a resolv.conf says."""

from __future__ import annotations

import pytest

from pcapkit.errors import UsageError
from pcapkit.pipeline.options import make_options, parse_time
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import parse_resolv_conf
from pcapkit.resolver.search import candidates

LIST = ("ns.svc.z", "svc.z", "z")


def walk(name: str, model: str, ndots: int) -> list[str]:
    return list(candidates(name, LIST, ndots=ndots, model=resolver_model(model)))


@pytest.mark.parametrize(
    "model",
    ["glibc", "musl", "go", "c-ares", "dnspython", "bind-nslookup", "hickory", "grpc", "unknown"],
)
def test_fewer_dots_than_ndots_walk_the_list_first(model: str) -> None:
    assert walk("a.b", model, 5) == ["a.b.ns.svc.z", "a.b.svc.z", "a.b.z", "a.b"]


@pytest.mark.parametrize("model", ["glibc", "go", "c-ares", "dnspython", "hickory", "dnsjava"])
def test_as_many_dots_as_ndots_go_as_is_first_and_then_search(model: str) -> None:
    assert walk("a.b", model, 1) == ["a.b", "a.b.ns.svc.z", "a.b.svc.z", "a.b.z"]


@pytest.mark.parametrize("model", ["musl", "bind-nslookup", "bind-host", "busybox"])
def test_some_never_search_a_name_with_enough_dots(model: str) -> None:
    assert walk("a.b", model, 1) == ["a.b"]


def test_dnsjava_asks_no_searched_name_as_is() -> None:
    """dnsjava issue 118: gmail.com fails under ndots 5, though the name exists."""
    assert walk("gmail.com", "dnsjava", 5) == [f"gmail.com.{s}" for s in LIST]
    assert walk("gmail.com", "dnsjava", 1)[0] == "gmail.com"
    only = resolver_model("dnsjava")
    assert candidates("gmail.com", (), ndots=5, model=only) == ("gmail.com",)


def test_jndi_never_searches() -> None:
    assert walk("web", "jndi", 5) == walk("web", "jndi", 0) == ["web"]


@pytest.mark.parametrize("model", ["c-ares@1.27", "grpc"])
def test_ndots_0_once_counted_as_1_in_c_ares(model: str) -> None:
    """c-ares issue 734: under ndots:0 the list came first, until 1.28."""
    assert walk("web", model, 0) == ["web.ns.svc.z", "web.svc.z", "web.z", "web"]
    assert walk("web", "c-ares@1.28", 0)[0] == walk("web", "c-ares", 0)[0] == "web"


@pytest.mark.parametrize(
    ("model", "certain"),
    [
        ("glibc", True),
        ("musl", True),
        ("go", True),
        ("c-ares", True),
        ("c-ares@1.28", True),
        ("dnspython", True),
        ("c-ares@1.27.0", False),
        ("grpc", False),
        ("dnsjava", False),
        ("unknown", False),
    ],
)
def test_which_need_a_final_dot_behind_a_full_name(model: str, certain: bool) -> None:
    assert resolver_model(model).asks_dotted_as_is_first is certain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nsd", "no resolver 'nsd': glibc, musl, go, c-ares,"),
        ("nsd@1.0", "no resolver 'nsd': glibc, musl, go, c-ares,"),
        ("c-ares@", "no release '' of c-ares: write it as 2.36; its rules changed with 1.22, 1.28"),
        ("c-ares@new", "no release 'new' of c-ares: write it as 2.36; its rules changed with 1.22"),
        ("go@1.²", "no release '1.²' of go: write it as 2.36; its rules changed with 1.22"),
        ("jndi@x", "no release 'x' of jndi: write it as 2.36; its rules are those of all releases"),
    ],
)
def test_what_is_no_resolver_is_refused_with_those_that_are(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_options(resolver=text)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_final_dot_goes_as_is_only() -> None:
    assert walk("A.B.", "glibc", 5) == ["a.b"]


def test_busybox_searches_dotless_names_only_and_never_as_is() -> None:
    assert walk("a", "busybox", 1) == ["a.ns.svc.z", "a.svc.z", "a.z"]
    assert walk("a.b", "busybox", 5) == ["a.b"]


def test_musl_at_ndots_0_never_searches() -> None:
    assert walk("a", "musl", 0) == ["a"]
    assert walk("a", "glibc", 0)[0] == "a"


def test_a_candidate_that_is_too_long_is_left_out() -> None:
    long = ".".join(["x" * 60] * 4)
    assert list(candidates(long, ("y" * 20,), ndots=9, model=resolver_model("go"))) == [long]


@pytest.mark.parametrize("bad", ["a..b", ".a", "x" * 64, "\\999.a"])
def test_what_is_no_name(bad: str) -> None:
    with pytest.raises(UsageError):
        walk(bad, "glibc", 5)


def test_resolv_conf() -> None:
    conf = parse_resolv_conf(
        "# a pod\nnameserver 10.96.0.10\ndomain old.example\nsearch A.example. b.example\n"
        "options ndots:20 timeout:2 edns0\n",
        path="x",
    )
    assert conf.nameservers == ("10.96.0.10",)
    assert conf.search == ("a.example", "b.example")
    assert conf.ndots == 15
    assert parse_resolv_conf("nameserver ::1\n", path="x").ndots_in_force == 1


def test_options_with_numbers_that_are_none() -> None:
    """Digits that are no decimal ones, as ², are no number; those of any script are."""
    conf = parse_resolv_conf("options timeout:\u00b2 attempts:\u0663\n", path="x")
    assert conf.number("timeout", 5, 30) == 5
    assert conf.number("attempts", 2, 5) == 3


def test_what_is_no_resolv_conf_names_the_line() -> None:
    with pytest.raises(UsageError, match="f: line 2"):
        parse_resolv_conf("nameserver 1.1.1.1\nserver: yes\n", path="f")
    with pytest.raises(UsageError, match="line 1"):
        parse_resolv_conf("\n# nothing\n", path="f")


def test_times_from_the_command_line() -> None:
    assert parse_time("2021-03-01T01:00:00+01:00", option="x") == 1_614_556_800 * 10**9
    assert parse_time("2021-03-01 00:00:00", option="x") == 1_614_556_800 * 10**9
    assert parse_time("1614556800.5", option="x") == 1_614_556_800_500_000_000
    with pytest.raises(UsageError, match="--to"):
        make_options(time_to="noon")
