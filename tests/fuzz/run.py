"""Search every target for input that breaks it: ``python -m tests.fuzz.run [TARGET...]``.

Each target runs under atheris in a process of its own, with kernels as plain Python, until the last
fifth of its executions found no new edge. Its corpus, made as small as it can be without losing an
edge, is then read compiled and with bounds checks too: all three must give the same. ``--keep``
writes the corpora, ``--table FILE`` the table of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import corpora
from tests.fuzz.outcomes import Target
from tests.fuzz.replay import differences
from tests.fuzz.searches import Searches
from tests.fuzz.targets import BY_NAME, TARGETS

_STATUS = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+)", re.M)
_LAST_PART = 5  # a target is done when so many-th of its executions, the last, found no edge
_HANG_S, _MEMORY_MB = 30, 2560
_RESTARTS = 5
_BEGIN, _END = "<!-- fuzzing: begin -->", "<!-- fuzzing: end -->"
_HEAD = "| reader | executions | edges | last new edge at | inputs kept | findings |\n"
_RULE = "|---|---:|---:|---:|---:|---:|\n"


@dataclass
class Outcome:
    """What a search of one target found; ``findings`` are traces and files of input."""

    target: Target
    executions: int = 0
    edges: int = 0
    last_new: int = 0
    inputs: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Did the last fifth of the executions find no new edge?"""
        return self.last_new * _LAST_PART <= self.executions * (_LAST_PART - 1)

    def row(self) -> str:
        """Return the table's row."""
        numbers = (self.executions, self.edges, self.last_new, self.inputs, len(self.findings))
        return f"| {self.target.name} | " + " | ".join(f"{n:,}" for n in numbers) + " |\n"


def search(
    searches: Searches, target: Target, *, executions: int, most: int, seconds: float, folder: Path
) -> Outcome:
    """Run a target at least ``executions`` times, then until it is done, ``most`` times at most.

    ``seconds`` end it too. ``folder`` gets the corpus and what was found.
    """
    corpus, found = folder / "corpus", folder / "found"
    for place in (corpus, found):
        place.mkdir()
    for whole in [*target.seeds(), *corpora.kept(target)]:
        data = whole[: target.most_bytes]
        (corpus / corpora.name_of(data)).write_bytes(data)
    words = folder / "words"
    words.write_text(
        "".join('"' + "".join(f"\\x{b:02x}" for b in t) + '"\n' for t in target.tokens)
    )
    out = Outcome(target)
    end = time.monotonic() + seconds
    restarts = 0
    while out.executions < executions or not out.is_done:
        left = end - time.monotonic()
        wanted = min(max(executions - out.executions, executions // 4), most - out.executions)
        if out.executions and (left <= 0 or wanted < 1):
            break
        text = _round(searches, target, corpus, found, words, wanted, left)
        counts = [(int(n), int(cov)) for n, _, cov in _STATUS.findall(text)]
        for number, edges in counts:
            if edges > out.edges:
                out.edges, out.last_new = edges, out.executions + number
        out.executions += max((number for number, _ in counts), default=0)
        if "DONE" not in text:
            restarts += 1
            died = next(iter(found.glob("died-*")), None)
            out.findings.append(f"{target.name}: the process died ({died}):\n{text[-3000:]}")
            if restarts > _RESTARTS or not counts:
                break
            for path in found.glob("died-*"):
                path.rename(found / f"killed-{path.name}")
    out.findings += [
        f"{target.name}: {path.with_suffix('.input')}\n{path.read_text()}"
        for path in sorted(found.glob("*.trace"))
    ]
    return out


def _round(
    searches: Searches,
    target: Target,
    corpus: Path,
    found: Path,
    words: Path,
    executions: int,
    seconds: float,
) -> str:
    options = [
        f"-runs={executions}",
        f"-max_total_time={max(1, int(seconds))}",
        f"-max_len={target.most_bytes}",
        f"-timeout={_HANG_S}",
        f"-rss_limit_mb={_MEMORY_MB}",
        f"-artifact_prefix={found}/died-",
        "-len_control=0",
        "-reload=0",
        "-use_value_profile=0",
    ]
    if target.tokens:
        options.append(f"-dict={words}")
    return searches.run(target.name, found, [*options, str(corpus)])


def smallest(searches: Searches, target: Target, folder: Path) -> list[bytes]:
    """Return the fewest inputs of a search that reach every edge that it reached."""
    inputs = {str(p): p.read_bytes() for p in sorted((folder / "corpus").iterdir())}
    paths = sorted(inputs, key=lambda p: (len(inputs[p]), p))
    control = folder / "control"
    control.write_text("".join(f"{line}\n" for line in (len(paths), 0, *paths)))
    options = ["-merge_inner=1", f"-merge_control_file={control}", "-max_len=65536"]
    text = searches.run(target.name, folder / "found", options)
    kept = corpora.fewest(inputs, control.read_text())
    if not kept:
        raise RuntimeError(f"{target.name}: nothing was merged:\n{text[-2000:]}")
    return kept


def write_table(path: Path, outcome: Outcome) -> None:
    """Write the row of a target into the table between the marks of a file."""
    text = path.read_text()
    begin, end = text.index(_BEGIN) + len(_BEGIN) + 1, text.index(_END)
    rows = {row.split("|")[1].strip(): row for row in text[begin:end].splitlines(keepends=True)[2:]}
    rows.pop("all", None)
    rows[outcome.target.name] = outcome.row()
    ordered = [rows[t.name] for t in TARGETS if t.name in rows]
    total = sum(int(row.split("|")[2].replace(",", "")) for row in ordered)
    last = f"| all | {total:,} | | | | |\n"
    path.write_text(text[:begin] + _HEAD + _RULE + "".join(ordered) + last + text[end:])


def main(arguments: list[str] | None = None) -> int:
    """Search; return 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", choices=[*BY_NAME, []])
    parser.add_argument("--executions", type=int, default=20_000, help="of each target, at least")
    parser.add_argument("--most", type=int, default=0, help="executions of each; 3 times as many")
    parser.add_argument("--seconds", type=float, default=86_400, help="of all targets, at most")
    parser.add_argument(
        "--search-only", action="store_true", help="make no corpus, compare no three ways"
    )
    parser.add_argument("--keep", action="store_true", help="keep the corpora")
    parser.add_argument("--found", type=Path, help="a folder that gets what was found")
    parser.add_argument("--table", type=Path, help="a Markdown file with the table")
    options = parser.parse_args(arguments)
    if find_spec("atheris") is None:
        print("atheris is not installed: it has wheels for Linux on x86-64", file=sys.stderr)
        return 1
    targets = [BY_NAME[name] for name in options.targets] or list(TARGETS)
    end = time.monotonic() + options.seconds
    failed = False
    with Searches() as searches:
        for number, target in enumerate(targets):
            share = max(0.0, end - time.monotonic()) / (len(targets) - number)
            with tempfile.TemporaryDirectory(prefix="pcapkit-fuzz-") as folder:
                outcome = _searched(searches, target, options, share, Path(folder))
            print(outcome.row().strip(), "done" if outcome.is_done else "not done", flush=True)
            for finding in outcome.findings:
                print(finding, flush=True)
            if options.table is not None:
                write_table(options.table, outcome)
            failed |= bool(outcome.findings)
    return int(failed)


def _searched(
    searches: Searches, target: Target, options: argparse.Namespace, seconds: float, folder: Path
) -> Outcome:
    """Search one target, for so many seconds at most, and do with what was found as is asked."""
    found = search(
        searches,
        target,
        executions=options.executions,
        most=options.most or 3 * options.executions,
        seconds=seconds,
        folder=folder,
    )
    if not options.search_only:
        inputs = smallest(searches, target, folder)
        found.inputs = len(inputs)
        found.findings += differences(target, inputs)
        if options.keep:
            corpora.keep(target, inputs)
    if options.found is not None:
        options.found.mkdir(parents=True, exist_ok=True)
        for path in (folder / "found").iterdir():
            stem = corpora.path_of(target).stem
            (options.found / f"{stem}-{path.name}").write_bytes(path.read_bytes())
    return found


if __name__ == "__main__":
    sys.exit(main())
