"""Rules are read as they are written, and what is no rule is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcapkit.analysis.faults.catalogue import FAULTS
from pcapkit.batch.gate.rules import Check, parse_rules
from pcapkit.errors import InputError, UsageError
from pcapkit.model.vocabulary import Severity


@pytest.mark.parametrize(
    ("text", "check", "scope", "limit"),
    [
        ("waste>30%", Check.WASTE, None, 0.3),
        ("waste > 0.3", Check.WASTE, None, 0.3),
        ("waste>0", Check.WASTE, None, 0.0),
        ("WASTE>100%", Check.WASTE, None, 1.0),
        ("nxdomain>.5", Check.NXDOMAIN, None, 0.5),
        ("lookup_p95>50ms", Check.LOOKUP_P95, None, 0.05),
        ("lookup_p95>1.5s", Check.LOOKUP_P95, None, 1.5),
        ("lookup_p95>250us", Check.LOOKUP_P95, None, 0.00025),
        ("queries>+5%", Check.QUERIES, None, 0.05),
        ("queries>+2", Check.QUERIES, None, 2.0),
        ("new_waste", Check.NEW_WASTE, None, 0.0),
        ("shop/web:waste>30%", Check.WASTE, "shop/web", 0.3),
        ("shop/*:new_waste", Check.NEW_WASTE, "shop/*", 0.0),
        ("*/*:lookup_p95>1s", Check.LOOKUP_P95, "*/*", 1.0),
        ("shop/fd00::1:queries>+10%", Check.QUERIES, "shop/fd00::1", 0.1),
        ("/10.0.0.1:waste>5%", Check.WASTE, "/10.0.0.1", 0.05),
    ],
)
def test_what_a_rule_says(text: str, check: Check, scope: str | None, limit: float) -> None:
    (rule,) = parse_rules([text])
    assert (rule.check, rule.scope) == (check, scope)
    assert rule.limit == pytest.approx(limit)


def test_faults() -> None:
    every, one, scoped = parse_rules(["fault:any", "fault:Conntrack-Race", "a/b:fault:cut_chain"])
    assert every.codes == {f.code for f in FAULTS if f.severity is not Severity.INFO}
    assert one.codes == {"conntrack_race"}
    assert (scoped.scope, scoped.codes) == ("a/b", {"cut_chain"})


def test_several_at_once_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "rules.txt"
    path.write_bytes(
        b"\xef\xbb\xbf# ours\r\n\r\nwaste>30%  # of all\nshop/*:waste>20%, nxdomain>0.5\n"
    )
    rules = parse_rules(["waste>30%, fault:any,", f"@{path}"])
    assert [r.text for r in rules] == ["waste>30%", "fault:any", "shop/*:waste>20%", "nxdomain>0.5"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wastes>3", "no such rule; write waste>30%"),
        ("", "no rule; write waste>30%"),
        (" , ", "no rule"),
        ("waste", "write it as waste>30% or waste>0.3"),
        ("waste>", "write it as waste>30%"),
        ("waste>130%", "write it as waste>30%"),
        ("waste>3", "write it as waste>30%"),
        ("waste>-1", "write it as waste>30%"),
        ("waste>nan", "write it as waste>30%"),
        ("waste>1_0%", "write it as waste>30%"),
        ("waste>\uff11%", "write it as waste>30%"),
        ("waste>30%%", "write it as waste>30%"),
        ("waste<30%", "no such rule"),
        ("waste>+5%", "write it as waste>30%"),
        ("lookup_p95>50", "write it as lookup_p95>50ms (us, ms or s)"),
        ("lookup_p95>50%", "write it as lookup_p95>50ms"),
        ("lookup_p95>infs", "write it as lookup_p95>50ms"),
        ("queries>5%", "write it as queries>+5%"),
        ("new_waste>3", "write it as new_waste"),
        ("fault", "write it as fault:any or fault:CODE"),
        ("fault:", "write fault:any, or one of failed_family"),
        ("fault:nonsense", "write fault:any, or one of failed_family"),
        ("web:waste>30%", "no such rule"),
        ("@", "name a file of rules, as in @rules.txt"),
        ("@-", "name a file of rules"),
    ],
)
def test_what_is_no_rule_is_named(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rules([text])
    assert str(caught.value).startswith("--fail-on ") or str(caught.value).startswith("--fail-on:")
    assert says in str(caught.value)


def test_in_a_file_the_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rules.txt"
    path.write_text("waste>30%\n\n# no rule\nshop/web:wasted>3\n")
    with pytest.raises(UsageError, match=r"rules\.txt, line 4: 'shop/web:wasted>3': no such rule"):
        parse_rules([f"@{path}"])
    path.write_text("# nothing\n")
    with pytest.raises(UsageError, match=r"rules\.txt: no rule; write"):
        parse_rules([f"@{path}"])
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        parse_rules([f"@{tmp_path}/none.txt"])
    path.write_bytes(b"waste>\xff")
    with pytest.raises(InputError, match="byte 6 is no text"):
        parse_rules([f"@{path}"])


@given(st.text(max_size=40).filter(lambda t: not t.strip().startswith("@")))
def test_any_text_is_a_rule_or_an_error_of_usage(text: str) -> None:
    try:
        rules = parse_rules([text])
    except UsageError as problem:
        assert "--fail-on" in str(problem)
    else:
        assert all(0 <= rule.limit < float("inf") for rule in rules)


@pytest.mark.parametrize(
    ("scope", "workload", "means"),
    [
        ("shop/web", "shop/web", True),
        ("shop/web", "shop/webs", False),
        ("shop/*", "shop/10.0.0.1", True),
        ("shop/*", "shop2/web", False),
        ("*/web", "shop/web", True),
        ("s?op/w*b", "shop/web", True),
        ("*/*", "/10.0.0.1", True),
    ],
)
def test_whom_a_scope_means(scope: str, workload: str, means: bool) -> None:
    (rule,) = parse_rules([f"{scope}:waste>1%"])
    assert rule.means(workload) is means
