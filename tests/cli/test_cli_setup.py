"""Options from files and from the environment, and completion in the usual shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
CAPTURE = str(LAB / "whatif_w1_glibc_ndots5.pcap")
PCAPKIT = str(Path(sys.executable).with_name("pcapkit"))


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pcapkit.cli.main import main; main()", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def ndots(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stderr
    value: int = json.loads(done.stdout)["clients"][0]["ndots"]["value"]
    return value


def test_a_file_gives_options_and_what_is_typed_beats_it(tmp_path: Path) -> None:
    (tmp_path / "pcapkit.toml").write_text('[analyze]\nndots = 3\nsearch = ["a.example"]\n')
    below = tmp_path / "below"
    below.mkdir()
    for folder in (tmp_path, below):
        done = run(folder, "analyze", "--json", CAPTURE)
        assert ndots(done) == 3
        assert json.loads(done.stdout)["options"] == {"search": ["a.example"], "ndots": 3}
    assert ndots(run(tmp_path, "analyze", "--json", CAPTURE, PCAPKIT_ANALYZE_NDOTS="4")) == 4
    typed = ("analyze", "--json", CAPTURE, "--ndots", "6")
    assert ndots(run(tmp_path, *typed, PCAPKIT_ANALYZE_NDOTS="4")) == 6


def test_pyproject_has_a_table_for_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pcapkit.analyze]\nndots = 2\n")
    assert ndots(run(tmp_path, "analyze", "--json", CAPTURE)) == 2
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert ndots(run(tmp_path, "analyze", "--json", CAPTURE)) == 5
    (tmp_path / "pyproject.toml").write_text("not toml")  # somebody else's
    assert ndots(run(tmp_path, "analyze", "--json", CAPTURE)) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[analyze]\nndotz = 3\n", "analyze has no option 'ndotz'"),
        ("analyze = 3\n", "write [analyze] above its options"),
        ("[analyze\n", "pcapkit.toml: "),
        ("[analyze]\nndots = 99\n", "99"),
        ('[analyze]\nndots = "many"\n', "many"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pcapkit.toml").write_text(text)
    done = run(tmp_path, "analyze", "--json", CAPTURE)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert run(tmp_path, "expand", "www.example.com").returncode in (0, 2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str, tmp_path: Path) -> None:
    source = run(tmp_path, _PCAPKIT_COMPLETE=f"{shell}_source")
    if "pcapkit" not in source.stdout:  # started by another name here
        source = subprocess.run(
            [PCAPKIT],
            env=os.environ | {"_PCAPKIT_COMPLETE": f"{shell}_source"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert source.returncode == 0 and "_PCAPKIT_COMPLETE" in source.stdout, source.stderr
    if program := shutil.which(shell):
        checked = subprocess.run(
            [program, "-n"], input=source.stdout, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr


def test_commands_and_options_are_completed() -> None:
    def completed(words: str, number: int) -> str:
        wanted = {"COMP_WORDS": words, "COMP_CWORD": str(number)}
        done = subprocess.run(
            [PCAPKIT],
            env=os.environ | wanted | {"_PCAPKIT_COMPLETE": "bash_complete"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert "plain,analyze" in completed("pcapkit an", 1)
    assert "plain,--fail-on" in completed("pcapkit audit --fail", 2)
    assert "plain,parquet" in completed("pcapkit export --format p", 3)
