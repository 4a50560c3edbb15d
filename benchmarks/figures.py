#!/usr/bin/env python3
"""Turn ``benchmarks/out/results.json`` into the figures of README.md and into growth.svg.

python benchmarks/figures.py             # prints the figures
python benchmarks/figures.py --write     # puts them into README.md, and draws growth.svg
python benchmarks/figures.py A.json B.json     # those of several runs of run.py, as one
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
PLAIN = "pod-like"
DECODING = "pcapkit, decoding alone"

#: of the peers
_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#332288", "#117733")

Row = dict[str, Any]


def _spread(values: Iterable[float], form: str = ".2f") -> str:
    """Return the median and, in parentheses, least and most."""
    known = sorted(values)
    middle = statistics.median(known)
    return f"{middle:{form}} ({known[0]:{form}} to {known[-1]:{form}})"


def _runs(row: Row, key: str) -> list[float]:
    return [r[key] for r in row["runs"]]


def _paired(a: Row, b: Row, of: Callable[[dict[str, Any], dict[str, Any]], float]) -> list[float]:
    """Compare two rows within their rounds."""
    return [of(x, y) for x, y in zip(a["runs"], b["runs"], strict=True)]


def _ratio(a: Row, b: Row) -> list[float]:
    return _paired(a, b, lambda x, y: x["wall_s"] / y["wall_s"])


def _find(rows: Sequence[Row], row: Row, program: str, of: str = "plain") -> Row | None:
    """Return another row of the same rounds."""
    for other in rows:
        same = all(other.get(key) == row.get(key) for key in ("file", "shape", "millions"))
        if same and other["program"] == program and other["of"] == of:
            return other
    return None


def table(results: dict[str, Any]) -> str:
    """Return a line for each program on each capture."""
    rows, least = results["rows"], results["least_peak_mb"] * 1.05
    lines = [
        "| capture | packets | program | job | wall, s (min to max) | CPU, s | peak, MB "
        "| packets/s | wall, of pcapkit's (min to max) |",
        "|---|--:|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        if row["of"] == "one lookup" or row["program"] == DECODING:
            continue
        base = _find(rows, row, "pcapkit", row["of"])
        ratio = _spread(_ratio(row, base)) if base and base is not row else "1"
        peak = max(_runs(row, "peak_mb"))
        plain = row["shape"] == "gzip" and row["of"] == "plain"
        shape = f"{PLAIN}, plain" if plain else row["shape"]
        wall = _runs(row, "wall_s")
        lines.append(
            f"| {shape} | {row['packets']:,} | {row['program']} | {row['job']} | {_spread(wall)} "
            f"| {statistics.median(_runs(row, 'cpu_s')):.2f} "
            f"| {f'< {least:.0f}' if peak <= least else f'{peak:,.0f}'} "
            f"| {row['packets'] / statistics.median(wall):,.0f} | {ratio} |"
        )
    return "\n".join(lines) + "\n"


def facts(results: dict[str, Any]) -> str:
    """Return what follows from rows of the same rounds: cores, compression, cost of a packet."""
    rows = results["rows"]
    lines = ["| what | capture | median (min to max) |", "|---|---|--:|"]

    said: set[tuple[str, str, int]] = set()

    def say(what: str, row: Row, value: str) -> None:
        about = what, row["shape"], row["packets"]
        if about not in said:  # another run may have been of the same capture
            said.add(about)
            lines.append(f"| {what} | {row['shape']}, {row['packets']:,} packets | {value} |")

    for row in rows:
        if row["program"] == "pcapkit, one core":
            if both := _find(rows, row, "pcapkit"):
                say("one core, of the wall time on all cores", row, _spread(_ratio(row, both)))
        elif row["program"] == "pcapkit" and row["of"] == "gzip":
            if plain := _find(rows, row, "pcapkit"):
                say("gzip, of the wall time of the plain file", row, _spread(_ratio(row, plain)))
        elif row["program"] == "pcapkit --json" and row["of"] == "plain":
            start = _find(rows, row, "pcapkit --json", "one lookup")
            for what, key in (("wall", "wall_s"), ("CPU", "cpu_s")):
                if start and row["packets"] > 1e5:
                    each = row["packets"] - start["packets"]
                    costs = _paired(row, start, lambda x, y: (x[key] - y[key]) / each * 1e9)  # noqa: B023
                    say(
                        f"{what} time of one more packet, without start, pages and charts, ns",
                        row,
                        _spread(costs, ".0f"),
                    )
        elif row["program"] == DECODING:
            told = [r["told"] for r in row["runs"]]
            for what in ("packets", "messages"):
                each = [t[what] / t["wall_s"] for t in told]
                say(f"decoding alone, {what} a second", row, _spread(each, ",.0f"))
    whole = [r for r in rows if r["program"] == "pcapkit" and r["shape"] == PLAIN]
    for row in sorted(whole, key=lambda r: r["packets"]):
        say("peak memory, MB", row, _spread(_runs(row, "peak_mb"), ",.0f"))
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _too_slow(results: dict[str, Any]) -> list[str]:
    """Say from how many packets on a program was left out, and how long it would have taken."""
    least: dict[str, dict[str, Any]] = {}
    most: dict[str, int] = {}
    for row in results["rows"]:
        most[row["program"]] = max(row["packets"], most.get(row["program"], 0))
    for case in results["too_slow"]:
        if case["packets"] <= most.get(case["program"], 0):
            continue  # another run had more patience
        known = least.setdefault(case["program"], case)
        if case["packets"] < known["packets"]:
            least[case["program"]] = case
    return [
        f"{program}, from {case['packets']:,} packets on: a run would take {case['need_s']:,.0f} s "
        f"or longer (the limit was {case['limit_s']:g} s)"
        for program, case in least.items()
    ]


def together(several: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the results of several runs on one machine, from small captures to large ones."""
    out = dict(several[0])
    for number, results in enumerate(several):
        for row in results["rows"]:
            row["file"] = number  # rounds of different runs are not compared
    for key in ("left_out", "too_slow", "rows"):
        out[key] = [item for results in several for item in results[key]]
    out["rows"] = sorted(out["rows"], key=lambda r: r["millions"])
    out["left_out"] = list(dict.fromkeys(out["left_out"]))
    out["versions"] = {n: v for results in several for n, v in results["versions"].items()}
    return out


def text(results: dict[str, Any]) -> str:
    """Return all figures as Markdown."""
    machine = results["machine"]
    versions = ", ".join(f"{n} {v}" for n, v in results["versions"].items() if v)
    counted = sorted({len(row["runs"]) for row in results["rows"]})
    runs = "1 run" if counted == [1] else f"{' or '.join(map(str, counted))} runs"
    out = [
        f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}"
        + (f"; {versions}" if versions else "")
        + f". {runs} of each after one that is not counted.\n",
        table(results),
        facts(results),
    ]
    left_out = [*results["left_out"], *_too_slow(results)]
    if left_out:
        out.append("Left out:\n\n" + "".join(f"- {t}\n" for t in left_out))
    return "\n".join(t for t in out if t)


def chart(results: dict[str, Any], path: Path) -> None:
    """Draw wall time and peak memory over the number of packets."""
    import matplotlib

    matplotlib.rcParams |= {"svg.hashsalt": "pcapkit", "svg.fonttype": "none", "font.size": 9}
    from matplotlib.figure import Figure

    rows = [r for r in results["rows"] if r["shape"] == PLAIN and r["of"] == "plain"]
    ways = ("pcapkit, one core", "pcapkit --json", DECODING)
    programs = [p for p in dict.fromkeys(r["program"] for r in rows) if p not in ways]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, program in enumerate(programs):
        mine = sorted((r for r in rows if r["program"] == program), key=lambda r: r["packets"])
        packets = [r["packets"] for r in mine]
        own = program == "pcapkit"
        style: dict[str, Any] = {
            "marker": "o",
            "markersize": 3,
            "linewidth": 2 if own else 1,
            "label": program,
            "color": "#D55E00" if own else _COLOURS[number % len(_COLOURS)],
            "zorder": 3 if own else 2,
        }
        left.plot(packets, [statistics.median(_runs(r, "wall_s")) for r in mine], **style)
        right.plot(packets, [max(_runs(r, "peak_mb")) for r in mine], **style)
    for axes, label in ((left, "wall time, s"), (right, "peak memory, MB")):
        axes.set(xscale="log", yscale="log", xlabel="packets", ylabel=label)
        axes.grid(visible=True, alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the figures, or put them where they belong."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("results", nargs="*", type=Path, default=[HERE / "out" / "results.json"])
    options.add_argument("--write", action="store_true", help="rewrite README.md and growth.svg")
    o = options.parse_args()
    results = together([json.loads(path.read_text()) for path in o.results])
    if not o.write:
        print(text(results), end="")
        return
    readme, picture = HERE / "README.md", HERE / "growth.svg"
    before, rest = readme.read_text().split(BEGIN)
    _, after = rest.split(END)
    chart(results, picture)
    shown = "![Wall time and peak memory over the number of packets](growth.svg)\n"
    readme.write_text(f"{before}{BEGIN}{text(results)}\n{shown}{END}{after}")


if __name__ == "__main__":
    main()
