"""``generate --like``: a capture of the same shape as another, without its names and addresses."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner

import pcapkit
from pcapkit.cli.root import cli
from pcapkit.pipeline.analysis import Analysis
from tests.generating.held import differences

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "captures" / "lab"
#: Labels of made-up names that are nobody's: reserved, or the same in every cluster.
STOCK = {"svc", "cluster", "local", "example", "com", "net", "org", "in-addr", "ip6", "arpa"}
MODELS = (
    "whatif_w1_glibc_ndots5.pcap",
    "whatif_w1_glibc_ndots2.pcap",
    "whatif_w1_musl_ndots5.pcap",
    "whatif_w1_go_ndots5.pcap",
    "cloud_eks_5suffix_glibc.pcap",
    "fault_loss_queries.pcap",
    "wildcard_suffix.pcap",
    "busybox_nslookup.pcap",
)


def alike(model: Path, folder: Path, *options: str) -> tuple[Analysis, Analysis, Path]:
    """Write a capture like another; return the analyses of both, and where it is."""
    path = folder / "made.pcap"
    done = CliRunner().invoke(cli, ["generate", "--like", str(model), "-o", str(path), *options])
    assert done.exit_code == 0, done.exception
    made = pcapkit.analyze(path)
    assert differences(json.loads((folder / "made.truth.json").read_text()), made) == []
    return pcapkit.analyze(model), made, path


def labels_of(analysis: Analysis) -> set[str]:
    frame = analysis.transactions
    names = set(frame["qname"].dropna()) | {s for c in analysis.client_rows for s in c.search}
    return {label for name in names for label in name.lower().split(".")}


def words(labels: set[str]) -> set[str]:
    """Return labels that say something: no stock, and no number or protocol."""
    return {w for w in labels if w not in STOCK and not w.isdigit() and not w.startswith("_")}


@pytest.mark.parametrize("name", MODELS)
def test_the_shape_is_that_of_the_capture(tmp_path: Path, name: str) -> None:
    source, made, _ = alike(LAB / name, tmp_path)
    assert made.lookup_counts.complete == source.lookup_counts.complete
    assert len(made.client_rows) == len(source.client_rows)
    for mine, theirs in zip(made.client_rows, source.client_rows, strict=True):
        assert len(mine.search) == len(theirs.search)
        assert mine.ndots.low <= theirs.ndots.value <= mine.ndots.high
        assert mine.lookups == pytest.approx(theirs.lookups, abs=2)
    assert made.waste.share == pytest.approx(source.waste.share, abs=0.06)
    for outcome, count in source.lookup_counts.complete_by_outcome.items():
        now = made.lookup_counts.complete_by_outcome[outcome]
        assert now == pytest.approx(count, abs=max(2, 0.05 * source.lookup_counts.complete))
    dots = [sorted(n.dots for n in a.name_rows if n.kind != "reverse") for a in (source, made)]
    assert dots[1] == pytest.approx(dots[0]) or len(dots[0]) != len(dots[1])


@pytest.mark.parametrize("name", MODELS)
def test_no_name_and_no_address_is_kept(tmp_path: Path, name: str) -> None:
    source, made, path = alike(LAB / name, tmp_path)
    known = words(labels_of(source))
    assert len(known) > 3
    assert not known & words(labels_of(made))
    bytes_of = [path.read_bytes(), (tmp_path / "made.truth.json").read_bytes()]
    for data in bytes_of:
        for word in known:
            wired = bytes([len(word)]) + word.encode()
            assert wired not in data and f'"{word}.'.encode() not in data
    frame = source.transactions
    for address in {*frame["client_addr"], *frame["server_addr"].dropna()}:
        assert ip_address(address).packed not in bytes_of[0], address
        assert f'"{address}"'.encode() not in bytes_of[1]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for number, seed in enumerate(("1", "1", "2")):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, _, path = alike(LAB / MODELS[0], folder, "--seed", seed)
        made.append((path.read_bytes(), (folder / "made.truth.json").read_bytes()))
    assert made[0] == made[1] and made[0][0] != made[2][0]


def test_more_lookups_keep_the_shape(tmp_path: Path) -> None:
    source, made, _ = alike(LAB / MODELS[0], tmp_path, "--lookups", "2000", "--for", "1h")
    assert made.lookup_counts.total == 2000
    assert made.waste.share == pytest.approx(source.waste.share, abs=0.02)
    first, last = (getattr(made.captures[0], f"{w}_time") for w in ("first", "last"))
    assert 1800 < (last - first) / 1e9 < 7200


def test_delays_and_losses_are_those_of_the_capture(tmp_path: Path) -> None:
    run = CliRunner()
    for name in ("slow-server", "lost-queries"):
        model = tmp_path / f"{name}.pcap"
        run.invoke(cli, ["generate", name, "-o", str(model), "--lookups", "1500"])
        source, made, _ = alike(model, tmp_path)
        medians = [a.transactions["rtt_s"].median() for a in (source, made)]
        assert medians[1] == pytest.approx(medians[0], rel=0.15)
        rates = [a.transaction_counts.retries / a.waste.queries for a in (source, made)]
        assert rates[1] == pytest.approx(rates[0], rel=0.35, abs=0.002)


def test_a_capture_without_lookups_gives_one_without(tmp_path: Path) -> None:
    model = tmp_path / "idle.pcap"
    CliRunner().invoke(cli, ["generate", "empty", "-o", str(model)])
    source, made, _ = alike(model, tmp_path)
    assert source.packets.total == made.packets.total == 0
