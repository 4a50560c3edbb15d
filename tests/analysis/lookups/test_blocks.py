"""What is counted of a client with very many lookups, block by block, is what one block gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.analysis.lookups import reading
from pcapkit.pipeline.analyze import analyze

LAB = Path(__file__).parents[3] / "captures" / "lab"


@pytest.mark.parametrize("capture", sorted(LAB.glob("*.pcap*")), ids=lambda path: path.stem)
def test_blocks_do_not_show(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lookups in a block: no capture is so short that it has one alone."""
    whole = analyze(capture)
    monkeypatch.setattr(reading, "MOST_COUNTED", 2)
    in_blocks = analyze(capture)
    assert whole.lookup_counts.total > 2
    assert in_blocks.to_json() == whole.to_json()
