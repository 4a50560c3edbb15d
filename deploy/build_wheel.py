"""Build a release wheel: the package with its kernels compiled, for this Python and this machine.

    python deploy/build_wheel.py FOLDER

A plain wheel is built and installed in a fresh environment. There captures and logs are analysed,
samples and made ones, which compiles the kernels (all but dnstap's). What that leaves in the
kernels' cache is put into the wheel, whose tags then say for which Python and which machine it is.
Beside it, ``constraints.txt`` names the versions that it was compiled with: with another Numba or
LLVM, the kernels are compiled anew. The wheel has the man pages, too.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from platform import libc_ver

ROOT = Path(__file__).resolve().parent.parent
#: What compiled kernels depend on, beside the package.
COMPILERS = ("llvmlite", "numba")
#: Bytes of each packet that are left of a made capture: names end in the middle.
SNAPLEN = 80
#: Lines of a made log: so many are worth compiling a reader of many at a time.
LINES = 200_000


def main(output: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pcapkit-wheel-") as folder:
        work = Path(folder)
        python = work / "venv" / "bin" / "python"
        run(sys.executable, "-m", "venv", work / "venv")
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "wheel", "--no-deps", "--wheel-dir", work / "plain", ROOT)
        (plain,) = (work / "plain").glob("*.whl")
        run(*pip, "install", plain, "wheel>=0.40")
        kernels = compile_kernels(work)

        run(python, "-m", "wheel", "unpack", "--dest", work / "unpacked", plain)
        (unpacked,) = (work / "unpacked").iterdir()
        shipped = unpacked / "pcapkit" / "kernels" / "shipped"
        shutil.copytree(kernels, shipped, copy_function=shutil.copyfile)  # not as private as there
        (information,) = unpacked.glob("*.dist-info")
        data = information.with_suffix(".data") / "data"
        run(python, ROOT / "docs" / "site" / "man_pages.py", data / "share" / "man" / "man1")
        described = information / "WHEEL"
        described.write_text(with_tag(described.read_text()))
        output.mkdir(parents=True, exist_ok=True)
        run(python, "-m", "wheel", "pack", "--dest-dir", output, unpacked)
        frozen = run(*pip, "freeze").splitlines()
        used = [line for line in frozen if line.split("==")[0] in COMPILERS]
        (output / "constraints.txt").write_text("\n".join(used) + "\n")


def compile_kernels(work: Path) -> Path:
    """Analyse captures with an empty cache; return what is in it then."""
    captures = work / "captures"
    shutil.copytree(ROOT / "captures" / "lab", captures)
    made, generate = captures / "made.pcap", ROOT / "benchmarks" / "generate.py"
    run(sys.executable, generate, made, 3000, "--tcp", 0.1, "--unique-names")
    for change in (cut, tunnelled):
        (captures / f"{change.__name__}.pcap").write_bytes(rewritten(made.read_bytes(), change))
    for form in ("replicas", "tcpdump"):
        generate_lines = generate.with_name("generate_lines.py")
        run(sys.executable, generate_lines, form, LINES, captures / f"{form}.log")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "PCAPKIT_"))}
    cache = work / "cache"
    subprocess.run(
        [work / "venv" / "bin" / "pcapkit", "audit", captures, "--quiet"],
        env=kept | {"NUMBA_CACHE_DIR": str(cache), "PYTHONNOUSERSITE": "1"},
        cwd=work,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (installed,) = cache.iterdir()  # one installation of the package has used it
    return installed


def rewritten(capture: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a classic pcap with each packet changed; one that gets shorter counts as cut."""
    at, parts = 24, [capture[:24]]
    while at < len(capture):
        seconds, fraction, captured, length = struct.unpack_from("<IIII", capture, at)
        packet = change(capture[at + 16 : at + 16 + captured])
        parts.append(struct.pack("<IIII", seconds, fraction, len(packet), max(length, len(packet))))
        parts.append(packet)
        at += 16 + captured
    return b"".join(parts)


def cut(packet: bytes) -> bytes:
    """Return what a small snap length leaves of a packet."""
    return packet[:SNAPLEN]


def tunnelled(packet: bytes) -> bytes:
    """Return a frame within VXLAN (RFC 7348, section 5), as between nodes."""
    vxlan = b"\x08" + bytes(7) + packet
    udp = struct.pack(">HHHH", 50000, 4789, 8 + len(vxlan), 0) + vxlan
    ends = bytes((10, 0, 0, 1, 10, 0, 0, 2))
    ip = struct.pack(">BxHxxxxBBxx", 0x45, 20 + len(udp), 64, 17) + ends + udp
    return bytes(12) + b"\x08\x00" + ip


def with_tag(description: str) -> str:
    """Return the text of a WHEEL file, for this Python and this machine alone."""
    lines = [line for line in description.splitlines() if line and not line.startswith("Tag:")]
    lines[lines.index("Root-Is-Purelib: true")] = "Root-Is-Purelib: false"
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    return "\n".join([*lines, f"Tag: {version}-{version}{sys.abiflags}-{platform()}", "", ""])


def platform() -> str:
    """Return the platform tag. Kernels call nothing of the C library: with glibc, any will do."""
    name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    glibc = name.startswith("linux_") and libc_ver()[0] == "glibc"
    return name.replace("linux_", "manylinux_2_17_", 1) if glibc else name


def run(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
