"""ndots set in any pod's spec, however it is written: the rest stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pcapkit.manifests.dns_config import Wanted, set_dns
from pcapkit.manifests.documents import Unreadable, applied, entry, read_documents

WORDS = st.sampled_from(["a", "b", "x-y", "# no comment", "it's", 'say "so"', "", "yes", "1", "é"])
NDOTS = Wanted(2)
OPTION = st.one_of(
    st.builds(lambda n: {"name": n}, st.sampled_from(["edns0", "rotate", "ndots"])),
    st.builds(
        lambda n, v: {"name": n, "value": v},
        st.sampled_from(["timeout", "attempts", "ndots"]),
        st.sampled_from(["1", "5"]),
    ),
)
CONFIG = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "nameservers": st.lists(WORDS, max_size=2),
            "options": st.one_of(
                st.none(), st.lists(OPTION, max_size=3, unique_by=lambda o: o["name"])
            ),
            "searches": st.lists(WORDS, max_size=2),
        },
    ),
)
CONTAINER = st.fixed_dictionaries(
    {"name": WORDS}, optional={"args": st.lists(WORDS, max_size=3), "image": WORDS}
)
SPEC = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINER, max_size=2)},
    optional={"dnsConfig": CONFIG, "dnsPolicy": st.sampled_from(["None", "Default"])},
)


class _Indented(yaml.SafeDumper):
    """Writes lists deeper than their keys."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def expected(spec: dict[str, Any], ndots: str) -> dict[str, Any]:
    config = dict(spec.get("dnsConfig") or {})
    options = [dict(o) for o in config.get("options") or []]
    mine = [o for o in options if o["name"] == "ndots"] or [{"name": "ndots"}]
    mine[0]["value"] = ndots
    if mine[0] not in options:
        options.append(mine[0])
    return {**spec, "dnsConfig": {**config, "options": options}}


def changed(text: str, wanted: Wanted = NDOTS) -> str:
    (document,) = read_documents(text)
    found = entry(document.root, "spec")
    assert found is not None
    changes = set_dns(document, *found, wanted)
    return applied(text, list(dict.fromkeys(e for c in changes for e in c.edits)))


@given(
    spec=SPEC,
    flow=st.sampled_from([True, False, None]),
    indent=st.sampled_from([2, 4]),
    dumper=st.sampled_from([yaml.SafeDumper, _Indented]),
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
    more=st.booleans(),
)
def test_the_option_is_set_and_nothing_else_changes(
    spec: dict[str, Any],
    flow: bool | None,
    indent: int,
    dumper: type[yaml.SafeDumper],
    newline: str,
    ends: bool,
    more: bool,
) -> None:
    whole = {"kind": "Pod", "spec": spec} | ({"status": {"a": "b"}} if more else {})
    text = yaml.dump(
        whole,
        Dumper=dumper,
        default_flow_style=flow,
        indent=indent,
        sort_keys=False,
        allow_unicode=True,
    )
    text = text.replace("\n", newline)
    if not ends:
        text = text.rstrip("\r\n")
    done = changed(text)
    assert yaml.safe_load(done) == {**whole, "spec": expected(spec, "2")}
    assert changed(done) == done
    if not flow and "{" not in text and "[" not in text:  # blocks: lines are added, or one changes
        old, new = text.split(newline), done.split(newline)
        assert len([line for line in old if line not in new]) <= 1
    assert ("\n" in done.replace("\r\n", "")) == ("\n" in text.replace("\r\n", ""))


@given(
    spec=SPEC,
    flow=st.sampled_from([True, False, None]),
    dumper=st.sampled_from([yaml.SafeDumper, _Indented]),
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
    servers=st.one_of(st.none(), st.just(("10.0.0.1",)), st.just(("10.0.0.1", "b", "10.0.0.2"))),
    searches=st.sampled_from([(), ("a",), ("c.d", "a", "e.f", "b"), ("1", "c.d")]),
    ndots=st.sampled_from([None, 2]),
)
def test_lists_are_set_and_nothing_else_changes(
    spec: dict[str, Any],
    flow: bool | None,
    dumper: type[yaml.SafeDumper],
    newline: str,
    ends: bool,
    servers: tuple[str, ...] | None,
    searches: tuple[str, ...],
    ndots: int | None,
) -> None:
    """What is in a list and stays keeps its place; an order that is another one is refused."""
    text = yaml.dump(
        {"kind": "Pod", "spec": spec},
        Dumper=dumper,
        default_flow_style=flow,
        sort_keys=False,
        allow_unicode=True,
    ).replace("\n", newline)
    text = text if ends else text.rstrip("\r\n")
    wanted = Wanted(ndots, "None" if servers else None, servers, searches)
    try:
        done = changed(text, wanted)
    except Unreadable as problem:
        assert "in another order, or twice" in problem.problem or "has a comment" in problem.problem
        return
    found = yaml.safe_load(done)["spec"]
    assert changed(done, wanted) == done
    config = found.get("dnsConfig") or {}
    assert tuple(config.get("searches") or ()) == searches
    if servers is not None:
        assert (found["dnsPolicy"], tuple(config["nameservers"])) == ("None", servers)
    options = expected(spec, "2")["dnsConfig"]["options"]
    before = spec.get("dnsConfig") or {}
    assert (config.get("options") or []) == (options if ndots else before.get("options") or [])
    assert found["containers"] == spec["containers"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x: &x {a: b}\nspec:\n  <<: *x\n  c: d\n", "line 3: spec has a merge key"),
        ("x: &x {a: b}\nspec: *x\n", "spec is shared by an anchor"),
        ("x: &x\n- name: edns0\nspec:\n  dnsConfig:\n    options: *x\n", "options is shared"),
        ("spec:\n  dnsConfig: ClusterFirst\n", "line 2: dnsConfig is not what Kubernetes takes"),
        ("spec:\n  dnsConfig:\n    options: {name: ndots}\n", "line 3: options is not what"),
        ("spec:\n  dnsConfig:\n    options:\n    - ndots\n    - [ndots]\nspec2: 1\n", None),
    ],
)
def test_places_that_cannot_be_edited_alone_are_refused(text: str, says: str | None) -> None:
    if says is None:
        assert {"name": "ndots", "value": "2"} in yaml.safe_load(changed(text))["spec"][
            "dnsConfig"
        ]["options"]
        return
    with pytest.raises(Unreadable) as problem:
        changed(text)
    assert says in str(problem.value)
