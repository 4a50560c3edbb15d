"""The programs that are measured: pcapkit in several ways, and its peers.

Peers in Python get a virtual environment of their own, ``benchmarks/out/peers``: one of them is
imported as ``pcapkit`` too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapes import FULL, HERE, OUT, PLAIN

_ENVIRONMENT = OUT / "peers"
_PYTHON = str(_ENVIRONMENT / "bin" / "python")
_PCAPKIT = str(Path(sys.executable).with_name("pcapkit"))

_DPKT = """
import collections, sys
import dpkt
names = collections.Counter()
for _, frame in dpkt.pcap.Reader(open(sys.argv[1], "rb")):
    packet = dpkt.ethernet.Ethernet(frame).data.data
    if isinstance(packet, dpkt.udp.UDP):
        for question in dpkt.dns.DNS(packet.data).qd:
            names[question.name] += 1
"""
_SCAPY = """
import collections, sys
from scapy.layers.dns import DNSQR
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader
names = collections.Counter(p[DNSQR].qname for p in PcapReader(sys.argv[1]) if DNSQR in p)
"""
# It dissects DNS, but its Python side has no class for it. It crashes when Python takes it down.
_PCAPPLUSPLUS = """
import collections, os, sys
from py_pcapplusplus import LayerType, Reader
ports = collections.Counter()
for packet in Reader(sys.argv[1]):
    udp = packet.get_layer(LayerType.UdpLayer)
    if udp is not None:
        ports[udp.dst_port] += 1
os._exit(0)
"""
# It knows no DNS.
_PYPCAPKIT = """
import collections, sys
import pcapkit
ports = collections.Counter()
for frame in pcapkit.extract(fin=sys.argv[1], nofile=True, store=False, auto=False):
    if pcapkit.UDP in frame:
        ports[int(frame[pcapkit.UDP].info.dstport)] += 1
"""

_NAMES = "count names"
_PORTS = "count UDP ports"


@dataclass(frozen=True)
class Program:
    """One program: the nearest job that it can do, and its command (``{}`` is the capture)."""

    name: str
    job: str
    command: tuple[str, ...]
    #: the Debian or Python package that holds it; pcapkit's own ways have none
    debian: str = ""
    python: str = ""
    reads_gzip: bool = False
    #: the shapes it is run on; all, where none is named
    shapes: tuple[str, ...] = ()
    #: It prints figures of its own, as JSON.
    tells: bool = False

    @property
    def is_peer(self) -> bool:
        """Is it somebody else's?"""
        return bool(self.debian or self.python)


PCAPKIT = Program(
    "pcapkit",
    "lookups, waste, what-if, HTML and PNG report",
    (_PCAPKIT, "analyze", "{}", "-o", str(OUT / "reports"), "-q"),
    reads_gzip=True,
)
ONE_CORE = Program(
    "pcapkit, one core", "the same", ("taskset", "-c", "0", *PCAPKIT.command), shapes=(PLAIN,)
)
JSON = Program(
    "pcapkit --json",
    "the same without pages and charts",
    (_PCAPKIT, "analyze", "{}", "--json"),
    shapes=(PLAIN,),
)
DECODE = Program(
    "pcapkit, decoding alone",
    "packets to rows of messages",
    (sys.executable, str(HERE / "decode.py"), "{}"),
    shapes=(PLAIN, FULL),
    tells=True,
)

PROGRAMS = (
    PCAPKIT,
    ONE_CORE,
    JSON,
    DECODE,
    Program("dnstop", _NAMES, ("dnstop", "-l", "4", "{}"), debian="dnstop"),
    Program("dnscap", "print messages", ("dnscap", "-r", "{}", "-g"), debian="dnscap"),
    Program("tcpdump", "print lines", ("tcpdump", "-nr", "{}"), debian="tcpdump"),
    Program(
        "tshark",
        "DNS statistics",
        ("tshark", "-q", "-z", "dns,tree", "-r", "{}"),
        debian="tshark",
        reads_gzip=True,
    ),
    Program(
        "PcapPlusPlus (Python)",
        _PORTS,
        (_PYTHON, "-I", "-c", _PCAPPLUSPLUS, "{}"),
        python="py-pcapplusplus",
    ),
    Program("dpkt", _NAMES, (_PYTHON, "-I", "-c", _DPKT, "{}"), python="dpkt"),
    Program("Scapy", _NAMES, (_PYTHON, "-I", "-c", _SCAPY, "{}"), python="scapy"),
    Program("pypcapkit", _PORTS, (_PYTHON, "-I", "-c", _PYPCAPKIT, "{}"), python="pypcapkit"),
)
PEERS = tuple(p.name for p in PROGRAMS if p.is_peer)


def available(peers: Sequence[str]) -> tuple[list[Program], dict[str, str], list[str]]:
    """Return the programs that can run, the peers' versions, and what is said of the others."""
    out: list[Program] = []
    versions: dict[str, str] = {}
    missing: list[str] = []
    for program in PROGRAMS:
        if program.is_peer and program.name not in peers:
            continue
        if not program.is_peer:
            found = shutil.which(program.command[0]) is not None
        elif program.debian:
            found = shutil.which(program.command[0]) is not None
            versions[program.name] = _said("dpkg-query", "-W", "-f", "${Version}", program.debian)
        else:
            found = _install(program.python)
            asked = f"import importlib.metadata as m; print(m.version({program.python!r}))"
            versions[program.name] = _said(_PYTHON, "-I", "-c", asked)
        if found:
            out.append(program)
        else:
            versions.pop(program.name, None)
            missing.append(f"{program.name} is not installed")
    if PCAPKIT not in out:
        raise SystemExit(f"{_PCAPKIT} is not there: install pcapkit for this Python")
    return out, versions, missing


def _install(package: str) -> bool:
    """Put a package into the peers' environment; is it there?"""
    if not Path(_PYTHON).exists():
        subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
    pip = [_PYTHON, "-I", "-m", "pip", "--disable-pip-version-check"]
    if subprocess.run([*pip, "show", "-q", package], capture_output=True, check=False).returncode:
        print(f"installing {package}", file=sys.stderr)
        done = subprocess.run([*pip, "install", "-q", package], capture_output=True, check=False)
        return done.returncode == 0
    return True


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
