"""What runs ask of the system: strace(1) sees the calls of all of their processes."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.build import packets, pcap
from tests.capturing.test_capture import Cluster
from tests.environment.kills import LAB, command, manifest
from tests.ingest.packet.test_scapy_layers import WRAPPED

CAPTURE = LAB / "whatif_w1_glibc_ndots5.pcap"
_SEEN = (
    "network,execve,open,openat,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,io_uring_setup"
)
_CALL = re.compile(r"(\w+)\((.*?)\)? += (-?\d+)(?:<(.*?)>)?")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
#: The file that the analyses of the first cases leave for later ones.
_BEFORE: dict[str, tuple[tuple[str, ...], ...]] = {
    "merge": (("tally", "in/dns.pcap", "-o", "dns.tally"),)
}
#: A use of each command, on real captures; and more of some, where other parts are used.
CASES: dict[str, tuple[str, ...]] = {
    "analyze": (
        *("analyze", "in/dns.pcap", "-o", "out"),
        *("--format", "html,json,md,csv,parquet", "--junit", "out/gate.xml"),
        *("--fail-on", "waste>99%"),
    ),
    "audit": ("audit", "in", "-o", "out", "--workers", "2", "--history", "-q"),
    "capture": (
        *("capture", "pod/web-0", "-n", "shop", "--for", "20s", "--via", "node"),
        *("-o", "out", "--format", "html,json"),
    ),
    "compare": ("compare", "in/dns.pcap", "in/more.pcap"),
    "expand": ("expand", "example.com", "--resolv-conf", "resolv.conf"),
    "explain": ("explain", "limits"),
    "export": ("export", "in/dns.pcap", "-t", "lookups", "-o", "out/lookups.csv"),
    "fix": (
        *("fix", "in/dns.pcap", "--manifests", "out", "--write"),
        *("--plan", "names", "--include-review"),
    ),
    "generate": ("generate", "plain", "-o", "out/made.pcap"),
    "merge": ("merge", "dns.tally", "-o", "out", "-q"),
    "share": ("share", "in/dns.pcap", "-o", "out/shared.pcap", "--key", "key"),
    "sql": ("sql", "select count(*) from lookups", "in/dns.pcap"),
    "tally": ("tally", "in/dns.pcap", "in/more.pcap", "-o", "out"),
    "analyze radio": ("analyze", "radio.pcap", "--json"),
    "analyze text": ("analyze", str(LAB / "fmt_text_vv_tt.txt"), "-o", "out", "-q"),
    "export, much": ("export", "much.pcap", "-t", "messages", "-o", "out/messages.jsonl"),
}


@dataclass(frozen=True)
class Call:
    """A system call that succeeded; ``path`` is of what it made or opened."""

    name: str
    arguments: str
    path: str

    @property
    def makes(self) -> bool:
        """Does it make a file or a folder, or may it?"""
        if self.name in ("open", "openat"):
            return "O_CREAT" in self.arguments or "O_TMPFILE" in self.arguments
        return self.name in (
            "creat",
            "mkdir",
            "mkdirat",
            "mknod",
            "mknodat",
            "symlink",
            "symlinkat",
        )

    @property
    def mode(self) -> int:
        """The permissions that it asks for; a link has none of its own."""
        return int(self.arguments.rpartition(", ")[2], 8) if "link" not in self.name else 0


@dataclass(frozen=True)
class Traced:
    """One run: how it ended, and the calls of its processes, process by process."""

    folder: Path
    status: int
    said: str
    calls: tuple[Call, ...]

    def of(self, *names: str) -> list[str]:
        """Return the arguments of all calls of some names."""
        return [call.arguments for call in self.calls if call.name in names]

    @property
    def programs(self) -> set[str]:
        """The programs that were started."""
        return {os.path.basename(str(_first(given))) for given in self.of("execve")}


def trace(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], umask: int = 0
) -> Traced:
    """Run a program in a folder; skips where nothing can be traced."""
    if not _may_trace():
        pytest.skip("strace, with the right to trace, is not installed")
    calls = folder / "calls"
    calls.mkdir()
    tracer = ["strace", "-ff", "-y", "-qq", "-s", "4096", "--seccomp-bpf", "-e", f"trace={_SEEN}"]
    done = subprocess.run(
        [*tracer, "-o", str(calls / "of"), *arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=umask,
        timeout=300,
        check=False,
    )
    seen = tuple(c for path in sorted(calls.iterdir()) for c in _calls(path, folder))
    shutil.rmtree(calls)
    assert seen, done.stderr
    return Traced(folder, done.returncode, done.stdout + done.stderr, seen)


@functools.cache
def _may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-f", "true"], capture_output=True, check=False).returncode == 0
    )


def _calls(path: Path, folder: Path) -> Iterator[Call]:
    for line in path.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match and (int(match[3]) >= 0 or match[1] in ("socket", "connect", "sendto")):
            at = match[4] or str(folder / (_first(match[2]) or ""))
            yield Call(match[1], match[2], at.removesuffix(" (deleted)"))


def _first(arguments: str) -> str | None:
    found = _TEXT.search(arguments)
    return found and found[1]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment whose home and temporary folder lie in a folder."""
    left = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "MPL", "PCAPKIT_"))}
    for name in ("home", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    return left | {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")} | more


@functools.cache
def traced(case: str, base: Path) -> Traced:
    """Run a case under a umask of 0, which takes nothing away; once for all tests."""
    folder = base / re.sub(r"\W+", "-", case)
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    for name, source in (("dns", CAPTURE), ("more", LAB / "busybox_nslookup.pcap")):
        shutil.copy(source, folder / "in" / f"{name}.pcap")
    (folder / "resolv.conf").write_text("search a.example\noptions ndots:5\n")
    played = environment(folder)
    if case == "capture":
        (folder / "cluster").mkdir()
        played |= Cluster(folder / "cluster").environment | {"HOME": played["HOME"]}
    elif case == "fix":
        (folder / "out" / "web.yaml").write_text(manifest())
    elif case == "analyze radio":
        linktype, packet = WRAPPED["802.11"]
        (folder / "radio.pcap").write_bytes(pcap(packets(packet), linktype=linktype))
    elif case == "export, much":
        data = CAPTURE.read_bytes()
        (folder / "much.pcap").write_bytes(data[:24] + 450 * data[24:])
    for arguments in _BEFORE.get(case, ()):
        subprocess.run(command(arguments), cwd=folder, env=played, check=True, capture_output=True)
    return trace(command(CASES[case]), folder, played)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all traced runs."""
    return tmp_path_factory.mktemp("traced")


PYTHON = {os.path.basename(sys.executable), "python", "python3", "env"}
