"""What an audit finds: by content, each once, and what is wrong as a row of its own."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pcapkit.batch.finding import catalog
from pcapkit.batch.finding.catalog import Item, find_items
from pcapkit.batch.finding.failures import KINDS, WORDS, kind_of
from pcapkit.batch.finding.looks import Looks
from pcapkit.errors import InputError, UsageError
from pcapkit.limits import Limits
from pcapkit.report.text.audits import FAILURE_KINDS
from tests.build import conversation, pcap, pcapng, save
from tests.cli.test_cli import _PLAIN, run

CAPTURE = pcap(conversation())
OTHER = pcapng(conversation())


def names(items: list[Item], root: Path) -> list[str]:
    return [os.path.relpath(item.path, root) for item in items]


def kinds(items: list[Item]) -> dict[str, str | None]:
    return {os.path.basename(item.path): item.error_kind for item in items}


def test_content_decides(tmp_path: Path) -> None:
    """Captures under any name; others only where their whole name ends as that of a capture."""
    for name in ("a.pcap", "b", "c.txt", "d.tsv.gz"):
        save(tmp_path, gzip.compress(CAPTURE) if name.endswith("gz") else CAPTURE, name)
    for name in ("x.pcap.tsv", "notes.pcap.md", "image.png", "pcap", "y.pcap.tsv.gz"):
        save(tmp_path, b"\x89nothing of the kind", name)
    claims = ["f.pcap", "f.PCAPNG", "f.cap", "f.dmp", "f.pcap3", "f.pcap.1", "f.pcap00.gz"]
    for name in [*claims, "a.pcap.b.pcap", "dns.pcap-20240131.zst"]:
        save(tmp_path, b"\x89nothing of the kind", name)
    found = find_items([str(tmp_path)])
    good = [item.path for item in found if item.error is None]
    assert [os.path.basename(path) for path in good] == ["a.pcap", "b", "c.txt", "d.tsv.gz"]
    failed = {n for n, kind in kinds(found).items() if kind == "not-a-capture"}
    assert failed == {*claims, "a.pcap.b.pcap", "dns.pcap-20240131.zst"}
    assert all(item.path in str(item.error) for item in found if item.error)


def test_identities_are_those_of_the_files(tmp_path: Path) -> None:
    """Size, time, device and inode, by which a later run knows a file again."""
    path = save(tmp_path, CAPTURE)
    (item,) = find_items([path])
    status = os.stat(path)
    (identity,) = item.identities
    assert identity is not None and item.size == status.st_size == len(CAPTURE)
    assert (identity.mtime_ns, identity.inode) == (status.st_mtime_ns, status.st_ino)
    assert item.sources == item.paths == (path,)


def test_pipes_devices_hidden_files_are_left_alone(tmp_path: Path) -> None:
    """Nobody writes to the pipe: opening it would wait for ever."""
    save(tmp_path, CAPTURE, "a.pcap")
    save(tmp_path, CAPTURE, ".hidden.pcap")
    (tmp_path / ".git").mkdir()
    save(tmp_path / ".git", CAPTURE, "b.pcap")
    os.mkfifo(tmp_path / "pipe.pcap")
    os.symlink("/dev/zero", tmp_path / "zero.pcap")
    os.symlink("pipe.pcap", tmp_path / "link.pcap")
    assert names(find_items([str(tmp_path)]), tmp_path) == ["a.pcap"]
    found = find_items([str(tmp_path), str(tmp_path / "pipe.pcap")])
    assert "pipe" in str(found[1].error)


def test_one_capture_by_many_names_is_read_once(tmp_path: Path) -> None:
    """Hard links, symbolic links, a folder and the files in it, the same path spelt twice."""
    path = save(tmp_path, CAPTURE, "real.pcap")
    os.link(path, tmp_path / "second.pcap")
    os.symlink("real.pcap", tmp_path / "a-link.pcap")
    (tmp_path / "inner").mkdir()
    os.symlink("..", tmp_path / "inner" / "up")
    os.symlink(str(tmp_path / "inner"), tmp_path / "in")
    os.symlink("/", tmp_path / "inner" / "root")
    said: list[str] = []
    found = find_items(
        [str(tmp_path), path, f"{tmp_path}/inner/../real.pcap", str(tmp_path)], say=said.append
    )
    assert names(found, tmp_path) == ["real.pcap"]
    assert len(said) == 1 and "a-link.pcap" in said[0] and "second.pcap" in said[0]


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    """What somebody links into the folder belongs to it; two that hold one another end."""
    inside, elsewhere = tmp_path / "inside", tmp_path / "elsewhere"
    inside.mkdir()
    elsewhere.mkdir()
    save(elsewhere, CAPTURE, "far.pcap")
    os.symlink(elsewhere, inside / "there")
    os.symlink(inside, elsewhere / "back")
    assert names(find_items([str(inside)]), inside) == ["there/far.pcap"]


@pytest.mark.parametrize("pattern", ["*/a.pcap", "**/a.pcap", "**", "*", "one/**/*.pcap", "**/on*"])
def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    """As a shell has them; ``**`` is any folders, and goes round in no link."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one" / "deep").mkdir(parents=True)
    save(tmp_path / "one", CAPTURE, "a.pcap")
    save(tmp_path / "one", b"words", "README")
    for k in range(3):
        os.symlink("..", tmp_path / "one" / "deep" / f"loop{k}")
    assert [item.paths for item in find_items([pattern])] == [("one/a.pcap",)]


def test_a_path_with_the_letters_of_a_pattern(tmp_path: Path) -> None:
    """A path that exists is none."""
    path = save(tmp_path, CAPTURE, "a[1]*.pcap")
    save(tmp_path, OTHER, "a1b.pcap")
    assert [item.path for item in find_items([path])] == [path]


def test_output_folder_within_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an audit has written is no input, whichever way it is reached."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path, CAPTURE, "a.pcap")
    for folder in ("tallies", "records", "history/v1", "a"):
        (tmp_path / "out" / folder).mkdir(parents=True)
        save(tmp_path / "out" / folder, CAPTURE, "kept.pcap")
    (tmp_path / "out" / "a" / "report.html").touch()
    os.symlink("out", tmp_path / "results")
    out = Path("out")
    for paths in (["."], ["**/*.pcap"], ["*"], [str(tmp_path)]):
        found = find_items(paths, skip=out)
        assert [os.path.basename(item.path) for item in found] == ["a.pcap"], paths
    save(tmp_path / "out", OTHER, "given.pcap")
    assert names(find_items(["out"], skip=out), Path("out")) == ["given.pcap"]
    assert len(find_items(["out/tallies/kept.pcap"], skip=out)) == 1
    # everything below the folder into which reports go
    assert names(find_items(["a.pcap"], skip=Path(".")), Path(".")) == ["a.pcap"]


def test_what_is_wrong_is_a_row(tmp_path: Path) -> None:
    """A batch goes on without what is missing, empty or damaged; each says why, in one word."""
    good = save(tmp_path, CAPTURE, "a.pcap")
    save(tmp_path, b"", "empty.pcap")
    save(tmp_path, b"", "empty.txt")
    save(tmp_path, gzip.compress(CAPTURE)[:14], "cut.pcap.gz")
    os.symlink("nowhere", tmp_path / "dead.pcap")
    found = find_items([str(tmp_path), f"{tmp_path}/none.pcap", f"{tmp_path}/x*.pcap", good, "-"])
    assert kinds(found) == {
        "a.pcap": None,
        "empty.pcap": "empty",
        "cut.pcap.gz": "damaged",
        "dead.pcap": "missing",
        "none.pcap": "missing",
        "x*.pcap": "missing",
        "-": "missing",
    }
    assert {kind for kind in kinds(found).values() if kind} <= set(WORDS)


@pytest.mark.skipif(
    bool(_PLAIN) and shutil.which("setpriv") is None, reason="setpriv is not installed"
)
def test_no_permission(tmp_path: Path) -> None:
    """Files and folders that may not be read: rows, and a line for what may be no capture."""
    root = tmp_path / "in"
    (root / "closed").mkdir(parents=True)
    save(root, OTHER, "b.pcap")
    for name in ("a.pcap", "log"):
        os.chmod(save(root, CAPTURE, name), 0)
    (root / "closed").chmod(0)
    out = tmp_path / "out"
    done = run("audit", str(root), "-o", str(out), "--format", "json", prefix=_PLAIN)
    (root / "closed").chmod(0o700)
    rows = json.loads((out / "audit.json").read_text())["captures"]
    assert done.returncode == 3
    assert {os.path.basename(row["path"]): row["error_kind"] for row in rows} == {
        "a.pcap": "permission",
        "b.pcap": None,
        "closed": "permission",
    }
    assert f"no permission: {root}/log" in done.stderr.decode()


def test_nothing_at_all(tmp_path: Path) -> None:
    """No report is made of nothing."""
    for paths in ([str(tmp_path)], [str(tmp_path / "none")], [f"{tmp_path}/*.pcap", "-"]):
        with pytest.raises(UsageError):
            find_items(paths)
    with pytest.raises(UsageError, match="ftp:// is not read"):
        find_items(["ftp://host/a.pcap"])


def test_lists_of_paths(tmp_path: Path) -> None:
    """One a line, or with NULs, and then names may have lines."""
    odd = [save(tmp_path, CAPTURE, "two\nlines.pcap"), save(tmp_path, OTHER, "ü \udcff.pcap")]
    listed = tmp_path / "list"
    listed.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in odd))
    assert {item.sources[0] for item in find_items([], from_file=str(listed))} == set(odd)
    for end in (b"\n", b"\r\n", b"\n\n"):
        listed.write_bytes(os.fsencode(odd[1]) + end)
        (item,) = find_items([], from_file=str(listed))
        assert item.sources == (odd[1],) and item.path.endswith("ü \\xff.pcap")
    with pytest.raises(UsageError, match="No such file"):
        find_items([], from_file=str(tmp_path / "none"))


def test_a_list_from_standard_input(tmp_path: Path) -> None:
    """``--from-file -``, by the command itself."""
    save(tmp_path, CAPTURE, "two\nlines.pcap")
    long = save(tmp_path, OTHER, "ü" * 125 + ".pcap")  # 255 bytes
    listed = subprocess.run(["find", tmp_path, "-type", "f", "-print0"], capture_output=True)
    command = "from pcapkit.cli.main import main; main()"
    arguments = ["audit", "--from-file", "-", "-o", str(tmp_path / "out"), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments], input=listed.stdout, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    folders = {path.parent.parent for path in (tmp_path / "out").rglob("analysis.json")}
    assert folders == {tmp_path / "out"} and len(os.path.basename(long).encode()) == 255


def test_known_files_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run opens only what is new, or has another size, time or inode."""
    root, kept = tmp_path / "in", tmp_path / "looks.json"
    root.mkdir()
    for k in range(5):
        save(root, CAPTURE + bytes(k), f"dns.pcap{k}")
    save(root, b"words", "README")
    opened: list[str] = []
    look = catalog.open_source

    def counting(path: str, limits: Limits) -> object:
        opened.append(os.path.basename(path))
        return look(path, limits)

    monkeypatch.setattr(catalog, "open_source", counting)

    def again() -> list[Item]:
        opened.clear()
        looks = Looks.load(kept)
        found = find_items([str(root)], looks=looks)
        looks.save(kept)
        return found

    first = again()
    assert len(opened) == 6
    assert again() == first and opened == []
    save(root, OTHER, "dns.pcap2")
    save(root, OTHER, "new.pcap")
    assert len(again()) == len(first) + 1 and sorted(opened) == ["dns.pcap2", "new.pcap"]
    kept.write_bytes(kept.read_bytes()[:-20])  # torn
    again()
    assert len(opened) == 7


def test_every_kind_has_its_word() -> None:
    """What a process died of, what a disk refused, and faults of our own."""
    full = InputError("out", "cannot be written")
    full.__cause__ = OSError(28, "No space left on device")
    assert kind_of(full) == "disk-full"
    assert kind_of(MemoryError()) == "too-large"
    assert kind_of(ZeroDivisionError()) == "fault"
    assert kind_of(InputError("a", "is a pipe")) == "unreadable"
    assert len(set(WORDS)) == len(KINDS) and set(WORDS) <= set(FAILURE_KINDS)


def test_a_list_without_any_path_is_refused(tmp_path: Path) -> None:
    done = run("audit", "--from-file", "-", "-o", str(tmp_path / "out"), stdin=b"\n")
    assert done.returncode == 2
    assert b"--from-file -: no paths in standard input" in done.stderr
    assert not (tmp_path / "out").exists()
