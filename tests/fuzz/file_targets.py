"""Targets of small files: settings, cluster, manifests, tallies, histories, saved results."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pcapkit.batch.history.runs import add_run, read_history
from pcapkit.batch.sides import load_saved
from pcapkit.batch.tallies.merge import write_tally
from pcapkit.cluster.corefile import parse_corefile
from pcapkit.cluster.pods import parse_pods
from pcapkit.errors import PcapkitError
from pcapkit.ingest.tallies.file import read_tallies
from pcapkit.ingest.tallies.replay import open_captures
from pcapkit.ingest.window import Interners
from pcapkit.manifests.fix import fix_plan
from pcapkit.manifests.output import unified_diff
from pcapkit.manifests.tree import read_tree
from pcapkit.resolver.resolv_conf import parse_resolv_conf
from tests.build import conversation, ethernet, framed, ipv4, packets, pcap, query, tcp
from tests.fuzz.outcomes import Outcome, Target, capture_outcome, text_of
from tests.manifests.plans import plan
from tests.manifests.test_trees import CASES

_ROOT = Path(__file__).parents[2]


def _in_folder(read: Callable[[Path, bytes], Outcome]) -> Callable[[bytes], Outcome]:
    """Return a reader of files, given an empty folder whose name never shows in the outcome."""

    def run(data: bytes) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="pcapkit-fuzz-") as folder:
            try:
                return read(Path(folder), data)
            except PcapkitError as problem:
                text = str(problem).replace(folder, "")
                raise PcapkitError(f"{type(problem).__name__}: {text}") from None

    return run


def read_resolv_conf(data: bytes) -> Outcome:
    """Parse a resolv.conf and ask for its numbers."""
    found = parse_resolv_conf(text_of(data), path="resolv.conf")
    return [
        repr(found),
        found.ndots_in_force,
        found.number("timeout", 5, 30),
        found.number("attempts", 2, 5),
    ]


def _resolv_conf_seeds() -> Iterator[bytes]:
    yield b"nameserver 10.96.0.10\nsearch a.svc.cluster.local svc.cluster.local\noptions ndots:5\n"
    yield b"# comment\n; more\ndomain example.com\noptions timeout:2 attempts:9 rotate ndots:99\n"
    yield b"search .\nsortlist 10.0.0.0/8\nnameserver fd00::53%eth0\nnameserver\n"
    yield b"search a\\046b \\.c\nsearch\n"


def read_corefile(data: bytes) -> Outcome:
    """Parse a Corefile."""
    return [repr(parse_corefile(text_of(data), path="Corefile").to_json())]


_COREFILE = """\
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 30
    }
    cache 30 {
        success 9984 20
        denial 9984 5
    }
    autopath @kubernetes
    forward . /etc/resolv.conf
}
"""


def _corefile_seeds() -> Iterator[bytes]:
    yield _COREFILE.encode()
    yield b"example.org { # none\n file db\n}\ncluster.local:53 { kubernetes\n cache }\n"
    yield b"a {\n kubernetes K.Local {\n ttl 3600\n }\n cache\n}\n"


def _configmap_seeds() -> Iterator[bytes]:
    lines = "".join(f"    {line}\n" for line in _COREFILE.splitlines())
    yield ("apiVersion: v1\nkind: ConfigMap\ndata:\n  Corefile: |\n" + lines).encode()
    item = {"kind": "ConfigMap", "data": {"Corefile": _COREFILE}}
    yield json.dumps(item).encode()
    yield json.dumps({"kind": "List", "items": [None, {"data": {}}, item]}, indent=1).encode()
    yield b"data: &a {Corefile: 'x { kubernetes }', b: *a}\n"
    yield b"data:\n  Corefile: |\n    {{ .Values.x }}\n    .:53 {\n      kubernetes\n    }\n"


def read_pods(data: bytes) -> Outcome:
    """Parse what kubectl prints of pods and services."""
    found = parse_pods(text_of(data), path="pods.json")
    return [repr(found.pods), repr(found.nodes), repr(found.families), repr(found.services)] + [
        sorted(a.hex() for a in found.dns)
    ]


def _pods_seeds() -> Iterator[bytes]:
    whole = json.loads((_ROOT / "tests/data/kubernetes/pods-services.json").read_bytes())
    for item in whole["items"]:
        yield json.dumps({"kind": "List", "items": [item]}).encode()
    yield json.dumps({"kind": "PodList", "items": [{"metadata": {"name": "a"}}]}).encode()


def _read_manifests(folder: Path, data: bytes) -> Outcome:
    """Change a folder of one manifest by the plan of a case that the first byte picks."""
    cases = _cases()
    case = CASES[cases[data[0] % len(cases)]] if data else CASES[cases[0]]
    path = sorted(case.files)[data[0] % len(case.files)] if data else sorted(case.files)[0]
    for name, text in case.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data[1:] if name == path else text.encode())
    tree = read_tree(folder)
    made = fix_plan(
        plan(*case.steps),
        tree,
        case.clients,
        case.asked or {},
        nameservers=case.nameservers,
        include_review=True,
    )
    notes = [note.replace(str(folder), "") for note in made.notes]
    return [notes, unified_diff(made), repr(made.plan)]


@cache
def _cases() -> list[str]:
    return sorted(CASES)


def _manifest_seeds() -> Iterator[bytes]:
    for number, name in enumerate(_cases()[:256]):
        case = CASES[name]
        path = sorted(case.files)[number % len(case.files)]
        if len(case.files[path]) < 1400:
            yield bytes([number]) + case.files[path].encode()


@cache
def _tally() -> tuple[tuple[str, bytes], ...]:
    """Return the members of a tally of a small capture, some of whose packets need others."""
    stream = framed(query("a.example.com"), query("b.example.com"))
    parts = [
        ethernet(ipv4(tcp(part, sequence=at + 1), protocol=6, ident=at + 1))
        for at, part in ((0, stream[:20]), (20, stream[20:]))
    ]
    with tempfile.TemporaryDirectory(prefix="pcapkit-fuzz-") as folder:
        path = Path(folder) / "c.pcap"
        path.write_bytes(pcap([*conversation()[:6], *packets(*parts)]))
        made = write_tally(str(path), Path(folder) / "tallies")[0]
        with zipfile.ZipFile(made) as archive:
            return tuple((i.filename, archive.read(i)) for i in archive.infolist())


def _read_tally(folder: Path, data: bytes) -> Outcome:
    """Merge a tally in which one member is other bytes: the first byte picks it; 255: the file."""
    members = _tally()
    which = data[0] if data else 255
    path = folder / "t.tally"
    if which == 255:
        path.write_bytes(data[1:])
    else:
        changed = members[which % len(members)][0]
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in members:
                archive.writestr(name, data[1:] if name == changed else content)
        path.write_bytes(out.getvalue())
    interners = Interners()
    parts, failures = read_tallies([str(path)])
    found = [capture_outcome(c, interners) for c in open_captures(parts, interners)]
    return [repr(failures), found]


def _tally_seeds() -> Iterator[bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, content) in enumerate(_tally()):
            if len(content) < 6000:
                yield bytes([number]) + content
            archive.writestr(name, content[:600])
    yield b"\xff" + out.getvalue()


def _read_history(folder: Path, data: bytes) -> Outcome:
    """Read a history of one run."""
    path = folder / "history/v1/date=2026-05-27/0123456789abcdef.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    found = read_history(folder)
    warnings = [w.replace(str(folder), "") for w in found.warnings]
    return [repr(found.runs), warnings]


def _history_seeds() -> Iterator[bytes]:
    from tests.batch.history.nights import capture, failed, workload

    rows = [capture(0, [workload("web", 10, 40, 20), workload(None, 1, 2)]), failed("x", "empty")]
    with tempfile.TemporaryDirectory(prefix="pcapkit-fuzz-") as folder:
        path = add_run(folder, rows)
        assert path is not None
        yield (Path(folder) / path).read_bytes()


def _read_saved(folder: Path, data: bytes) -> Outcome:
    """Read a saved analysis."""
    path = folder / "analysis.json"
    path.write_bytes(data)
    return [repr(load_saved(str(path)))]


def _saved_seeds() -> Iterator[bytes]:
    path = _ROOT / "reports/example/whatif_w1_glibc_ndots5/analysis.json"
    yield json.dumps(_shorter(json.loads(path.read_bytes()))).encode()


def _shorter(value: Any) -> Any:
    """Return JSON with no more than two items in each list."""
    if isinstance(value, dict):
        return {key: _shorter(v) for key, v in value.items()}
    return [_shorter(v) for v in value[:2]] if isinstance(value, list) else value


_YAML = (b": ", b"- ", b"|\n", b"*a", b"&a ", b"!!", b"{", b"[", b"'", b"---\n", b"<<: *a", b"\t")
_JSON = (b'":{"', b"[]", b"null", b"1e999", b'"items":[', b"\\ud800", b'"kind":"', b"-1", b"true")
FILE_TARGETS = (
    Target(
        "resolv.conf",
        read_resolv_conf,
        _resolv_conf_seeds,
        (b"search ", b"domain ", b"options ", b"ndots:", b"timeout:", b"\xc2\xb2", b"\\000"),
        300,
    ),
    Target(
        "Corefile",
        read_corefile,
        _corefile_seeds,
        (b"kubernetes ", b"{\n", b"}\n", b"cache ", b"ttl ", b"\xd9\xa1", b"success ", b"#"),
        400,
    ),
    Target("ConfigMap", read_corefile, _configmap_seeds, (*_YAML, b"Corefile: |", b"data:"), 600),
    Target("kubectl JSON", read_pods, _pods_seeds, (*_JSON, b'"podIP":"', b'"startTime":"'), 1400),
    Target("manifests", _in_folder(_read_manifests), _manifest_seeds, _YAML, 700),
    Target("tally", _in_folder(_read_tally), _tally_seeds, _JSON, 4200),
    Target("history", _in_folder(_read_history), _history_seeds, (b"PAR1",), 20_000),
    Target("saved analysis", _in_folder(_read_saved), _saved_seeds, _JSON, 16_000),
)
