"""The page and its pictures: complete, self-contained, and deaf to what names say."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.html.canvas import COLOURS
from pcapkit.report.html.charts import CHARTS
from pcapkit.report.html.page import render_page
from pcapkit.report.html.pictures import draw
from pcapkit.report.html.sections.lookups import chains
from pcapkit.report.html.sections.order import SECTIONS
from pcapkit.report.markdown import render_markdown
from pcapkit.report.text.verdict import headline
from pcapkit.report.text.wording import overall
from tests.analysis.talk import NAMESPACE, Talk
from tests.build import answer, ask, ethernet, packets, pcap, query, response, save, soa_record

LAB = Path(__file__).resolve().parents[3] / "captures" / "lab"
TRACES = LAB.parent / "six-traces"

EVIL = [b"<script>alert(1)</script>", b"$\\frac{a}", b'"onload="x', b"{{7*7}}", b"a`|b\x1b[31m"]


@pytest.fixture(scope="module")
def several() -> Analysis:
    return analyze(LAB / "multi6_any_sll2.pcap")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A pod that walks a search list for names made to break a report."""
    frames = []
    number = 0
    for label in EVIL:
        for suffix in (b"default.svc.cluster.local", b"svc.cluster.local", b""):
            name = [label, b"com", *[p for p in suffix.split(b".") if p]]
            number += 1
            frames.append(ethernet(ask(query(name, ident=number), ident=number)))
            frames.append(
                ethernet(
                    answer(
                        response(name, ident=number, rcode=3, authority=[soa_record()]),
                        ident=number,
                    )
                )
            )
    path = save(tmp_path_factory.mktemp("hostile"), pcap(packets(*frames, step=100_000)))
    return analyze(path)


class _Page(HTMLParser):
    """Notes tags, and where the page would load something from."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            assert not key.startswith("on"), (tag, key)
            if key in ("src", "href", "xlink:href", "action") and value is not None:
                self.loads.append(value)


def parse(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    return parser


def test_the_page_has_every_section_in_order(several: Analysis) -> None:
    page = render_page(several)
    there = [identity for identity, *_ in SECTIONS if f'<section id="{identity}"' in page]
    assert {identity for identity, *_ in SECTIONS} - set(there) <= {"minor"}
    places = [page.index(f'<section id="{identity}"') for identity in there]
    assert places == sorted(places)
    assert page.count("<svg") == len(draw(several, png=False)) == len(CHARTS)


def test_the_page_loads_nothing(several: Analysis) -> None:
    parser = parse(render_page(several))
    assert all(load.startswith("#") for load in parser.loads), parser.loads
    assert not {"img", "link", "iframe", "object"} & set(parser.tags)


def test_names_stay_text(hostile: Analysis) -> None:
    assert hostile.waste.wasted_queries == 10
    page = render_page(hostile)
    parser = parse(page)
    assert parser.tags.count("script") == 1  # the page's own
    assert "&lt;script&gt;alert" in page and "<script>alert" not in page
    assert "{{7*7}}" in page
    assert "\x1b" not in page


def test_names_stay_text_in_markdown(hostile: Analysis) -> None:
    text = render_markdown(hostile)
    assert "\x1b" not in text
    for line in text.splitlines():
        outside = re.sub(r"(`+).*?\1", "", line)
        assert "<script" not in outside


def test_pictures_are_the_same_every_time(several: Analysis) -> None:
    first, second = draw(several, png=True), draw(several, png=True)
    assert first == second
    for chart in first:
        assert chart.png is not None and chart.png.startswith(b"\x89PNG")
        assert chart.alt and chart.alt in render_page(several)


def test_the_page_is_the_same_every_time(several: Analysis) -> None:
    assert render_page(several) == render_page(analyze(LAB / "multi6_any_sll2.pcap"))


def test_every_class_has_a_colour() -> None:
    assert set(COLOURS) == set(WASTE_CLASSES)


def test_a_healthy_capture_says_so(tmp_path: Path) -> None:
    talk = Talk()
    for number in range(25):
        talk.found(number * 1000, f"svc-{number}.{NAMESPACE}")
    analysis = talk.analyze(tmp_path)
    assert headline(analysis).startswith("Nothing to do")
    assert analysis.recommendations == ()
    page = render_page(analysis)
    assert "Nothing to do" in page and 'id="what-to-do"' not in page


def test_an_empty_capture_gives_a_page(tmp_path: Path) -> None:
    path = save(tmp_path, pcap([]))
    page = render_page(analyze(path))
    assert "no packets" in page


def test_a_capture_without_a_clock_gives_a_page() -> None:
    analysis = analyze(next(TRACES.glob("trace-1-*.txt")))
    page = render_page(analysis)
    assert 'id="when"' not in page and 'id="how-long"' not in page
    assert "6 of 9" in page


def test_patches_are_yaml_that_sets_a_string(several: Analysis) -> None:
    import yaml

    patches = [r for r in several.recommendations if r.code == "set_ndots"]
    assert patches
    for advice in patches:
        assert advice.patch is not None
        spec = yaml.safe_load(advice.patch)["spec"]["template"]["spec"]
        assert spec == {"dnsConfig": {"options": [{"name": "ndots", "value": str(advice.ndots)}]}}


def test_long_tables_are_folded_and_cut_with_a_word(several: Analysis) -> None:
    many = tuple(replace(several.name_rows[0], base_name=f"n{i}.example") for i in range(700))
    page = render_page(replace(several, name_rows=many))
    assert "first 500 of 700; the rest: <code>pcapkit export -t names --format csv" in page
    assert page.count("n499.<wbr>example") == 1 and "n500.<wbr>example" not in page


@pytest.mark.parametrize("capture", ["whatif_w1_glibc_ndots5.pcap", "multi6_any_sll2.pcap"])
def test_the_settings_title_names_none_that_breaks_names(capture: str) -> None:
    analysis = analyze(LAB / capture)
    (picture,) = [c for c in draw(analysis, png=False) if c.name == "ndots-settings"]
    named = re.search(r"At ndots (\d)", picture.svg)
    assert named is not None
    safety = {row.ndots: row.safety for row in overall(analysis)}
    assert "unsafe" in safety.values()
    assert safety[int(named[1])] != "unsafe"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_display_filter_shows_the_packets_of_the_lookup(several: Analysis) -> None:
    shown = chains(several)
    assert shown is not None
    for chain, context in zip(several.chains, shown["chains"], strict=True):
        done = subprocess.run(
            [
                "tshark",
                "-r",
                chain.capture,
                "-Y",
                context["filter"],
                "-T",
                "fields",
                "-e",
                "frame.number",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        packets = {s.query_packet_no for s in chain.steps}
        packets |= {s.response_packet_no for s in chain.steps if s.response_packet_no is not None}
        assert {int(n) for n in done.stdout.split()} == packets


def test_warnings_name_captures_without_their_folders(tmp_path: Path) -> None:
    folder = tmp_path / "customers"
    folder.mkdir()
    path = save(folder, pcap([]), "idle.pcap")
    analyze(path).to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "idle.pcap: no DNS message" in re.sub("<[^>]+>", "", page) and "customers" not in page


def test_a_column_of_suffixes_is_headed_suffix(tmp_path: Path) -> None:
    path = Path(__file__).resolve().parents[3] / "captures" / "lab" / "wildcard_suffix.pcap"
    analyze(str(path)).to_html(tmp_path / "report.html")
    assert ">suffix<" in (page := (tmp_path / "report.html").read_text()) and "suffixe<" not in page
