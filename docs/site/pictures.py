"""Rebuild the example report, the picture of README and the gallery: ``make pictures``.

    python docs/site/pictures.py [NAME...]

A picture is the first screen of a report, as Chromium draws it, in so few colours that it stays
small. Captures of the gallery are those of ``captures/``, or are made here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LAB = ROOT / "captures" / "lab"
GALLERY = ROOT / "docs" / "gallery"
EXAMPLE = ROOT / "reports" / "example"
#: px of the window, and device pixels for each
WIDTH, HEIGHT, SCALE = 900, 860, 1
COLOURS = 64
DEAD = "10.96.0.11"
SERVICES = ("cart", "stock", "users")


def dead_nameserver(folder: Path) -> Path:
    """Two nameservers, of which the first never answers: every question waits 5 s for it."""
    from tests import build
    from tests.analysis.talk import Talk

    talk = Talk()
    for number in range(40):
        name = f"{SERVICES[number % len(SERVICES)]}.shop.svc.cluster.local"
        port, at = 40000 + number, number * 8000.0
        for kind, ident in ((build.A, 2 * number), (build.AAAA, 2 * number + 1)):
            answers = None if kind == build.A else ()
            talk.exchange(at, name, kind, server=DEAD, took=None, port=port, ident=ident)
            talk.exchange(at + 5000, name, kind, answers=answers, port=port, ident=ident)
    return Path(build.save(folder, talk.capture(), "dead-nameserver.pcap"))


def node(folder: Path) -> Path:
    path = folder / "node.pcap"
    program = [sys.executable, str(ROOT / "benchmarks" / "generate.py")]
    command = [*program, str(path), "60000", "--pods", "2500", "--loss", "0"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def healthy(folder: Path) -> Path:
    from pcapkit.codes import ANSWER, NODATA
    from tests.play import Workload

    zone = {f"{name}.shop.svc.cluster.local": (ANSWER, NODATA) for name in SERVICES}
    zone |= {f"{name}.example.com": (ANSWER, ANSWER) for name in ("api", "mail")}
    names = [f"{name}." for name in zone]
    return Path(Workload(names, zone, rounds=40).write(folder, "healthy.pcap"))


#: picture of the gallery -> its capture
PICTURES: dict[str, Callable[[Path], Path]] = {
    "dead-nameserver": dead_nameserver,
    "node": node,
    "loss": lambda _: LAB / "fault_loss_queries.pcap",
    "wildcard": lambda _: LAB / "wildcard_suffix.pcap",
    "healthy": healthy,
}


def report(capture: Path, output: Path) -> Path:
    """Write the report of a capture; return its page."""
    program = [sys.executable, "-c", "from pcapkit.cli.main import main; main()"]
    command = [*program, "analyze", str(capture), "-o", str(output), "--quiet"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    (page,) = output.glob(f"{capture.name.split('.')[0]}*/report.html")
    return page


def draw(page: Path, picture: Path) -> None:
    """Write the first screen of a page as a PNG with few colours."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        sys.exit("Chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.png"
        subprocess.run(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--hide-scrollbars",
                f"--user-data-dir={folder}/profile",
                f"--window-size={WIDTH},{HEIGHT}",
                f"--force-device-scale-factor={SCALE}",
                f"--screenshot={drawn}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        image = Image.open(drawn).convert("RGB")
        few = image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(picture, optimize=True)
    print(picture.relative_to(ROOT))


def main(names: list[str]) -> None:
    for name in names or ["example", *PICTURES]:
        with tempfile.TemporaryDirectory() as folder:
            if name == "example":
                page = report(Path("captures/lab/whatif_w1_glibc_ndots5.pcap"), EXAMPLE)
                draw(page, EXAMPLE / "report.png")
            else:
                capture = PICTURES[name](Path(folder))
                draw(report(capture, Path(folder)), GALLERY / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
