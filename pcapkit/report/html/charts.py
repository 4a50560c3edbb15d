"""Charts: each says its message in the title and what it rests on below it.

One figure serves the page (SVG, whose text takes the page's colour) and a slide (PNG on white). It
is drawn for 400 px and grows from there, so it is readable on a telephone and on a wall. Names are
never parsed as mathematical text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from matplotlib.axes import Axes

from pcapkit.model.results import Name, Results, WhatIf
from pcapkit.model.series import Chain
from pcapkit.model.vocabulary import WASTE_CLASSES, WASTED_CLASSES
from pcapkit.report.html.canvas import COLOURS, HATCHES, WIDTH, Picture, new_figure
from pcapkit.report.html.plan_chart import plan_curve
from pcapkit.report.text.formatting import number, percent, printable, shorten
from pcapkit.report.text.wording import FEWEST, client_names, evidence, judged_queries, overall
from pcapkit.words import seconds

#: Waste first, so that it stands at the left of every bar.
_ORDER = (*WASTED_CLASSES, *(c for c in reversed(WASTE_CLASSES) if c not in WASTED_CLASSES))
_LABELS = {c: c.replace("_", " ") for c in WASTE_CLASSES}
_MOST_NAMES = 8
#: Names that make less of the waste are no message.
_LEAST_OF_NAMES = 0.05


def waste_by_class(analysis: Results) -> Picture | None:
    """All queries as one bar, split by what they were good for."""
    by_class = analysis.waste.by_class
    shown = [c for c in _ORDER if by_class[c]]
    total = analysis.waste.queries
    if not total:
        return None
    title = "No query was search-path waste"
    if analysis.waste.wasted_queries:
        title = f"{percent(analysis.waste.share)} of the queries were search-path waste"
    figure, axes = new_figure(title, evidence(analysis), height=0.5 + 0.2 * len(shown))
    left = 0.0
    for name in shown:
        axes.barh(
            0,
            by_class[name],
            left=left,
            height=0.9,
            color=COLOURS[name],
            hatch=HATCHES.get(name),
            edgecolor="white",
            linewidth=0.6,
        )
        left += by_class[name]
    for k, name in enumerate(shown):
        y = -1.0 - 0.8 * k
        axes.barh(
            y,
            total * 0.03,
            height=0.5,
            color=COLOURS[name],
            hatch=HATCHES.get(name),
            edgecolor="white",
            linewidth=0.4,
        )
        bold = "bold" if name in WASTED_CLASSES else "normal"
        axes.text(total * 0.045, y, _LABELS[name], va="center", fontweight=bold)
        axes.text(total * 0.72, y, number(by_class[name]), va="center", ha="right", fontweight=bold)
        axes.text(total * 0.9, y, percent(by_class[name] / total), va="center", ha="right")
    axes.set_xlim(0, total)
    axes.set_ylim(-1.5 - 0.8 * (len(shown) - 1), 0.6)
    axes.axis("off")
    alt = ", ".join(f"{_LABELS[c]} {number(by_class[c])}" for c in shown)
    return Picture(figure, f"{title}. Queries by class: {alt}.")


def ndots_settings(analysis: Results) -> Picture | None:
    """What the same lookups would send under each setting."""
    rows = [r for r in overall(analysis) if r.setting.is_fqdn_of_all or _is_plain(r)]
    if len(rows) < 2 or not any(r.queries for r in rows):
        return None
    now = next((r for r in rows if r.observed), None)
    title = _settings_title(rows, now)
    figure, axes = new_figure(
        title,
        evidence(analysis),
        height=1.55,
        left=0.2,
        bottom=0.62,
        note="plain: needed · hatched: wasted",
    )
    highest = max(r.queries for r in rows)
    for x, row in enumerate(rows):
        rest = row.queries - row.wasted_queries
        axes.bar(x, rest, color=COLOURS["answer"], width=0.68)
        axes.bar(
            x,
            row.wasted_queries,
            bottom=rest,
            color=COLOURS["search_miss"],
            width=0.68,
            hatch="//",
            edgecolor="white",
            linewidth=0,
        )
        axes.text(
            x,
            row.queries + highest * 0.02,
            number(row.queries),
            ha="center",
            va="bottom",
            fontweight="bold" if row.observed else "normal",
        )
    axes.set_xticks(range(len(rows)))
    axes.set_xticklabels(
        [
            ("final\ndots" if r.ndots is None else f"{r.ndots}")
            + ("\nnow" if r.observed else "\nunsafe" if r.safety == "unsafe" else "")
            for r in rows
        ]
    )
    axes.set_xlabel("ndots")
    axes.set_ylim(0, highest * 1.15)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    alt = "; ".join(
        f"{'a final dot on every name' if r.ndots is None else f'ndots {r.ndots}'}: "
        f"{number(r.queries)} queries, {number(r.wasted_queries)} wasted"
        for r in rows
    )
    return Picture(figure, f"{title}. Queries under each setting: {alt}.")


def _is_plain(row: WhatIf) -> bool:
    """Is it an ndots that somebody would set, or today's? The table has the others."""
    return row.setting.is_ndots and (bool(row.ndots) or row.observed)


def _settings_title(rows: Sequence[WhatIf], now: WhatIf | None) -> str:
    """Name the ndots that sends fewest queries, of those that break nothing."""
    kept = [r for r in rows if r.ndots is not None and r.safety != "unsafe"]
    if not kept:
        return "Every other ndots would break names that resolve now"
    best = min(kept, key=lambda r: (r.queries, -(r.ndots or 0)))
    text = f"At ndots {best.ndots} these lookups send"
    if now is None:
        return f"{text} {number(best.queries)} queries"
    if best.queries < now.queries:
        return f"{text} {100 * (1 - best.queries / now.queries):.0f} % fewer queries"
    return "No other ndots sends fewer queries" + (
        " without breaking names" if any(r.queries < now.queries and r.ndots for r in rows) else ""
    )


def worst_names(analysis: Results) -> Picture | None:
    """The names that waste most, split by class."""
    count = analysis.wasted_names
    names = analysis.name_rows[: min(count, _MOST_NAMES)]
    if not names:
        return None
    top = sum(n.wasted_queries for n in names)
    if top < _LEAST_OF_NAMES * analysis.waste.wasted_queries:
        return None  # no name stands out; the page groups them by their domains
    title = (
        f"{len(names)} of {number(count)} names make "
        f"{100 * top / analysis.waste.wasted_queries:.0f} % of the waste"
        if count > len(names)
        else ("1 name makes" if count == 1 else f"{count} names make") + " all of the waste"
    )
    figure, axes = new_figure(
        title, "beside each bar: wasted queries of all for the name", height=0.38 * len(names)
    )
    widest = max(n.queries for n in names)
    longest = max(len(_shares(n)) for n in names)
    for k, name in enumerate(names):
        _name_bar(axes, -k, name, widest)
    label = (0.1 + 0.08 * longest) / WIDTH  # of the width, beside the widest bar
    axes.set_xlim(0, widest * max(1.22, 1 / (1 - label)))
    axes.set_ylim(-len(names) + 0.7, 0.7)
    axes.axis("off")
    alt = "; ".join(
        f"{printable(n.base_name)} wasted {number(n.wasted_queries)} of {number(n.queries)}"
        for n in names
    )
    return Picture(figure, f"{title}. Worst names: {alt}.")


def _name_bar(axes: Axes, y: float, name: Name, widest: int) -> None:
    axes.text(0, y + 0.42, shorten(name.base_name, 50), family="monospace", va="center")
    left = 0
    for waste_class in _ORDER:
        if queries := name.by_class.get(waste_class, 0):
            axes.barh(
                y,
                queries,
                left=left,
                height=0.36,
                color=COLOURS[waste_class],
                hatch=HATCHES.get(waste_class),
                edgecolor="white",
                linewidth=0.4,
            )
            left += queries
    axes.text(left + widest * 0.01, y, _shares(name), va="center")


def _shares(name: Name) -> str:
    return f"{number(name.wasted_queries)} of {number(name.queries)}"


def chain_ladder(analysis: Results) -> Picture | None:
    """The lookup that wasted most, candidate by candidate."""
    return draw_chain(analysis.chains[0]) if analysis.chains else None


def draw_chain(chain: Chain) -> Picture:
    """One lookup: a row per candidate, time to the right, the outcome at the end of each bar."""
    candidates = list(dict.fromkeys(s.candidate for s in chain.steps))
    wasted = sum(s.waste_class in WASTED_CLASSES for s in chain.steps)
    timed = chain.duration_s is not None
    title = f"{shorten(chain.base_name, 30)}: {wasted} of {len(chain.steps)} queries for nothing"
    subtitle = f"lookup {chain.lookup_id} of {chain.client_addr}" + (
        f", {seconds(chain.duration_s)}, packets from {chain.steps[0].query_packet_no}"
        if timed
        else ", no times in the capture"
    )
    figure, axes = new_figure(title, subtitle, height=0.62 * len(candidates), bottom=0.34)
    span = max((s.start_s + (s.rtt_s or 0) for s in chain.steps), default=0) or 1.0
    for step_number, step in enumerate(chain.steps):
        row = candidates.index(step.candidate)
        lane = [s for s in chain.steps if s.candidate == step.candidate].index(step)
        y = -row - 0.14 - 0.25 * lane
        start = step.start_s if timed else step_number / len(chain.steps) * span
        width = max(step.rtt_s or 0, span * 0.012) if timed else span / len(chain.steps) * 0.8
        axes.barh(
            y,
            width,
            left=start,
            height=0.2,
            color=COLOURS[step.waste_class],
            hatch=HATCHES.get(step.waste_class),
            edgecolor="white",
            linewidth=0.3,
        )
        axes.text(start + width + span * 0.01, y, f"{step.qtype} {step.outcome}", va="center")
        if lane == 0:
            axes.text(0, -row + 0.16, shorten(step.candidate, 52), family="monospace", va="center")
    axes.set_xlim(0, span * 1.28)
    axes.set_ylim(-len(candidates) + 0.4, 0.35)
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    if timed:
        ticks = [0, span / 2, span]
        axes.set_xticks(ticks)
        axes.set_xticklabels(["0", *(seconds(t) for t in ticks[1:])])
    else:
        axes.set_xticks([])
    alt = "; ".join(f"{s.qtype} {printable(s.candidate)} {s.outcome}" for s in chain.steps)
    return Picture(
        figure,
        f"{printable(chain.base_name)}: {wasted} of {len(chain.steps)} queries for nothing. {alt}.",
    )


def timeline(analysis: Results) -> Picture | None:
    """Queries over time, the waste shaded."""
    line = analysis.timeline
    if line.start_time is None or not line.counts:
        return None
    bins = len(next(iter(line.counts.values())))
    if bins < 3 or sum(map(sum, line.counts.values())) < FEWEST:
        return None
    waste = [0] * bins
    total = [0] * bins
    for waste_class, counts in line.counts.items():
        for i, n in enumerate(counts):
            total[i] += n
            waste[i] += n if waste_class in WASTED_CLASSES else 0
    peak = max(total)
    most = max(waste)
    title = "No search-path waste at any time"
    if most:
        at = seconds(waste.index(most) * line.bin_s)
        title = (
            f"Most waste came {f'{at} after the start' if waste.index(most) else 'at the start'}"
        )
    subtitle = f"hatched: wasted · {evidence(analysis)}"
    figure, axes = new_figure(title, subtitle, height=1.25, left=0.5, bottom=0.36)
    edges = [i * line.bin_s for i in range(bins + 1)]
    axes.stairs(total, edges, fill=True, color=COLOURS["answer"], linewidth=0)
    axes.stairs(
        waste,
        edges,
        fill=True,
        facecolor=COLOURS["search_miss"],
        edgecolor="white",
        hatch="//",
        linewidth=0,
    )
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, peak * 1.05)
    axes.set_yticks([0, peak])
    axes.set_yticklabels(["0", number(peak)])
    start = datetime.fromtimestamp(line.start_time / 1e9, UTC)
    axes.set_xticks([0, edges[-1]])
    labels = axes.set_xticklabels(
        [start.strftime("%Y-%m-%d %H:%M:%S UTC"), f"+{seconds(edges[-1])}"]
    )
    labels[0].set_horizontalalignment("left")
    labels[1].set_horizontalalignment("right")
    return Picture(
        figure,
        f"{title}: {number(most)} wasted queries in {seconds(line.bin_s)}; "
        f"at most {number(peak)} queries in as long; "
        f"{number(sum(waste))} of {number(sum(total))} wasted.",
    )


def latency(analysis: Results) -> Picture | None:
    """How long resolved lookups took, and would have without the waste."""
    curve = analysis.latency
    if curve.lookups < FEWEST or curve.duration_s[-1] <= 0:
        return None
    now, lean = curve.duration_s[50], curve.without_waste_s[50]
    title = f"Half of the lookups took {seconds(now)} or less"
    if lean < now * 0.95:
        title = f"Without the waste a typical lookup takes {seconds(lean)}, not {seconds(now)}"
    subtitle = f"{number(curve.lookups)} resolved lookups, cumulative"
    figure, axes = new_figure(title, subtitle, height=1.35, left=0.58, bottom=0.36)
    for values, name, style in (
        (curve.without_waste_s, "answer", "--"),
        (curve.duration_s, "search_miss", "-"),
    ):
        axes.plot(
            [max(v, 1e-6) for v in values],
            range(101),
            color=COLOURS[name],
            linestyle=style,
            linewidth=1.6,
        )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [t for t in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100) if low <= t <= high]
    axes.set_xticks(ticks)
    axes.set_xticklabels([seconds(t).replace(".0 ", " ").replace(".00 ", " ") for t in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    axes.set_yticks([0, 50, 100])
    axes.set_yticklabels(["0 %", "50 %", "100 %"])
    axes.text(0.98, 0.18, "solid: as it was", transform=axes.transAxes, ha="right")
    axes.text(0.98, 0.05, "dashed: without the waste", transform=axes.transAxes, ha="right")
    return Picture(
        figure,
        f"{title}. Duration of resolved lookups: median {seconds(now)}, without the "
        f"wasted steps {seconds(lean)}.",
    )


def clients(analysis: Results) -> Picture | None:
    """Clients as points: queries against the share of waste."""
    rows = [c for c in analysis.client_rows if c.queries]
    if len(rows) < 2 or not any(c.wasted_queries for c in rows):
        return None
    names = client_names(analysis)
    called = [names[c.client_addr, c.container] for c in rows]
    others = analysis.other_clients.count
    title = f"{called[0]} wastes most of {number(len(rows) + others)} clients"
    shown = f"{number(len(rows))} that waste most, each" if others else "each client"
    subtitle = f"{number(judged_queries(analysis))} queries, {shown} a point"
    figure, axes = new_figure(title, subtitle, height=1.45, left=0.58, bottom=0.52)
    axes.scatter(
        [c.queries for c in rows],
        [100 * c.wasted_queries / c.queries for c in rows],
        s=22,
        color=COLOURS["search_miss"],
        alpha=0.55,
        linewidths=0,
    )
    most = max(c.queries for c in rows)
    labelled: list[tuple[float, float]] = []
    for client, name in zip(rows[:3], called, strict=False):
        x, y = client.queries, 100 * client.wasted_queries / client.queries
        if all(abs(x - a) > 0.35 * most or abs(y - b) > 12 for a, b in labelled):
            labelled.append((x, y))
            axes.annotate(name, (x, y), xytext=(-4, 4), textcoords="offset points", ha="right")
    axes.set_ylim(-4, 104)
    axes.set_yticks([0, 50, 100])
    axes.set_yticklabels(["0 %", "50 %", "100 %"])
    axes.set_xlim(left=0, right=most * 1.08)
    axes.set_xlabel("queries")
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: number(int(value)))
    return Picture(
        figure,
        f"{title}: "
        + "; ".join(
            f"{name} {number(c.queries)} queries, {number(c.wasted_queries)} wasted"
            for c, name in zip(rows[:8], called, strict=False)
        )
        + ".",
    )


CHARTS: tuple[tuple[str, Callable[[Results], Picture | None]], ...] = (
    ("plan", plan_curve),
    ("waste-by-class", waste_by_class),
    ("ndots-settings", ndots_settings),
    ("worst-names", worst_names),
    ("chain", chain_ladder),
    ("timeline", timeline),
    ("latency", latency),
    ("clients", clients),
)
