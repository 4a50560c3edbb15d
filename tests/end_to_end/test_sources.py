"""The table of sources, row by row: ``pcapkit analyze`` reads each kind that it names."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import zstandard
from click.testing import CliRunner

from pcapkit.cli.root import cli
from tests import play
from tests.build import ptcpdump
from tests.ingest.logs import test_dnstap as dnstap
from tests.ingest.logs import test_forms as forms
from tests.ingest.logs.test_lines import DATA
from tests.ingest.logs.test_wrapped import LIST
from tests.ingest.logs.walks import Query, coredns, iso, tcpdump, walk, wrapped
from tests.pipeline.test_containers import capture, named

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "inputs.md").read_text()
WALK = walk("api.acme.test", LIST)
#: What a file holds, its lookups, and the queries of these that are wasted.
Source = tuple[bytes, int, int]


def text(lines: list[str]) -> Source:
    """Return lines that show WALK."""
    return ("\n".join(lines) + "\n").encode(), 1, 6


def of_coredns(line: Callable[[Query], str]) -> Source:
    return text([f"{iso(q.done)} {line(q)}" for q in WALK])


def sample(name: str) -> Source:
    """Return a file that shows the three lookups of ``tests/ingest/packet/walks.py``."""
    return (DATA / name).read_bytes(), 3, 8


CONTAINERS = named(*ptcpdump("app", pod="web-1"))
SHOP = play.SHOP.under(rounds=1)
SHOP_WASTED = sum(done.wasted for _, done in SHOP.walks())
#: A word of each row's first cell, and inputs of the kinds that the row names.
ROWS: dict[str, dict[str, Source]] = {
    "CoreDNS": {
        "common": of_coredns(coredns),
        "combined": of_coredns(lambda q: f'{coredns(q)} "0"'),
        "as kubectl prints it": sample("coredns.log"),
        **{name: of_coredns(form) for name, form in forms.CUSTOM.items()},
    },
    "dnsmasq": {
        f"{name}, extra: {extra}": text(forms.dnsmasq(WALK, before, extra=extra))
        for name, before in forms.DNSMASQ.items()
        for extra in (False, True)
    },
    "Hubble": {
        "JSON": sample("hubble.jsonl"),
        **{f"text, {name}": text(forms.hubble(WALK, **how)) for name, how in forms.HUBBLE.items()},
    },
    "Inspektor Gadget": {
        "JSON": sample("ig-run-trace_dns.jsonl"),
        "JSON of the gadget built in": sample("gadget-trace-dns.jsonl"),
        **{f"columns, {head}": text(forms.gadget(head)) for head in forms.COLUMNS},
    },
    "NetObserv": {name: text(forms.netobserv(more)) for name, more in forms.FLOWS.items()},
    "tshark": {name: text(lines(WALK)) for name, lines in forms.TSHARK.items()},
    "ptcpdump": {"pcapng": (capture((SHOP, CONTAINERS)), len(SHOP.walks()), SHOP_WASTED)},
    "dnstap": {
        f"handshake: {handshake}": (dnstap.stream(dnstap.walks(), handshake=handshake), 3, 8)
        for handshake in (False, True)
    },
}
PRINTED = text(tcpdump(WALK))[0]
#: What the paragraphs around the table name.
AROUND: dict[str, Source] = {
    "tcpdump": (PRINTED, 1, 6),
    "gzip": (gzip.compress(PRINTED), 1, 6),
    "zstd": (zstandard.compress(PRINTED), 1, 6),
    "xz": (lzma.compress(PRINTED), 1, 6),
    "bzip2": (bz2.compress(PRINTED), 1, 6),
    "lz4": (lz4.frame.compress(PRINTED), 1, 6),
    "UTF-16": (PRINTED.decode().encode("utf-16"), 1, 6),
    "Docker": text([wrapped(coredns(q), q.done, "log", "time", None) for q in WALK]),
    "Fluent Bit": text([wrapped(coredns(q), q.done, "log", "date", None) for q in WALK]),
    "Vector": text([wrapped(coredns(q), q.done, "message", "timestamp", None) for q in WALK]),
    "Markdown": text(["```", *(f"{iso(q.done)} {coredns(q)}" for q in WALK), "```"]),
}


def analysed(content: bytes, folder: Path) -> dict[str, Any]:
    """Return what ``pcapkit analyze FILE --json`` prints."""
    path = folder / "source"  # recognised by content, whatever it is called
    path.write_bytes(content)
    done = CliRunner().invoke(cli, ["analyze", str(path), "--json"])
    assert done.exit_code == 0, done.output
    out: dict[str, Any] = json.loads(done.stdout)
    return out


def rows_of_the_readme() -> list[str]:
    """Return the first cells of the table."""
    table = PAGE.split("| source | needs |")[1].split("\n\n")[0]
    return [line.split("|")[1] for line in table.splitlines()[2:]]


def test_the_table_has_these_rows() -> None:
    cells = rows_of_the_readme()
    assert len(cells) == len(ROWS)
    for cell, word in zip(cells, ROWS, strict=True):
        assert re.search(rf"\b{word}\b", cell)


@pytest.mark.parametrize(
    ("row", "kind"), [(row, kind) for row, kinds in ROWS.items() for kind in kinds]
)
def test_each_kind_of_each_row_is_read(row: str, kind: str, tmp_path: Path) -> None:
    content, lookups, wasted = ROWS[row][kind]
    found = analysed(content, tmp_path)
    assert (found["lookups"]["total"], found["waste"]["wasted_queries"]) == (lookups, wasted)


@pytest.mark.parametrize("word", AROUND)
def test_what_the_text_around_names_is_read(word: str, tmp_path: Path) -> None:
    assert word in PAGE
    content, lookups, wasted = AROUND[word]
    found = analysed(content, tmp_path)
    assert (found["lookups"]["total"], found["waste"]["wasted_queries"]) == (lookups, wasted)
