"""Floods take memory by the name and by the client, and no more than that.

``benchmarks/floods.py`` writes them whole, docs/reliability.md has what those take.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_FLOODS = Path(__file__).parents[2] / "benchmarks" / "floods.py"
_MB = 1_000_000
_CODE = """
import sys
import pcapkit
from pathlib import Path
analysis = pcapkit.analyze(sys.argv[1])
analysis.to_html(sys.argv[1] + ".html")
Path(sys.argv[1] + ".json").write_text(analysis.to_json())
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
@pytest.mark.parametrize(
    ("flood", "count", "most_mb"),
    [("subdomains", 300_000, 490), ("names", 300_000, 580), ("clients", 30_000, 430)],
)
def test_memory_of_a_flood(flood: str, count: int, most_mb: int, tmp_path: Path) -> None:
    """The most is a fifth above what was measured: a few bytes more for each name do not matter."""
    capture = tmp_path / "flood.pcap"
    subprocess.run([sys.executable, _FLOODS, capture, flood, str(count)], check=True)
    peak = _peak_of_an_analysis(capture)
    if peak >= most_mb * _MB:  # the first one to do so compiles the kernels, too
        peak = _peak_of_an_analysis(capture)
    assert peak < most_mb * _MB
    page, text = (Path(f"{capture}.{kind}").stat().st_size for kind in ("html", "json"))
    assert page < 3 * _MB and text < 50 * _MB


def _peak_of_an_analysis(capture: Path) -> int:
    """Return the bytes of memory that an analysis takes at most, with its page and its JSON."""
    code = [sys.executable, "-c", _CODE, str(capture)]
    done = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout) * 1024
