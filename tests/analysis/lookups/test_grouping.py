"""What is asked together is one lookup; what nobody's resolver asks costs no more than it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pcapkit.pipeline.analyze import analyze
from tests import build


def _types(number: int) -> Sequence[bytes]:
    return [build.ask(build.query(qtype=number + 1, ident=number + 1), ident=number + 1)]


def _ports(number: int) -> Sequence[bytes]:
    asked = build.ask(build.query(), ident=number + 1, port=1024 + number)
    refused = build.response(rcode=2)
    return [asked, build.answer(refused, ident=number + 1, port=1024 + number)]


def _capture(folder: Path, count: int, packets: Callable[[int], Sequence[bytes]]) -> str:
    frames = [build.ethernet(p) for number in range(count) for p in packets(number)]
    name = f"{packets.__name__}-{count}.pcap"
    return build.save(folder, build.pcap(build.packets(*frames, step=20_000)), name)


@pytest.mark.parametrize("packets", [_types, _ports])
def test_time_grows_as_the_questions_about_one_name_do(
    packets: Callable[[int], Sequence[bytes]], tmp_path: Path
) -> None:
    few, many = (_capture(tmp_path, count, packets) for count in (7_500, 60_000))
    analyze(few)  # kernels are loaded
    took = []
    for path in (few, many):
        begun = time.process_time()
        found = analyze(path)
        took.append(time.process_time() - begun)
    assert found.transaction_counts.total + found.transaction_counts.retries == 60_000
    assert took[1] < 24 * took[0]  # eight times as many: 64 times as long, were they all compared


def test_all_types_that_there_are_can_be_asked_in_one_lookup(tmp_path: Path) -> None:
    found = analyze(_capture(tmp_path, 200, _types))
    assert (found.lookup_counts.total, found.transaction_counts.total) == (1, 200)
