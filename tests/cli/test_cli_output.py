"""Where output goes that is no plain file."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from tests.cli.test_cli import GLIBC, run

EXPORT = ("export", str(GLIBC), "-t", "names", "--format", "csv", "-o")


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    done = run(*EXPORT, str(pipe))
    reader.join(60)
    assert done.returncode == 0, done.stderr
    assert read == [run(*EXPORT, "-").stdout]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_name_of_standard_output_is_standard_output() -> None:
    assert run(*EXPORT, "/proc/self/fd/1").stdout == run(*EXPORT, "-").stdout


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "names.csv").symlink_to(tmp_path / "secret")
    assert run(*EXPORT, str(tmp_path / "names.csv")).returncode == 0
    assert (tmp_path / "secret").read_text() == "kept"
    assert not (tmp_path / "names.csv").is_symlink()
