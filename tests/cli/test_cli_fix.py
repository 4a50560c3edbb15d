"""``pcapkit fix``: from captures or a saved analysis to a diff, and to the files themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from pcapkit.batch.planned import names_asked
from pcapkit.model.plans import Plan, PlanKind
from pcapkit.model.vocabulary import Safety
from pcapkit.pipeline.analyze import analyze
from tests.analysis.advice.plan.test_numbers import NODE
from tests.build import SERVER
from tests.cli.test_cli import GLIBC, analysed, run
from tests.manifests.plans import in_full, plan, set_ndots, write_tree
from tests.manifests.trees import ENV, deployment
from tests.play import SEARCH

CLIENT = "172.41.10.200"
FULL = in_full("www.example.com", "www.example.com.", CLIENT, safety=Safety.REVIEW)
PODS = {
    "kind": "Pod",
    "metadata": {
        "name": "api-7d4b9c6f5-x2x9k",
        "namespace": "default",
        "labels": {"pod-template-hash": "7d4b9c6f5"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "api-7d4b9c6f5", "controller": True}],
    },
    "spec": {},
    "status": {"podIP": CLIENT},
}


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    """A real analysis as JSON."""
    return analysed(GLIBC)


@pytest.fixture
def save(saved: dict[str, Any], tmp_path: Path) -> Callable[..., str]:
    """Return what saves that analysis with other plans."""

    def with_plans(*plans: Plan) -> str:
        path = tmp_path / "analysis.json"
        path.write_text(json.dumps({**saved, "plans": [asdict(p) for p in plans]}))
        return str(path)

    return with_plans


@pytest.fixture
def manifests(tmp_path: Path, saved: dict[str, Any]) -> Path:
    """Two workloads of the client's namespace; one has names that it asked for."""
    name = saved["names"][0]["base_name"]
    files = {
        "web.yaml": deployment(ENV.replace("db.prod", name), namespace="default"),
        "api.yaml": deployment(name="api", namespace="default"),
    }
    return write_tree(tmp_path / "deploy", files)


def test_a_saved_plan_becomes_a_diff(save: Callable[..., str], manifests: Path) -> None:
    before = (manifests / "web.yaml").read_bytes()
    done = run("fix", save(plan(set_ndots(2, CLIENT))), "--manifests", str(manifests))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"--- a/web.yaml\n+++ b/web.yaml\n@@")
    assert b'+            value: "2"\n' in done.stdout
    assert f"{CLIENT} (namespace default) is guessed to be Deployment web" in done.stderr.decode()
    assert (manifests / "web.yaml").read_bytes() == before


def test_pods_say_who_the_clients_are(save: Callable[..., str], manifests: Path) -> None:
    pods = manifests.parent / "pods.json"
    pods.write_text(json.dumps(PODS))
    analysis = save(plan(set_ndots(2, CLIENT)))
    done = run("fix", analysis, "--manifests", str(manifests), "--pods", str(pods))
    assert done.stdout.startswith(b"--- a/api.yaml\n") and b"web.yaml" not in done.stdout
    assert b"guessed" not in done.stderr


def test_write_changes_the_files_and_names_them(save: Callable[..., str], manifests: Path) -> None:
    analysis = save(plan(set_ndots(2, CLIENT)))
    shown = run("fix", analysis, "--manifests", str(manifests)).stdout
    done = run("fix", analysis, "--manifests", str(manifests), "--write")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{manifests / 'web.yaml'}\n"
    lines = (manifests / "web.yaml").read_bytes().splitlines()
    added = [line[1:] for line in shown.splitlines() if line.startswith(b"+ ")]
    assert added and all(line in lines for line in added)
    again = run("fix", analysis, "--manifests", str(manifests), "--write")
    assert again.returncode == 0 and not again.stdout


def test_a_file_that_is_read_only_makes_it_done_in_part(
    save: Callable[..., str], manifests: Path
) -> None:
    (manifests / "web.yaml").chmod(0o444)
    done = run("fix", save(plan(set_ndots(2, CLIENT))), "--manifests", str(manifests), "--write")
    assert done.returncode == 3 and b"web.yaml: is read-only; left as it is" in done.stderr


def test_review_is_left_out_until_asked_for(save: Callable[..., str], manifests: Path) -> None:
    analysis = save(plan(set_ndots(2, CLIENT, safety=Safety.REVIEW, reasons=("thin",)), FULL))
    done = run("fix", analysis, "--manifests", str(manifests))
    assert done.returncode == 0 and not done.stdout
    lines = done.stderr.decode().splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == (
        "every step of this plan is review (thin): nothing is changed; --include-review takes "
        "such steps too"
    )
    done = run("fix", analysis, "--manifests", str(manifests), "--include-review")
    assert b'value: "2"' in done.stdout


def test_the_kind_of_plan_is_chosen(save: Callable[..., str], manifests: Path) -> None:
    analysis = save(
        plan(set_ndots(9, CLIENT), subject=CLIENT),
        plan(set_ndots(2, CLIENT)),
        plan(set_ndots(3, CLIENT), kind=PlanKind.SETTINGS),
    )
    for arguments, ndots in (((), b'"2"'), (("--plan", "settings"), b'"3"')):
        done = run("fix", analysis, "--manifests", str(manifests), *arguments)
        assert b"value: " + ndots in done.stdout
    done = run("fix", analysis, "--manifests", str(manifests), "--plan", "names")
    assert done.returncode == 0 and not done.stdout and b"nothing to change" in done.stderr


def test_other_formats(save: Callable[..., str], manifests: Path) -> None:
    analysis = save(plan(set_ndots(2, CLIENT)))
    texts = {
        form: json.loads(
            run("fix", analysis, "--manifests", str(manifests), "--format", form).stdout
        )
        for form in ("json", "sarif")
    }
    (place,) = texts["json"]["plan"]["steps"][0]["places"]
    assert place["file"] == "web.yaml" and place["after"] == "ndots: 2"
    (result,) = texts["sarif"]["runs"][0]["results"]
    assert result["ruleId"] == "set_ndots"


@pytest.mark.parametrize("evil", ['"; rm -rf /', "a\n+kind: Pod", "x: {", "\x1b[2J"])
def test_names_that_are_code_reach_no_output(
    evil: str, save: Callable[..., str], manifests: Path
) -> None:
    good = set_ndots(2, CLIENT)
    clean = run("fix", save(plan(good)), "--manifests", str(manifests))
    bad = plan(good, in_full(evil, "x."), in_full("redis", evil), set_ndots(1, evil, f"x/{evil}"))
    done = run("fix", save(bad), "--manifests", str(manifests))
    assert done.returncode == 0 and done.stdout == clean.stdout
    assert b"\x1b" not in done.stderr
    assert not [line for line in done.stderr.split(b"\n") if line.startswith(b"+kind")]


def test_inputs_that_make_no_sense(save: Callable[..., str], manifests: Path) -> None:
    analysis, folder = save(plan()), str(manifests)
    empty = manifests.parent / "empty"
    empty.mkdir()
    broken = manifests.parent / "broken.json"
    broken.write_text('{"schema": "pcapkit.analysis/1"')
    for arguments, says in (
        ((analysis, "--manifests", str(empty)), "empty: there are no manifests in it"),
        ((analysis, "--manifests", "none"), "none: no such folder"),
        ((analysis, GLIBC, "--manifests", folder), "is a saved analysis: give it alone"),
        (("none.pcap", "--manifests", folder), "none.pcap: no such file"),
        ((str(broken), "--manifests", folder), "no JSON of the schema pcapkit.analysis/1"),
        ((analysis,), "Missing option '--manifests'"),
    ):
        done = run("fix", *arguments)
        assert done.returncode == 2 and not done.stdout, arguments
        assert says in done.stderr.decode()


def test_captures_are_taken_as_well(manifests: Path) -> None:
    done = run("fix", GLIBC, "--manifests", str(manifests), "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "pcapkit.fix/1"


def test_what_a_client_asked_for(saved: dict[str, Any]) -> None:
    asked = names_asked(analyze(GLIBC))
    assert set(asked) == {CLIENT}
    assert asked[CLIENT] == {row["base_name"] for row in saved["names"]}


def test_names_written_in_full_elsewhere(save: Callable[..., str], manifests: Path) -> None:
    analysis = save(plan(set_ndots(1, CLIENT, names={"zk.data": "zk.data.svc.cluster.local"})))
    done = run("fix", analysis, "--manifests", str(manifests))
    assert not done.stdout
    said = b" ".join(done.stderr.split())
    assert b"is held back: zk.data must be written in full" in said
    done = run("fix", analysis, "--manifests", str(manifests), "--in-full", "zk.data")
    assert b'value: "1"' in done.stdout


def test_a_shorter_list_is_written_from_a_capture_and_from_its_analysis(tmp_path: Path) -> None:
    """What is written out is the pods' resolv.conf without what never answers."""
    capture = NODE.write(tmp_path)
    web = deployment(ENV.replace("db.prod", "api.example.com"))
    folder = write_tree(tmp_path / "deploy", {"web.yaml": web})
    saved = tmp_path / "analysis.json"
    saved.write_text(run("analyze", capture, "--resolver", "glibc", "--json").stdout.decode())
    arguments = "--manifests", str(folder), "--include-review"
    first = run("fix", capture, "--resolver", "glibc", *arguments)
    assert first.stdout == run("fix", str(saved), *arguments).stdout
    assert b"google.internal" not in first.stdout and not first.returncode
    done = run("fix", str(saved), *arguments, "--format", "sarif", "--write")
    said = json.loads(done.stdout)["runs"][0]["results"]
    gone = "c.project.internal and google.internal"
    assert [r["message"]["text"] for r in said if r["ruleId"] == "drop_suffix"] == [
        f"Take {gone} out of the search list (step 1, review)."
    ]
    spec = yaml.safe_load((folder / "web.yaml").read_text())["spec"]["template"]["spec"]
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"]["nameservers"] == [SERVER]
    assert spec["dnsConfig"]["searches"] == list(SEARCH)
    assert [o["name"] for o in spec["dnsConfig"]["options"]] == ["ndots"]
    again = run("fix", str(saved), *arguments)
    assert not again.stdout
    assert f"{gone} is in no list of web.yaml" in " ".join(again.stderr.decode().split())
