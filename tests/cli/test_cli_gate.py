"""--fail-on as CI runs it: exit status, reasons, files, what GitHub shows, and the recipes."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from pcapkit.batch.gate.github import MOST_BYTES
from tests import build
from tests.analysis.talk import Talk
from tests.batch.gate.test_verdicts import SCHEMA
from tests.cli.test_cli import GLIBC, LAB, ROOT, TRACE_1, run

NDOTS_2 = str(LAB / "whatif_w1_glibc_ndots2.pcap")
PODS = str(ROOT / "tests" / "data" / "kubernetes" / "pods-services.json")
RECIPES = ROOT / "deploy" / "ci"


def said(done: Any) -> list[str]:
    """Return the verdicts that were printed."""
    lines = done.stderr.decode().splitlines()
    return [line for line in lines if line.startswith(("failed: ", "not judged: "))]


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("waste>62%", 1),
        ("waste>63%", 0),
        ("nxdomain>0.66", 1),
        ("nxdomain>0.67", 0),
        ("lookup_p95>4ms", 1),
        ("lookup_p95>1s", 0),
        ("fault:double_expansion", 1),
        ("fault:cut_chain", 0),
        ("default/*:waste>62%", 1),
        ("default/nginx:waste>62%", 1),
        ("other/nginx:waste>62%", 0),
        ("waste>99%, nxdomain>0.66", 1),
        ("queries>+5%", 2),
        ("new_waste", 2),
        ("default/nginx:new_waste", 2),
    ],
)
def test_one_capture(rule: str, status: int, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = run("analyze", GLIBC, "--pods", PODS, "--json", "--fail-on", rule, "--junit", str(junit))
    assert done.returncode == status, done.stderr
    assert any(line.startswith("failed: ") for line in said(done)) is (status == 1)
    if status == 2:
        assert b"--fail-on" in done.stderr and b"audit --history" in done.stderr
        assert not junit.exists() and not done.stdout
        return
    json.loads(done.stdout)
    SCHEMA.validate(junit.read_text())
    failures = ElementTree.parse(junit).findall(".//failure")
    assert len(failures) == sum(line.startswith("failed: ") for line in said(done))


def test_a_reason_is_a_line_with_rule_subject_value_and_limit() -> None:
    done = run("analyze", GLIBC, "--pods", PODS, "--json", "--fail-on", "default/n*:waste>30%")
    assert said(done) == [
        "failed: default/n*:waste>30%: default/nginx: waste is 62.8 % (152 of 242 queries), above "
        "30.0 %"
    ]


def test_rules_add_up_from_options_file_and_environment(tmp_path: Path) -> None:
    path = tmp_path / "rules.txt"
    path.write_text("# ours\nwaste>30%\n*/*:waste>30%  # each\n")
    done = run("analyze", GLIBC, "--json", "--fail-on", f"@{path}", "--fail-on", "nxdomain>1%")
    assert [line.split(": ")[1] for line in said(done)] == [
        "waste>30%",
        "*/*:waste>30%",
        "nxdomain>1%",
    ]
    done = run("analyze", GLIBC, "--json", PCAPKIT_ANALYZE_FAIL_ON="waste > 30%, fault:cut_chain")
    assert done.returncode == 1 and len(said(done)) == 1
    path.write_text("waste>30%\nshop/web:wasted>3\n")
    done = run("analyze", GLIBC, "--json", "--fail-on", f"@{path}")
    assert done.returncode == 2 and b"rules.txt, line 2: 'shop/web:wasted>3'" in done.stderr


@pytest.mark.parametrize("rule", ["waste>0", "nxdomain>0", "lookup_p95>0us", "fault:any"])
def test_an_idle_pod_fails_nothing(rule: str, tmp_path: Path) -> None:
    empty = build.save(tmp_path, build.pcap([]), "idle.pcap")
    done = run("analyze", empty, "--json", "--fail-on", rule)
    assert done.returncode == 0, done.stderr
    done = run("audit", empty, "-o", str(tmp_path / "r"), "--format", "json", "--fail-on", rule)
    assert done.returncode == 0, done.stderr


def test_too_little_is_said_and_fails_nothing(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = run("analyze", TRACE_1, "--json", "--fail-on", "waste>1%", "--junit", str(junit))
    assert done.returncode == 0
    (line,) = said(done)
    assert line.endswith("too little to judge: 2 complete lookups, fewer than 20")
    assert ElementTree.parse(junit).find(".//skipped") is not None


def test_an_audit_judges_each_capture_and_all_together(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    rules = ("--fail-on", "waste>60%", "--fail-on", "default/*:waste>55%")
    where = ("-o", str(tmp_path / "r"), "--format", "json", "-q", "--junit", str(junit))
    done = run("audit", GLIBC, NDOTS_2, TRACE_1, *where, *rules)
    assert done.returncode == 1, done.stderr
    failed = [line for line in said(done) if line.startswith("failed")]
    assert [line.split(": ")[-2] for line in failed] == [GLIBC, "172.41.10.200"]
    names = [c.get("name") for c in ElementTree.parse(junit).findall(".//testcase")]
    assert names[0] == "all 3 captures" and len(names) == 5
    bad = build.save(tmp_path, b"\0" * 100, "bad.pcap")
    done = run("audit", GLIBC, bad, *where, *rules)
    assert done.returncode == 3 and said(done)  # done in part comes first, but rules are judged
    done = run("audit", GLIBC, *where, "--fail-on", "queries>+5%")
    assert done.returncode == 2 and b"give --history" in done.stderr


@pytest.mark.parametrize(
    ("rule", "sides", "status"),
    [
        ("*/*:queries>+5%", (NDOTS_2, GLIBC), 1),
        ("default/nginx:queries>+5%", (NDOTS_2, GLIBC), 1),
        ("default/nginx:queries>+5%", (GLIBC, NDOTS_2), 0),
        ("default/nginx:waste>60%", (NDOTS_2, GLIBC), 1),
        ("nxdomain>60%,lookup_p95>1s", (NDOTS_2, GLIBC), 1),
        ("fault:any", (NDOTS_2, GLIBC), 1),
        ("new_waste", (NDOTS_2, GLIBC), 2),
    ],
)
def test_a_comparison(rule: str, sides: tuple[str, str], status: int, tmp_path: Path) -> None:
    done = run("compare", *sides, "--pods", PODS, "--fail-on", rule)
    assert done.returncode == status, done.stderr
    if status == 2:
        return
    saved = []
    for number, side in enumerate(sides):
        where = ("-o", str(tmp_path / str(number)), "--format", "json", "-q")
        saved.append(run("analyze", side, "--pods", PODS, *where).stdout.decode().strip())
    again = run("compare", *saved, "--fail-on", rule)
    assert again.returncode == status
    assert [x.replace(saved[1], sides[1]) for x in said(again)] == said(done)


def test_a_side_that_an_older_version_saved(tmp_path: Path) -> None:
    where = ("-o", str(tmp_path), "--format", "json", "-q")
    path = Path(run("analyze", GLIBC, *where).stdout.decode().strip())
    old = json.loads(path.read_text())
    del old["workloads"]
    path.write_text(json.dumps(old))
    done = run("compare", NDOTS_2, str(path), "--fail-on", "nxdomain>1%, waste>99%")
    assert done.returncode == 0
    assert "how many queries got NXDOMAIN is not known" in said(done)[0]


# ---- GitHub --------------------------------------------------------------------------------------


def test_github_gets_annotations_and_a_summary(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("from before\n")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    where = ("-o", str(tmp_path), "--format", "json", "-q")
    done = run("analyze", GLIBC, *where, "--fail-on", "waste>30%", **github)
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert lines[1:] == [
        f"::error title=pcapkit%3A waste>30%25::{GLIBC}: waste is 62.8 %25 (152 of 242 queries), "
        "above 30.0 %25"
    ]
    text = summary.read_text()
    assert text.startswith("from before\n### pcapkit: 1 of 1 check failed\n")
    done = run("analyze", GLIBC, "--json", "--fail-on", "waste>30%", **github)
    json.loads(done.stdout)  # which is for JSON alone
    assert b"::error" in done.stderr
    before = summary.read_text()
    assert run("analyze", GLIBC, "--json", **github).returncode == 0
    assert summary.read_text() == before


def test_elsewhere_there_are_neither(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    rule = ("--fail-on", "waste>30%")
    elsewhere = {"GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": ""}
    done = run("analyze", GLIBC, "--json", *rule, **elsewhere)
    assert b"::error" not in done.stdout + done.stderr
    run("analyze", GLIBC, "--json", *rule, "--step-summary", str(summary), **elsewhere)
    assert summary.read_text().count("**failed**") == 1


def test_a_summary_that_is_full_stays_as_it_is(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * MOST_BYTES)
    rule = ("--fail-on", "waste>30%", "--step-summary", str(summary))
    assert run("analyze", GLIBC, "--json", *rule).returncode == 1
    assert summary.stat().st_size == MOST_BYTES


def test_names_from_outside_break_out_of_nothing(tmp_path: Path) -> None:
    talk = Talk()
    for k in range(25):
        talk.walk(k * 1000, f"api{k}.example.com")
    capture = build.save(tmp_path, talk.capture(), "x\n::error::owned,a:b%0A|<b>.pcap")
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    done = run(
        "analyze",
        capture,
        "-o",
        str(tmp_path / "r"),
        "--format",
        "json",
        "-q",
        "--fail-on",
        "waste>1%",
        "--junit",
        str(junit),
        "--step-summary",
        str(summary),
        GITHUB_ACTIONS="true",
    )
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).decode().splitlines()
    assert sum(line.startswith("::error") for line in lines) == 1
    SCHEMA.validate(junit.read_text())
    assert "<b>" not in summary.read_text()
    assert sum(line.startswith("| ") for line in summary.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--junit", "x.xml"), "--junit: it holds what --fail-on finds"),
        (("--fail-on", "waste>1%", "--step-summary", "/no/such/folder/x"), "/no/such/folder/x:"),
        (("--fail-on", "waste>1%", "--junit", "/dev/null/x.xml"), "is not a folder"),
    ],
)
def test_what_cannot_be(arguments: tuple[str, ...], says: str) -> None:
    done = run("analyze", TRACE_1, "--json", *arguments)
    assert done.returncode == 2
    assert says in done.stderr.decode()


# ---- recipes -------------------------------------------------------------------------------------


def commands_of(value: object) -> list[str]:
    """Return the command lines of pcapkit in a recipe."""
    if isinstance(value, dict):
        return [line for each in value.values() for line in commands_of(each)]
    if isinstance(value, list):
        return [line for each in value for line in commands_of(each)]
    text = value if isinstance(value, str) else ""
    return [line for line in text.splitlines() if line.startswith("pcapkit ")]


@pytest.mark.parametrize("recipe", ["github-actions.yml", "gitlab-ci.yml"])
def test_recipes_run(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = commands_of(yaml.safe_load((RECIPES / recipe).read_text()))
    assert found
    (tmp_path / "captures").mkdir()
    shutil.copy(GLIBC, tmp_path / "captures" / "dns.pcap")
    shutil.copy(PODS, tmp_path / "pods.json")
    (tmp_path / "dns-rules.txt").write_text("waste>60%\ndefault/*:waste>30%\nfault:cut_chain\n")
    monkeypatch.chdir(tmp_path)
    for line in found:
        done = run(*shlex.split(line)[1:])
        assert done.returncode == 1, done.stderr
        assert len(said(done)) == 2
    SCHEMA.validate((tmp_path / "dns-report" / "junit.xml").read_text())
    assert (tmp_path / "dns-report" / "index.html").exists()


@pytest.mark.parametrize("option", ["--junit", "--step-summary"])
@pytest.mark.parametrize("command", ["analyze", "audit", "compare", "merge"])
def test_where_nothing_can_be_written_is_said_before_any_work(
    command: str, option: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for where in (tmp_path / "file" / "x.xml", tmp_path):
        inputs = [GLIBC] * (2 if command == "compare" else 1)
        output = [] if command == "compare" else ["-o", str(tmp_path / "out")]
        done = run(command, *inputs, *output, "--fail-on", "waste>30%", option, str(where))
        message = done.stderr.decode()
        assert done.returncode == 2 and not done.stdout, message
        assert message.startswith(f"error: {option} {where}: ") and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_output_files_are_checked_first_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file" / "x")
    for option, arguments in (
        ("--output", ("export", GLIBC, "-t", "names", "-o", where)),
        ("--output", ("tally", GLIBC, "-o", where)),
        ("--join", ("merge", GLIBC, "--join", where)),
    ):
        done = run(*arguments)
        assert done.returncode == 2 and done.stderr.startswith(f"error: {option} ".encode())
        assert done.stderr.count(b"\n") == 1, done.stderr
