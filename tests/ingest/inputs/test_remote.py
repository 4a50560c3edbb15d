"""Captures that lie elsewhere, from real servers: read in pieces, and every failure explained."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcapkit.batch.finding.catalog import Item, find_items
from pcapkit.batch.finding.looks import Looks
from pcapkit.errors import ChangedInput, InputError, MissingInput, UsageError
from pcapkit.ingest.inputs import remote_calls
from pcapkit.ingest.inputs.source import open_source
from pcapkit.text import shown_path
from tests.batch.test_sets import talk
from tests.build import SECOND, START_NS, conversation, pcap, save
from tests.cli.test_cli import run
from tests.servers import gcs_server, s3_server, sftp_server, silent_server, web_server

LARGE = pcap(talk(START_NS, 20_000, step=SECOND))
ODD = ["two\nlines.pcap", "ü b+c%20&d.pcap", "x" * 250 + ".pcap", "a#b;c=d.pcap"]


def fill(folder: Path) -> Path:
    """Write what the servers serve."""
    inner = folder / "captures" / "deep"
    inner.mkdir(parents=True)
    (folder / "captures" / ".hidden").mkdir()
    save(folder / "captures", pcap(conversation()), "a.pcap")
    save(folder / "captures", b"no capture", "README")
    save(folder / "captures", b"", "empty.pcap")
    save(folder / "captures" / ".hidden", pcap(conversation()), "h.pcap")
    save(inner, gzip.compress(LARGE), "large.pcap.gz")
    save(inner, LARGE, "large.pcap")
    for k in range(3):
        save(inner, pcap(talk(START_NS + 60 * k * SECOND, 60)), f"ring.pcap{k}")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def s3(store: Path) -> Iterator[dict[str, str]]:
    with s3_server(store) as environment:
        yield environment


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    remote_calls._systems.clear()
    return "s3://captures"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def ssh(home: Path) -> Iterator[str]:
    with sftp_server(home) as place:
        yield place


@pytest.fixture
def folder(ssh: str, home: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    remote_calls._systems.clear()
    return f"sftp://{ssh}{store}/captures"


@pytest.fixture
def web(store: Path) -> Iterator[str]:
    remote_calls._systems.clear()
    with web_server(store / "captures") as server:
        yield server.url


@pytest.fixture
def web_without_ranges(store: Path) -> Iterator[str]:
    remote_calls._systems.clear()
    with web_server(store / "captures", ranges=False) as server:
        yield server.url


@pytest.fixture(scope="module")
def gcs(store: Path) -> Iterator[dict[str, str]]:
    with gcs_server(store / "captures", "captures") as environment:
        yield environment


@pytest.fixture
def google(gcs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in gcs.items():
        monkeypatch.setenv(name, value)
    remote_calls._systems.clear()
    return "gs://captures"


@pytest.fixture(params=["bucket", "google", "folder", "web", "web_without_ranges"])
def place(request: pytest.FixtureRequest) -> str:
    """The URL of the folder with captures, at each kind of server."""
    return str(request.getfixturevalue(request.param))


def content(url: str, piece: int = 300_001) -> bytes:
    out = bytearray()
    buffer = memoryview(bytearray(piece))
    with open_source(url) as source:
        while got := source.readinto(buffer):
            out += buffer[:got]
        assert source.change() is None and source.reopens
    return bytes(out)


def names(items: list[Item]) -> list[tuple[str, ...]]:
    return [tuple(path.rpartition("/")[2] for path in item.paths) for item in items]


def test_content_comes_whole(place: str) -> None:
    """In pieces, compressed or not, with the bytes that are there."""
    for name in ("large.pcap", "large.pcap.gz"):
        assert content(f"{place}/deep/{name}") == LARGE
    with open_source(f"{place}/deep/large.pcap") as source:
        assert source.peek(24) == LARGE[:24]


def test_folders_and_patterns(place: str) -> None:
    """As those of this machine: by content, without hidden ones, sets as one."""
    expected = [("a.pcap",), ("large.pcap",), ("large.pcap.gz",)]
    expected += [("ring.pcap0", "ring.pcap1", "ring.pcap2"), ("empty.pcap",)]
    slash = "/" if place.startswith("http") else ""
    found = find_items([f"{place}{slash}"])
    assert names(found) == expected
    assert [item.error_kind for item in found] == [None] * 4 + ["empty"]
    assert names(find_items([f"{place}/deep/lar*"])) == expected[1:3]
    assert names(find_items([f"{place}/**/a.pcap"])) == expected[:1]
    assert names(find_items([f"{place}/deep/ring.pcap[01]"], sets=False)) == [
        ("ring.pcap0",),
        ("ring.pcap1",),
    ]
    both = find_items([f"{place}/a.pcap", f"{place}/none.pcap", f"{place}/none*"])
    assert [item.error_kind for item in both] == [None, "missing", "missing"]


def test_known_objects_are_not_fetched_again(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ETags, or times, say that they are what they were."""
    looks = Looks()
    url = place + ("/" if place.startswith("http") else "")
    first = find_items([url], looks=looks)
    assert all(item.identities[0] is not None for item in first)
    monkeypatch.setattr("pcapkit.batch.finding.catalog.open_source", lambda path: pytest.fail(path))
    monkeypatch.setattr("pcapkit.batch.finding.spans.open_source", lambda path: pytest.fail(path))
    assert find_items([url], looks=looks) == first


def test_odd_names(bucket: str, folder: str, store: Path) -> None:
    """Newlines, Unicode, what URLs have signs for, 255 bytes."""
    odd = store / "captures" / "odd"
    odd.mkdir()
    try:
        for name in ODD:
            save(odd, pcap(conversation()), name)
        # rclone shows a sign in place of a new line
        in_store = [name.replace("\n", "\N{SYMBOL FOR LINE FEED}") for name in ODD]
        for place, listed in ((folder, ODD), (bucket, in_store)):
            found = find_items([f"{place}/odd"])
            assert sorted(n for (n,) in names(found)) == sorted(listed)
            assert all(content(item.sources[0]) for item in found)
            assert [item.error for item in found] == [None] * len(ODD)
    finally:
        shutil.rmtree(odd)


def test_analyze_and_audit_take_urls(place: str, store: Path, tmp_path: Path) -> None:
    """The same numbers as of the file here."""
    done = run("analyze", f"{place}/deep/large.pcap", "--json")
    assert done.returncode == 0, done.stderr
    there, here = (
        json.loads(done.stdout),
        run("analyze", f"{store}/captures/deep/large.pcap", "--json"),
    )
    assert there["waste"] == json.loads(here.stdout)["waste"]
    assert there["captures"][0]["path"] == f"{place}/deep/large.pcap"
    done = run("audit", f"{place}/deep/ring*", "-o", str(tmp_path), "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "audit.json").read_text())["captures"]
    assert row["path"] == f"{place}/deep/ring.pcap0" and row["error"] is None


def test_a_set_by_its_pattern(bucket: str) -> None:
    """``analyze`` reads what a pattern matches as one."""
    done = run("analyze", f"{bucket}/deep/ring.pcap*", "--json")
    assert len(json.loads(done.stdout)["captures"]) == 3


@pytest.mark.parametrize("server", ["web", "web_without_ranges"])
def test_memory_is_bounded(server: str, store: Path, request: pytest.FixtureRequest) -> None:
    """A large object is never in memory as a whole, whether its server gives pieces or not."""
    big = store / "captures" / "big.pcap"
    with big.open("wb") as out:
        out.write(LARGE[:24])
        out.truncate(160 << 20)
    command = (
        "import resource, sys\n"
        "from pcapkit.ingest.inputs.source import open_source\n"
        "piece, total = memoryview(bytearray(1 << 20)), 0\n"
        "with open_source(sys.argv[1]) as source:\n"
        "    source.peek(24)\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    while got := source.readinto(piece): total += got\n"
        "print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    try:
        url = f"{request.getfixturevalue(server)}/big.pcap"
        done = subprocess.run([sys.executable, "-c", command, url], capture_output=True, text=True)
    finally:
        big.unlink()
    assert done.stderr == ""
    total, grown = map(int, done.stdout.split())
    assert total == 160 << 20 and grown < 100 << 10


def failure(*arguments: str, **environment: str) -> str:
    done = run("analyze", *arguments, **environment)
    assert done.returncode == 2 and done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_wrong_and_missing_credentials_of_a_store(bucket: str, tmp_path: Path) -> None:
    """The settings are named, their values are not."""
    url = f"{bucket}/a.pcap"
    said = failure(url, AWS_SECRET_ACCESS_KEY="not-that-secret")
    assert "permission" in said and "AWS_ACCESS_KEY_ID" in said and "not-that-secret" not in said
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    said = failure(url, **nobody)
    assert "credentials are missing" in said and "AWS_PROFILE" in said
    with web_server(tmp_path) as server:
        server.status = 401
        google = {"STORAGE_EMULATOR_HOST": server.url, "NO_GCE_CHECK": "true"}
        said = failure("gs://bucket/a.pcap", HOME=str(tmp_path), **google)
    assert "credentials are missing" in said and "GOOGLE_APPLICATION_CREDENTIALS" in said
    said = failure("abfs://box/a.pcap", HOME=str(tmp_path))
    assert "credentials" in said and "AZURE_STORAGE_ACCOUNT_NAME" in said


def test_missing_things(place: str) -> None:
    """No object, no folder, no host."""
    with pytest.raises(MissingInput):
        open_source(f"{place}/none.pcap")
    with pytest.raises(InputError, match="folder"):
        open_source(f"{place}/deep" + ("/" if place.startswith("http") else ""))
    with pytest.raises(InputError):
        open_source("sftp://nobody@127.0.0.1:9/a.pcap")


@pytest.mark.parametrize("scheme", ["http", "sftp", "s3"])
def test_hosts_that_do_not_answer(bucket: str, scheme: str) -> None:
    """There is a time limit, which can be set; refused connections are told at once."""
    with silent_server() as port:
        host = f"127.0.0.1:{port}"
        url = f"{scheme}://{host if scheme != 's3' else 'bucket'}/a.pcap"
        waits = {"PCAPKIT_REMOTE_TIMEOUT": "1", "AWS_ENDPOINT_URL": f"http://{host}"}
        assert "no answer within 1 s" in failure(url, **waits)
    if scheme != "s3":
        assert "refuses the connection" in failure(url)


def test_nobody_waits_twice_for_a_silent_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list of URLs of one dead host is done in the time of the first of them."""
    monkeypatch.setenv("PCAPKIT_REMOTE_TIMEOUT", "0.5")
    remote_calls._systems.clear()
    with silent_server() as port:
        urls = [f"http://127.0.0.1:{port}/{k}.pcap" for k in range(500)]
        before = threading.active_count()
        with pytest.raises(UsageError, match=r"127.0.0.1.* and 497 more; http.*no answer within"):
            find_items(urls)
        assert threading.active_count() < before + 100


def test_refused_by_a_web_server(store: Path) -> None:
    """What the status says, without what the URL has of secrets."""
    remote_calls._systems.clear()
    with web_server(store / "captures") as server:
        url = server.url.replace("//", "//somebody:top-secret@") + "/a.pcap?signature=top-secret"
        for status, words in ((401, "credentials"), (403, "permission"), (503, "503")):
            server.status = status
            said = failure(url)
            assert words in said and "top-secret" not in said and "somebody" not in said
            assert f"{server.url}/a.pcap?signature=" in said


def test_secrets_reach_no_report(store: Path, tmp_path: Path) -> None:
    """Of a URL with a password and a signature, reports show the rest; both are used."""
    with web_server(store / "captures") as server:
        server.password = "Basic bWU6dG9wLXNlY3JldA=="  # me:top-secret
        url = server.url.replace("//", "//me:top-secret@") + "/a.pcap?sig=top-secret"
        done = run("audit", url, f"{url}0", "-o", str(tmp_path), "-v", "--format", "html,json,md")
        assert done.returncode == 0, done.stderr
        shown = run("--debug", "analyze", url.replace("a.pcap", "none.pcap"), "-v")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for text in (done.stdout, done.stderr, shown.stderr, *written):
        assert b"top-secret" not in text and b"//me" not in text
    assert "secret" not in repr(Item((shown_path(url),), (url,), (None,)))


def test_secret_places_in_urls() -> None:
    """Whatever stands before the host, and behind the question mark."""
    for url, shown in {
        "sftp://me:secret@host:22/a": "sftp://me@host:22/a",
        "sftp://me:sec@ret@host/a": "sftp://me@host/a",
        "sftp://me:sec/ret@host/a": "sftp://…",
        "https://token@host/a?X=secret&Y=secret#part": "https://host/a?X=…&Y=…",
        "https://host/a?secret": "https://host/a?…",
        "s3://key:secret@bucket/a?b": "s3://key@bucket/a?b",
        "abfs://box@account.dfs.core.windows.net/a@b": "abfs://box@account.dfs.core.windows.net/a@b",
        "folder/a:b@c.pcap": "folder/a:b@c.pcap",
    }.items():
        assert shown_path(url) == shown


def test_keys_of_hosts(folder: str, home: Path) -> None:
    """A host whose key is not known is not talked to, and nobody is let in without a key."""
    url = f"{folder}/a.pcap"
    known = home / ".ssh" / "known_hosts"
    kept = known.read_text()
    try:
        known.write_text("")
        assert "known_hosts" in failure(url, HOME=str(home))
    finally:
        known.write_text(kept)
    key = home / ".ssh" / "id_ed25519"
    key.rename(home / "elsewhere")
    try:
        said = failure(url.replace("@", ":top-secret@"), HOME=str(home))
    finally:
        (home / "elsewhere").rename(key)
    assert "credentials" in said and "~/.ssh/config" in said and "top-secret" not in said


def test_objects_that_change_while_they_are_read(bucket: str, folder: str, store: Path) -> None:
    """An object is replaced as a whole: its parts do not belong together. A file may grow."""
    path = store / "captures" / "changing.pcap"
    try:
        for place, grows in ((bucket, False), (folder, True)):
            path.write_bytes(LARGE)
            os.utime(path, (1, 1))
            with open_source(f"{place}/changing.pcap") as source:
                source.peek(24)
                with path.open("ab") as more:
                    more.write(LARGE[24:])
                if grows:
                    assert "still being written" in str(source.change())
                else:
                    with pytest.raises(ChangedInput):
                        source.change()
                path.write_bytes(LARGE[:24] + LARGE[60:])
                with pytest.raises(ChangedInput):
                    source.change()
    finally:
        path.unlink()


def test_without_the_packages(tmp_path: Path) -> None:
    """What is to be installed is said; and without a URL nothing of it is imported."""
    command = (
        "import sys\n"
        "for name in ('fsspec', 's3fs', 'aiohttp', 'sshfs', 'gcsfs', 'adlfs'):\n"
        "    sys.modules[name] = None\n"
        "from pcapkit.cli.main import main\nmain()\n"
    )

    def without(*arguments: str) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(
            [sys.executable, "-c", command, *arguments], capture_output=True, text=True
        )

    for scheme in ("s3", "gs", "abfs", "sftp", "https"):
        done = without("analyze", f"{scheme}://host/a.pcap")
        assert done.returncode == 2
        assert "pip install 'pcapkit-dns[remote]'" in done.stderr, scheme
    path = save(tmp_path, pcap(conversation()))
    done = without("audit", path, str(tmp_path), "-o", str(tmp_path / "out"), "--format", "json")
    assert done.returncode == 0, done.stderr


def test_connection_lost_while_reading(store: Path) -> None:
    """A capture that came in part is no capture: it fails, and is not analysed up to there."""
    remote_calls._systems.clear()
    with web_server(store / "captures") as server:
        source = open_source(f"{server.url}/deep/large.pcap")
        assert source.peek(24)
        server.status = 503
        with source, pytest.raises(InputError, match="503"):
            while source.readinto(memoryview(bytearray(1 << 20))):
                pass


def test_no_thread_is_waited_for(store: Path) -> None:
    """Whoever leaves early leaves no call behind that holds the process."""
    remote_calls._systems.clear()
    with web_server(store / "captures") as server:
        with open_source(f"{server.url}/deep/large.pcap") as source:
            source.readinto(memoryview(bytearray(200_000)))
        assert all(t.daemon for t in threading.enumerate() if t.name.startswith("pcapkit"))
