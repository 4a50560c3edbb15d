"""Files that nobody asked for are for this user alone, under the most open umask there is."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.environment.kills import command
from tests.environment.tracing import CAPTURE, CASES, Call, base, environment, trace, traced
from tests.kernels.test_cache import ADD

__all__ = ["base"]
#: What cases are asked to write; parts of them that begin with a dot wait to be whole.
ASKED = ("out", "key")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


def open_to_others(calls: tuple[Call, ...], folder: Path) -> list[Call]:
    """Return what others could read, change, or have put there before."""
    closed = [c.path for c in calls if c.makes and "mkdir" in c.name and not c.mode & 0o077]
    found = []
    for call in (c for c in calls if c.makes and not c.path.startswith(("/dev/", "/proc/"))):
        path = Path(os.path.relpath(call.path, folder))
        asked = path.parts[0] in ASKED and not any(part.startswith(".") for part in path.parts)
        inside = any(call.path.startswith(f"{outer}/") for outer in closed)
        unguessed = any(flag in call.arguments for flag in ("O_EXCL", "O_TMPFILE"))
        alone = not call.mode & 0o077 and (unguessed or "mkdir" in call.name)
        if not asked and not inside and not alone and "__pycache__" not in call.path:
            found.append(call)
    return found


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_asked_for_is_private(case: str, base: Path) -> None:
    run = traced(case, base)
    calls = (
        run.calls
        if case != "capture"
        else tuple(c for c in run.calls if not c.path.startswith(str(run.folder / "cluster")))
    )
    assert open_to_others(calls, run.folder) == []


@pytest.mark.parametrize("place", ["cache", "/proc/none"])
def test_compiled_kernels_are_private(tmp_path: Path, place: str) -> None:
    """Where they are kept, and where they cannot be: in a temporary folder."""
    more = environment(tmp_path, NUMBA_CACHE_DIR=place, XDG_CACHE_HOME="/proc/none")
    run = trace([command(())[0], "-c", ADD], tmp_path, more)
    assert run.status == 0, run.said
    assert any(c.path.endswith(".pcapkit") for c in run.calls if c.makes)
    assert open_to_others(run.calls, tmp_path) == []


@pytest.mark.parametrize(("umask", "file", "folder"), [(0, 0o666, 0o777), (0o027, 0o640, 0o750)])
def test_reports_have_the_permissions_that_the_user_leaves(
    tmp_path: Path, umask: int, file: int, folder: int
) -> None:
    for words in (
        ("analyze", str(CAPTURE), "-o", "out", "-q", "--format", "json"),
        ("export", str(CAPTURE), "-t", "names", "-o", "out/names.csv"),
    ):
        subprocess.run(command(words), cwd=tmp_path, umask=umask, capture_output=True, check=True)
    (report,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (report, *report.iterdir())]
    assert modes == [folder, file]
    assert stat.S_IMODE((tmp_path / "out" / "names.csv").stat().st_mode) == file


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    table = tmp_path / "names.csv"
    table.touch(0o600)
    words = ("export", str(CAPTURE), "-t", "names", "-o", str(table))
    subprocess.run(command(words), umask=0, capture_output=True, check=True)
    assert table.stat().st_size and stat.S_IMODE(table.stat().st_mode) == 0o600


@needs_root
def test_what_somebody_else_made_first_is_not_used(tmp_path: Path) -> None:
    """Links and folders under the names that a run would take, in folders that all may write."""
    out, other = tmp_path / "out", 65534
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out.mkdir()
    out.chmod(0o1777)
    (out / ".names.csv.1.pcapkit").symlink_to(victim)
    os.chown(out / ".names.csv.1.pcapkit", other, other, follow_symlinks=False)
    for name in (".names.csv.2.pcapkit", f".{CAPTURE.stem}.1.pcapkit", ".old.1.before.pcapkit"):
        (out / name).mkdir()
        (out / name).chmod(0o777)
        os.chown(out / name, other, other)
    for words in (
        ("export", str(CAPTURE), "-t", "names", "-o", "out/names.csv"),
        ("analyze", str(CAPTURE), "-o", "out", "-q", "--format", "json"),
    ):
        subprocess.run(command(words), cwd=tmp_path, capture_output=True, check=True)
    assert victim.read_text() == "mine"
    assert (out / ".names.csv.1.pcapkit").is_symlink() and not (out / "old").exists()
    assert not list((out / ".names.csv.2.pcapkit").iterdir())
    assert (out / CAPTURE.stem).stat().st_uid == (out / "names.csv").stat().st_uid == 0


def test_settings_of_matplotlib_beside_the_captures_do_not_count(tmp_path: Path) -> None:
    """Captures of strangers lie in the working directory, and so may a matplotlibrc."""
    drawn = []
    for text in (b"", b"text.usetex: True\nfont.size: 40\n", b"\xff\xfe"):
        (tmp_path / "matplotlibrc").write_bytes(text)
        words = ("analyze", str(CAPTURE), "-o", "out", "-q")
        subprocess.run(command(words), cwd=tmp_path, capture_output=True, check=True)
        drawn.append((tmp_path / "out" / CAPTURE.stem / "report.html").read_bytes())
    assert drawn[0] == drawn[1] == drawn[2]
