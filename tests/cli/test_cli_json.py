"""``--json``: all of an analysis, or its summary, which fits into a chat."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from pcapkit.cli.root import cli
from pcapkit.codes import ANSWER
from tests.play import Workload, write_together

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
CAPTURE = str(LAB / "whatif_w1_glibc_ndots5.pcap")


def run(*args: str) -> str:
    result = CliRunner().invoke(cli, [*args])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_stands_alone_or_before_its_form() -> None:
    whole = run("analyze", "--json", CAPTURE)
    assert json.loads(whole)["schema"] == "pcapkit.analysis/1"
    assert run("analyze", CAPTURE, "--json") == whole
    assert run("analyze", "--json", "full", CAPTURE) == whole
    summary = run("analyze", "--json", "summary", CAPTURE)
    assert json.loads(summary)["schema"] == "pcapkit.summary/1"
    assert run("analyze", CAPTURE, "--json=summary") == summary


def test_another_form_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["analyze", "--json=yaml", CAPTURE])
    assert result.exit_code == 2 and "full, summary" in result.output


@pytest.mark.parametrize("path", sorted(LAB.iterdir()), ids=lambda p: p.name)
def test_a_summary_agrees_with_the_whole(path: Path) -> None:
    whole = json.loads(run("analyze", "--json", str(path)))
    text = run("analyze", "--json", "summary", str(path))
    summary = json.loads(text)
    assert len(text.encode()) < 8_000
    schema = files("pcapkit.report") / "summary.schema.json"
    jsonschema.validate(summary, json.loads(schema.read_text()))
    assert summary["waste"].items() <= whole["waste"].items()
    assert summary["lookups"]["total"] == whole["lookups"]["total"]
    assert [f["code"] for f in summary["faults"]] == [f["code"] for f in whole["findings"]][:5]
    assert summary["counts"]["clients"] == len(whole["clients"])


def test_the_longest_names_fit(tmp_path: Path) -> None:
    """No capture makes a summary too long: many clients, names of 250 bytes that JSON escapes."""
    names = [f"{n:02}" + "".join(f"{chr(1 + (n + k) % 31)}" for k in range(60)) for n in range(12)]
    works = [
        Workload(
            [".".join([name, name, name]) + ".example" for name in names],
            {".".join([name, name, name]) + ".example": (ANSWER, ANSWER) for name in names},
            search=[f"namespace-{c:02}.svc.cluster.local", "svc.cluster.local"],
            clients=[f"10.244.0.{c}"],
            rounds=2,
            first_port=20000 + c,
        )
        for c in range(1, 20)
    ]
    path = write_together(works, tmp_path)
    text = run("analyze", "--json", "summary", path)
    summary = json.loads(text)
    assert len(text.encode()) <= 8_000 and text.isascii()
    assert summary["names"] and summary["counts"]["names"] == len(names)
