"""Build what a release consists of, beside each other in a folder (``make release``).

    python deploy/release.py FOLDER

Wheel and source distribution, checked; the licences of all that is installed with them; an SBOM
(CycloneDX); SHA256SUMS. It fails where a licence is unknown or not allowed, where pip-audit finds
a vulnerability, and where pip-audit cannot tell: then a version that is known to be vulnerable
passes as well.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
#: CVE-2024-22195 and others.
VULNERABLE = "jinja2==3.1.2"
#: Parts of names of licences. Scapy's is GPL-2.0-only.
ALLOWED = (
    "MIT;BSD;Apache;ISC;PSF;Python Software Foundation;MPL;Mozilla;HPND;Zlib;0BSD;Unlicense;EPL;"
    "CC0;GPL-2.0-only"
)


def main(output: Path) -> int:
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        print(f"{output}: is not empty", file=sys.stderr)
        return 1
    run(BIN / "uv", "build", "--quiet", "--system-certs", "--out-dir", output, ROOT)
    (output / ".gitignore").unlink(missing_ok=True)
    (wheel,) = output.glob("*.whl")
    (source,) = output.glob("*.tar.gz")
    run(BIN / "twine", "check", "--strict", wheel, source)
    with tempfile.TemporaryDirectory(prefix="pcapkit-release-") as name:
        python = Path(name) / "venv" / "bin" / "python"
        uv = (BIN / "uv", "pip", "install", "--quiet", "--system-certs", "--python", python)
        run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, python.parent.parent)
        run(*uv, f"{wheel}[all]")
        licences = ("--partial-match", "--allow-only", ALLOWED, "--from=mixed", "--with-urls")
        run(
            *(BIN / "pip-licenses", "--python", python, *licences),
            *("--format=markdown", "--output-file", output / "licences.md"),
        )
        sbom = ("--output-reproducible", "--output-file", output / "sbom.cdx.json")
        run(BIN / "cyclonedx-py", "environment", python, "--pyproject", "pyproject.toml", *sbom)
        frozen = run(BIN / "uv", "pip", "freeze", "--python", python)
        needed = [line for line in frozen.splitlines() if not line.startswith("pcapkit-dns")]
        audited = audit(Path(name), needed)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(output.iterdir())
    ]
    (output / "SHA256SUMS").write_text("".join(sums))
    return 0 if audited else 1


def audit(work: Path, needed: list[str]) -> bool:
    """Say whether no version that is needed is known to be vulnerable, and that could be told."""
    if _passes(work, [VULNERABLE]):
        print(f"pip-audit cannot tell here: {VULNERABLE} passes, too", file=sys.stderr)
        return False
    return _passes(work, needed, "--strict")


def _passes(work: Path, needed: list[str], *more: str) -> bool:
    requirements = work / "requirements.txt"
    requirements.write_text("\n".join(needed) + "\n")
    command = (BIN / "pip-audit", "--no-deps", "--disable-pip", *more, "-r", requirements)
    return subprocess.run(list(map(str, command)), check=False).returncode == 0


def run(*command: object) -> str:
    words = list(map(str, command))
    return subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
