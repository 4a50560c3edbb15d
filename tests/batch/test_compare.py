"""compare: real captures of one workload under two settings, saved analyses, gates, thin data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pcapkit.batch.compare import compare
from pcapkit.batch.history.runs import add_run, read_history
from pcapkit.batch.sides import load
from pcapkit.errors import InputError
from pcapkit.pipeline.options import Options
from tests import build
from tests.analysis.talk import Talk
from tests.batch.history.nights import capture, workload
from tests.cli.test_cli import GLIBC, LAB, TRACE_1, run
from tests.cluster.test_pods import PODS
from tests.play import SHOP

NDOTS_2 = str(LAB / "whatif_w1_glibc_ndots2.pcap")
ADDRESS = "172.41.10.200"


def compared(*arguments: str) -> dict[str, Any]:
    done = run("compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    out: dict[str, Any] = json.loads(done.stdout)
    assert out["schema"] == "pcapkit.comparison/1"
    return out


def measure(result: dict[str, Any], what: str, subject: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = next(
        m for m in result["subjects"][subject]["measures"] if m["what"] == what
    )
    return found


def test_the_same_workload_under_another_ndots() -> None:
    result = compared(GLIBC, NDOTS_2)
    queries = measure(result, "queries_per_lookup")
    assert queries["before"]["value"] == pytest.approx(242 / 45)
    assert queries["after"]["value"] == pytest.approx(166 / 45)
    assert queries["verdict"] == "less"
    assert queries["change"]["low"] < 166 / 242 - 1 < queries["change"]["high"] < 0
    assert [s["matched_by"] for s in result["subjects"]] == ["all", "address"]
    ndots, *names = result["promises"]
    assert (ndots["subject"], ndots["setting"], ndots["verdict"]) == (ADDRESS, "ndots:2", "kept")
    assert ndots["promised"] == pytest.approx(ndots["measured"]["value"])
    verdicts = {p["subject"]: p["verdict"] for p in names}
    assert verdicts["www.baidu.com"] == "kept"  # two dots: no longer searched
    assert verdicts["github.com"] == "not_applied"  # one dot: as wasteful as before


def test_an_ndots_without_the_names_that_it_obliges_has_not_come_true(tmp_path: Path) -> None:
    """musl never searches a name with enough dots: its service names break where they stay."""
    work = SHOP.under(model="musl", rounds=12)
    before = work.write(tmp_path, "before.pcap")
    saved = json.loads(run("analyze", before, "--json", "--resolver", "musl").stdout)
    best = next(p for p in saved["plans"] if p["subject"] is None and p["kind"] == "best")
    step = best["steps"][0]
    assert step["code"] == "set_ndots"
    assert step["names"]
    obeyed = work.under(ndots=step["ndots"], names=[step["names"].get(n, n) for n in work.names])
    path = obeyed.write(tmp_path, "after.pcap")
    (plan, *_) = compared(before, path, "--resolver", "musl")["plans"]
    assert (plan["subject"], plan["kind"], plan["done"]) == (None, "best", 1)
    assert plan["steps"] == len(best["steps"])
    assert plan["promised"] == step["queries_after"] / best["before"]["queries"] - 1
    after = json.loads(run("analyze", path, "--json", "--resolver", "musl").stdout)
    assert plan["measured"]["value"] == pytest.approx(
        after["waste"]["queries"] / saved["waste"]["queries"] - 1, abs=0.02
    )
    assert plan["verdict"] == "kept"
    shown = run("compare", before, path, "--resolver", "musl").stdout.decode()
    assert "- the plan: " in shown and " came true, " in shown
    ignored = work.under(ndots=step["ndots"]).write(tmp_path, "ignored.pcap")
    (plan, *_) = compared(before, ignored, "--resolver", "musl")["plans"]
    assert (plan["kind"], plan["done"], plan["verdict"]) == ("best", 0, "not_applied")


def test_a_name_that_another_ndots_leaves_alone_was_not_written_in_full() -> None:
    """ndots 2 is set, and the name that it obliges is not in full: no plan was followed."""
    before = json.loads(run("analyze", GLIBC, "--json").stdout)
    best = next(p for p in before["plans"] if p["subject"] is None and p["kind"] == "best")
    assert best["steps"][0]["names"]
    (plan,) = compared(GLIBC, NDOTS_2)["plans"]
    assert (plan["kind"], plan["done"], plan["verdict"]) == ("best", 0, "not_applied")


def test_a_plan_that_nobody_followed_is_not_applied() -> None:
    (plan,) = compared(GLIBC, GLIBC)["plans"]
    assert (plan["done"], plan["measured"], plan["verdict"]) == (0, None, "not_applied")
    assert plan["promised"] < 0


@pytest.mark.skipif("PCAPKIT_EXTRA_CAPTURES" not in os.environ, reason="needs extra captures")
@pytest.mark.parametrize("resolver", ["glibc", "musl", "go"])
@pytest.mark.parametrize("ndots", [1, 2, 3])
def test_what_was_promised_came(resolver: str, ndots: int) -> None:
    found = Path(os.environ["PCAPKIT_EXTRA_CAPTURES"])
    before, after = (
        next(found.rglob(f"whatif_w1_{resolver}_ndots{n}.pcap"), None) for n in (5, ndots)
    )
    if before is None or after is None:
        pytest.skip("those captures are not there")
    promise = compared(str(before), str(after))["promises"][0]
    assert promise["setting"] == f"ndots:{ndots}"
    assert promise["promised"] == pytest.approx(promise["measured"]["value"], abs=0.03)
    assert promise["verdict"] == "kept"


def test_a_promise_that_did_not_come_true_is_told(tmp_path: Path) -> None:
    """ndots is lower, but twice as many queries go out as before for the same lookups."""
    saved = json.loads(run("analyze", GLIBC, "--json").stdout)
    later = json.loads(run("analyze", NDOTS_2, "--json").stdout)
    for row in later["clients"]:
        row["queries"] *= 2
    paths = [
        build.save(tmp_path, json.dumps(of).encode(), f"{i}.json")
        for i, of in enumerate((saved, later))
    ]
    assert compared(*paths)["promises"][0]["verdict"] == "not_kept"


@pytest.mark.parametrize(
    ("times", "said"),
    [(1, "as predicted"), (0.6, "less than predicted"), (3, "more than predicted")],
)
def test_more_queries_are_predicted_not_promised(tmp_path: Path, times: float, said: str) -> None:
    """From ndots 2 to ndots 5, as what-if says; then as often as it does not."""
    paths = []
    for number, path in enumerate((NDOTS_2, GLIBC)):
        saved = json.loads(run("analyze", path, "--json").stdout)
        for row in saved["clients"]:
            for key in ("queries", "wasted_queries"):
                row[key] = round(row[key] * (times if number else 1))
        paths.append(build.save(tmp_path, json.dumps(saved).encode(), f"{number}.json"))
    text = " ".join(run("compare", *paths).stdout.decode().split())
    line = text.partition("What was promised: ")[2].partition("ndots 5: ")[2].partition(" - ")[0]
    assert "queries predicted, " in line and line.endswith(f" came: {said}")


def test_saved_analyses_give_what_their_captures_give(tmp_path: Path) -> None:
    done = run("analyze", GLIBC, "-o", str(tmp_path), "--format", "json", "-q")
    assert done.returncode == 0, done.stderr
    saved = str(tmp_path / "whatif_w1_glibc_ndots5" / "analysis.json")
    from_saved, from_capture = compared(saved, NDOTS_2), compared(GLIBC, NDOTS_2)
    assert from_saved.pop("before") == saved and from_capture.pop("before") == GLIBC
    assert from_saved == from_capture


def test_too_little_data_is_said_and_fails_no_gate() -> None:
    result = compared(TRACE_1, GLIBC)
    assert measure(result, "queries_per_lookup")["verdict"] == "too_little_data"
    done = run("compare", TRACE_1, GLIBC, "--fail-on", "queries>+5%")
    assert done.returncode == 0
    assert done.stdout.startswith(b"Too little data: 2 complete lookups before, 45 after.")


def test_without_a_clock_nothing_is_per_second(tmp_path: Path) -> None:
    text = str(LAB / "fmt_text_vv_tt.txt")
    assert measure(compared(text, text), "queries_per_second")["before"] is not None
    clockless = TRACE_1.replace(".pcap", ".txt")
    assert measure(compared(clockless, clockless), "queries_per_second")["before"] is None


def test_workloads_are_matched_though_their_pods_have_new_addresses(tmp_path: Path) -> None:
    talks, files = [], []
    for number, address in enumerate(("10.244.1.17", "10.244.9.9")):
        talk = Talk(client=address)
        for at in range(25):
            talk.walk(9_000 * at, f"www{at % 3}.example.com")
        talks.append(build.save(tmp_path, talk.capture(), f"{number}.pcap"))
        listed = json.loads(Path(PODS).read_text())["items"][0]
        listed["metadata"]["name"] = f"nginx-7c5ddbdf54-{number}"
        listed["status"].update(podIP=address, podIPs=[{"ip": address}], startTime=None)
        pods = build.save(tmp_path, json.dumps(listed).encode(), f"pods-{number}.json")
        out = tmp_path / str(number)
        done = run("analyze", talks[-1], "--pods", pods, "-o", str(out), "--format", "json", "-q")
        assert done.returncode == 0, done.stderr
        files.append(done.stdout.decode().strip())
    matched = compared(*files)["subjects"]
    assert [(s["subject"], s["matched_by"]) for s in matched] == [
        (None, "all"),
        ("default/nginx", "workload"),
    ]
    alone = compared(*talks)
    assert len(alone["subjects"]) == 1
    assert any("no client is on both sides" in w for w in alone["warnings"])


@pytest.mark.parametrize(
    ("rule", "sides", "status"),
    [
        ("waste>40%", (GLIBC, NDOTS_2), 1),
        ("waste>50%", (GLIBC, NDOTS_2), 0),
        ("queries>+5%", (NDOTS_2, GLIBC), 1),
        ("queries>+5%", (GLIBC, NDOTS_2), 0),
        ("queries>+50%", (NDOTS_2, GLIBC), 0),
        ("queries>5%", (GLIBC, NDOTS_2), 2),
        ("queries>+x", (GLIBC, NDOTS_2), 2),
    ],
)
def test_gates(rule: str, sides: tuple[str, str], status: int) -> None:
    done = run("compare", *sides, "--fail-on", rule)
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize(
    "content",
    [
        b'{"schema": "pcapkit.analysis/9"}',
        b'{"schema": "pcapkit.analysis/1", "cl',
        b'{"schema": "pcapkit.analysis/1", "captures": [], "clients": [], "what_if": '
        b'[{"setting": 5}]}',
        b'{"schema": "pcapkit.analysis/1", "captures": [{"first_time": 7}], "clients": []}',
        b'{"schema": "pcapkit.analysis/1", "captures": "x", "clients": [[]]}',
    ],
)
def test_what_is_no_saved_analysis_is_refused(content: bytes, tmp_path: Path) -> None:
    path = build.save(tmp_path, content, "analysis.json")
    done = run("compare", path, GLIBC)
    assert done.returncode == 2
    assert f"error: {path}: line 1: no JSON of the schema pcapkit.analysis/1" in " ".join(
        done.stderr.decode().split()
    )


@pytest.mark.parametrize("place", ["waste", "clients", "names"])
def test_a_saved_analysis_that_contradicts_itself_is_refused(place: str, tmp_path: Path) -> None:
    values = json.loads(run("analyze", GLIBC, "--json").stdout)
    row = values[place] if place == "waste" else values[place][0]
    row["wasted_queries"] = row["queries"] + 1
    path = build.save(tmp_path, json.dumps(values).encode(), "analysis.json")
    done = run("compare", path, GLIBC)
    assert done.returncode == 2
    assert b"its counts contradict one another" in done.stderr


def test_the_result_of_an_audit_is_named_for_what_it_is(tmp_path: Path) -> None:
    run("audit", GLIBC, "-o", str(tmp_path), "--format", "json", "--quiet")
    done = run("compare", str(tmp_path / "audit.json"), GLIBC)
    assert done.returncode == 2
    assert b"the result of an audit" in done.stderr


def test_standard_input_is_read_once() -> None:
    assert run("compare", "-", "-", stdin=Path(GLIBC).read_bytes()).returncode == 2
    piped = run("compare", "-", NDOTS_2, "--json", stdin=Path(GLIBC).read_bytes())
    assert json.loads(piped.stdout)["subjects"] == compared(GLIBC, NDOTS_2)["subjects"]


def test_the_terminal_fits_80_columns() -> None:
    done = run("compare", GLIBC, NDOTS_2)
    lines = done.stdout.decode().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "A lookup sends 31.4 % fewer queries" in lines[0]


# ---- runs of a history --------------------------------------------------------------------------


def test_runs_of_a_history_are_compared(tmp_path: Path) -> None:
    for day, queries in enumerate((8000, 3000)):
        web = workload("web", 1000, queries, queries - 2000)
        other = workload(f"only{day}", 100, 200)
        address = workload(None, 50, 100, client_addr="10.0.0.7")
        add_run(tmp_path, [capture(day, [web, other, address], path=f"{day}.pcap")])
    before, after = f"history:{tmp_path}@2026-05-27", f"history:{tmp_path}"
    sides = [load(text, options=Options()) for text in (before, after)]
    result = compare(sides[0], sides[1], names=(before, after))
    assert [s.subject for s in result.subjects] == [None, "10.0.0.7", "shop/web"]
    web = result.subjects[2]
    change = web.measure("queries_per_lookup")
    assert (web.before_lookups, web.after_lookups) == (1000, 1000)
    assert change.verdict == "less" and change.change is not None
    assert change.change.value == pytest.approx(3 / 8 - 1)
    assert result.after_share == pytest.approx(1000 / 3300)
    name = read_history(tmp_path).runs[0].name
    assert load(f"history:{tmp_path}@{name[:6]}", options=Options()) == sides[0]
    for wrong in ("@2026-05-26", "@zz", "/nowhere"):
        with pytest.raises(InputError, match="no run"):
            load(f"history:{tmp_path}{wrong}", options=Options())


def test_a_run_is_what_no_earlier_run_had(tmp_path: Path) -> None:
    nights = [capture(d, [workload("web", 100, 300 + d)], path=f"{d}.pcap") for d in range(2)]
    add_run(tmp_path, nights[:1])
    add_run(tmp_path, nights)
    assert load(f"history:{tmp_path}", options=Options()).waste.queries == 301
