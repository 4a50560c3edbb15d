"""Runs that are ended at random moments, and what they leave.

``python -m tests.environment.kills 1000 --first-runs 20`` makes many trials.

Each trial begins with the output of an earlier run on other captures, and with files of the user in
it. A run is started, and ended by SIGKILL, SIGTERM or SIGINT: half of them some time after the
start, the others when something is seen to be written. Then every report must be the old one or the
new one to the byte, no process and (but for SIGKILL) no other file may be left, and the next run
must end well, with nothing but the new report there.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "captures" / "lab"
_MAIN = "from pcapkit.cli.main import main; main()"
_MARK = "PCAPKIT_TRIAL"
#: Of inotify(7).
_SEEN = 0x00000100 | 0x00000040 | 0x00000080 | 0x00000200  # made, moved from, moved to, removed
_LONGEST_S = 120.0
_LEAVING_S = 5.0
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
#: Files of an audit that tell of the run, and not of the captures.
_OF_RUN = ("audit.lock", "looks.json")
#: What an audit writes over all of its captures.
_INDEX = ("index.html", "audit.json", "audit.parquet")
_MANIFEST = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: default
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: app
          image: app:1
          env:
            - name: TARGET
              value: {asks}
"""

Tree = dict[str, bytes]


def manifest() -> str:
    """Return a workload that asks for a name of the capture, which a plan writes in full."""
    return _MANIFEST.format(name="web", asks="sqs.us-east-1.amazonaws.com")


@dataclass(frozen=True)
class Case:
    """A command, run in a folder with ``in`` and ``out``; ``watched`` is where it writes."""

    name: str
    arguments: tuple[str, ...]
    watched: tuple[str, ...] = ("out",)
    status: int = 0
    before: tuple[tuple[str, ...], ...] = ()  #: what is run first, each time the captures change
    compiles: bool = False


CASES = (
    Case("analyze", ("analyze", "in/dns.pcap", "-o", "out", "-q")),
    Case(
        "analyze tables", ("analyze", "in/dns.pcap", "-o", "out", "--format", "csv,parquet,md,json")
    ),
    Case(
        "audit",
        ("audit", "in", "-o", "out", "--workers", "2", "--format", "json,md,csv"),
        ("out", "out/records"),
    ),
    Case("tally", ("tally", "in/dns.pcap", "-o", "out/dns.tally")),
    Case("tally into a folder", ("tally", "in/dns.pcap", "in/more.pcap", "-o", "out")),
    Case(
        "merge",
        ("merge", "dns.tally", "-o", "out", "-q", "--format", "html,json,md"),
        before=(("tally", "in/dns.pcap", "-o", "dns.tally"),),
    ),
    Case("export", ("export", "in/dns.pcap", "-t", "lookups", "-o", "out/lookups.jsonl")),
    Case("share", ("share", "in/dns.pcap", "-o", "out/dns.pcap", "--key", "key")),
    Case(
        "fix",
        (
            "fix",
            "in/dns.pcap",
            "--manifests",
            "out",
            "--write",
            "--plan",
            "names",
            "--include-review",
        ),
    ),
)
FIRST = Case(
    "first run", ("analyze", "in/dns.pcap", "-o", "out", "-q", "--format", "json,md"), compiles=True
)


@dataclass
class Outcome:
    """What one trial showed; ``faults`` is empty where all is well."""

    case: str
    sent: str
    aimed: bool
    hit: bool  # before the run had ended
    faults: list[str] = field(default_factory=list)


def command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", _MAIN, *arguments]


def environment(folder: Path, mark: str, *, compiles: bool) -> dict[str, str]:
    out = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", _MARK: mark}
    out["TMPDIR"] = str(folder / "tmp")
    if compiles:
        out["NUMBA_CACHE_DIR"] = str(folder / "cache")
    return out


def tree(folder: Path) -> Tree:
    """Return all files below a folder, but those that tell of the run."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _OF_RUN
    }


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def groups(files: Tree) -> dict[str, Tree]:
    """Return files by what must be of one run: a report, the index of an audit, a file."""
    out: dict[str, Tree] = {}
    for name, data in files.items():
        if is_hidden(name) or name.startswith("records/"):
            continue
        top, _, rest = name.partition("/")
        key = top if rest else "index" if name in _INDEX else name
        out.setdefault(key, {})[name] = data
    return out


class Trials:
    """The states before and after each case's run, made once, and trials between them."""

    def __init__(self, folder: Path, cases: Sequence[Case], seed: int) -> None:
        self._folder, self._chance = folder, random.Random(seed)
        self._here = folder / "here"  # an audit knows captures by their paths
        self._cases = cases
        self._spans: dict[str, float] = {}
        self._after: dict[str, Tree] = {}
        self._number = 0
        for case in cases:
            self._prepare(case)

    def _state(self, case: Case) -> Path:
        return self._folder / case.name.replace(" ", "-")

    def _prepare(self, case: Case) -> None:
        state = self._here
        for name in ("in", "out", "tmp"):
            (state / name).mkdir(parents=True)
        self._captures(state, "whatif_w1_glibc_ndots2.pcap", "busybox_nslookup.pcap")
        if case.name == "fix":
            (state / "out" / "web.yaml").write_text(manifest())
        else:
            self._run(case, state)
        for report in (state / "out").iterdir():  # the user's own
            if report.is_dir() and report.name != "records":
                (report / "notes.txt").write_text("mine")
                (report / "mine").mkdir()
                (report / "mine" / "more.txt").write_text("mine, too")
        self._captures(state, "whatif_w1_glibc_ndots5.pcap", "wildcard_suffix.pcap")
        for arguments in case.before:
            self._done(arguments, state, case)
        shutil.rmtree(state / "cache", ignore_errors=True)
        shutil.copytree(state, self._state(case))
        began = time.monotonic()
        self._run(case, state)
        self._spans[case.name] = time.monotonic() - began
        self._after[case.name] = tree(state / "out")
        shutil.rmtree(state)

    def _captures(self, state: Path, first: str, second: str) -> None:
        shutil.copy(LAB / first, state / "in" / "dns.pcap")
        shutil.copy(LAB / second, state / "in" / "more.pcap")
        shutil.copy(LAB / "fault_loss_queries.pcap", state / "in" / "same.pcap")

    def _run(self, case: Case, state: Path) -> None:
        for arguments in (*case.before, case.arguments):
            self._done(arguments, state, case)

    def _done(
        self, arguments: Sequence[str], state: Path, case: Case
    ) -> subprocess.CompletedProcess[bytes]:
        done = self._attempt(arguments, state, case)
        assert done.returncode == case.status, (arguments, done.returncode, done.stderr)
        return done

    def _attempt(
        self, arguments: Sequence[str], state: Path, case: Case
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command(arguments),
            cwd=state,
            env=environment(state, "none", compiles=case.compiles),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10 * _LONGEST_S,
            check=False,
        )

    def trial(self, case: Case) -> Outcome:
        """Start a run, end it, look at what is left, and run it once more."""
        chance = self._chance
        self._number += 1
        state = Path(shutil.copytree(self._state(case), self._here))
        old = tree(state / "out")
        aimed, number, to_group = (
            chance.random() < 0.5,
            chance.choice(_SIGNALS),
            chance.random() < 0.25,
        )
        out = Outcome(case.name, number.name, aimed, hit=True)
        mark = f"{os.getpid()}-{self._number}"
        watch = _Watch([state / name for name in case.watched])
        process = subprocess.Popen(
            command(case.arguments),
            cwd=state,
            env=environment(state, mark, compiles=case.compiles),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            if aimed:
                watch.wait(process, chance.randrange(1, 12))
                time.sleep(chance.choice((0, 0, 0.0002, 0.001, 0.004, 0.02)))
            else:
                time.sleep(chance.random() * 1.1 * self._spans[case.name])
            out.hit = process.poll() is None
            if out.hit:
                (os.killpg if to_group else os.kill)(process.pid, number)
            said = process.communicate(timeout=_LONGEST_S)[1]
        finally:
            watch.close()
            process.kill()
        if b"fault of pcapkit" in said:
            out.faults.append(f"it says {said[-500:]!r}")
        if out.hit and process.returncode not in self._statuses(case, number):
            out.faults.append(f"status {process.returncode}: {said[-500:]!r}")
        self._look(case, state, old, number, out, mark)
        done = self._attempt(case.arguments, state, case)
        if done.returncode != case.status:
            out.faults.append(f"the next run: status {done.returncode}, {done.stderr[-500:]!r}")
        self._compare(case, state, out)
        shutil.rmtree(state)
        return out

    @staticmethod
    def _statuses(case: Case, number: signal.Signals) -> tuple[int, ...]:
        """What a run may say that is ended so; Python itself has ways of its own to be ended."""
        ended = {signal.SIGINT: (130, -signal.SIGINT, 1)}.get(number, (-number,))
        return (case.status, *ended)

    def _look(
        self, case: Case, state: Path, old: Tree, number: signal.Signals, out: Outcome, mark: str
    ) -> None:
        """Look at what an ended run has left."""
        until = time.monotonic() + _LEAVING_S
        while (left := processes(mark)) and time.monotonic() < until:
            time.sleep(0.02)
        if left:
            out.faults.append(f"processes left: {left}")
            for pid, _ in left:
                os.kill(pid, signal.SIGKILL)
        now, before, after = tree(state / "out"), groups(old), groups(self._after[case.name])
        for name, files in groups(now).items():
            if files not in (before.get(name), after.get(name)):
                wrong = [f for f in files if files[f] != after.get(name, {}).get(f)]
                out.faults.append(f"{name} is neither the old nor the new one: {wrong}")
        out.faults += [f"{name} has gone" for name in before.keys() - groups(now).keys()]
        if number is not signal.SIGKILL:
            others = [n for n in now if is_hidden(n)] + os.listdir(state / "tmp")
            others += [d.name for d in (state / "out").rglob(".*")]
            if others:
                out.faults.append(f"left behind: {others}")
        for record in (state / "out").glob("records/[!.]*"):
            json.loads(record.read_bytes())

    def _compare(self, case: Case, state: Path, out: Outcome) -> None:
        """Hold what the next run made against what a run makes that nobody has ended."""
        now, after = tree(state / "out"), self._after[case.name]
        records = [name for name in (*now, *after) if name.startswith("records/")]
        if set(now) != set(after):
            out.faults.append(f"after the next run: {sorted(set(now) ^ set(after))}")
        wrong = [n for n in set(now) & set(after) if n not in records and now[n] != after[n]]
        if wrong:
            out.faults.append(f"the next run made other files: {wrong}")
        left = [str(p) for p in state.rglob("*") if p.name.startswith(".")]
        if left := left + os.listdir(state / "tmp"):
            out.faults.append(f"never swept: {left}")


def processes(mark: str) -> list[tuple[int, str]]:
    """Return the processes that a trial has started and that still run."""
    out = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}\0".encode() in (path / "environ").read_bytes():
                out.append((int(path.name), (path / "cmdline").read_text()[-80:]))
        except OSError:  # it has gone, or is not ours
            continue
    return out


class _Watch:
    """Sees when something is made, moved or removed in some folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in folders:
            if folder.is_dir():
                assert libc.inotify_add_watch(self._handle, os.fsencode(folder), _SEEN) >= 0

    def wait(self, process: subprocess.Popen[bytes], events: int) -> None:
        """Wait for so many events, for a while without any after the first, or for the end."""
        seen = 0
        while seen < events and process.poll() is None:
            if select.select([self._handle], [], [], 0.05)[0]:
                data = os.read(self._handle, 1 << 16)
                at = 0
                while at < len(data):
                    at += 16 + int.from_bytes(data[at + 12 : at + 16], sys.byteorder)
                    seen += 1
            elif seen:
                return

    def close(self) -> None:
        os.close(self._handle)


def run_trials(folder: Path, trials: int, *, seed: int, firsts: int = 0) -> Iterator[Outcome]:
    """Yield the outcomes of trials of all cases in turn, and of so many of first runs."""
    cases = (*CASES, FIRST) if firsts else CASES
    made = Trials(folder, cases, seed)
    every = trials // firsts if firsts else trials + 1
    for number in range(trials):
        yield made.trial(FIRST if number % every == every - 1 else CASES[number % len(CASES)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=int)
    parser.add_argument("--first-runs", type=int, default=0, help="how many of them compile")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    faults = 0
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        for number, outcome in enumerate(
            run_trials(Path(name), options.trials, seed=options.seed, firsts=options.first_runs), 1
        ):
            how = "aimed" if outcome.aimed else "random"
            counts[outcome.case, f"{outcome.sent} {how}{'' if outcome.hit else ' late'}"] += 1
            for fault in outcome.faults:
                faults += 1
                print(f"trial {number}: {outcome.case}, {outcome.sent}, {how}: {fault}", flush=True)
            if number % 50 == 0:
                print(f"{number} trials, {faults} faults", flush=True)
    for case in dict.fromkeys(case for case, _ in counts):
        shown = sorted((what, n) for (c, what), n in counts.items() if c == case)
        print(f"{case}: " + ", ".join(f"{what} {n}" for what, n in shown))
    print(f"{sum(counts.values())} trials, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
