"""The curve of a plan: queries left after each of its steps."""

from __future__ import annotations

from typing import Any

from pcapkit.model.results import Results
from pcapkit.report.html.canvas import COLOURS, INK, Picture, new_figure
from pcapkit.report.text.formatting import number
from pcapkit.report.text.plans import best_plan, edits_text
from pcapkit.report.text.wording import evidence

_MOST_BARS = 16  # edits of a plan that are drawn one by one


def plan_curve(analysis: Results) -> Picture | None:
    """What each step of the plan leaves; dots: the least that so many edits can leave."""
    plan = best_plan(analysis)
    if plan is None:
        return None
    edits, left, wasted = [0], [plan.before.queries], [plan.before.wasted_queries]
    for step in plan.steps:
        edits.append(edits[-1] + step.edits)
        left.append(step.queries_after)
        wasted.append(step.wasted_queries_after)
    if plan.edits > edits[-1]:  # the steps that are not listed
        edits.append(plan.edits)
        left.append(plan.after.queries)
        wasted.append(plan.after.wasted_queries)
    needed = [queries - waste for queries, waste in zip(left, wasted, strict=True)]
    verb = "leaves" if plan.edits == 1 else "leave"
    title = f"{edits_text(plan.edits)} {verb} {number(left[-1])} of {number(left[0])} queries"
    figure, axes = new_figure(
        title,
        evidence(analysis),
        height=1.55,
        left=0.2,
        bottom=0.5,
        note="plain: needed · hatched: wasted · dots: the least that so many edits leave",
    )
    end = min(plan.frontier[-1].edits, max(plan.edits + 2, round(1.5 * plan.edits)))
    end = max(plan.edits, *(p.edits for p in plan.frontier if p.edits <= end))
    few = plan.edits <= _MOST_BARS
    if few:
        bars: Any = {"width": 0.68, "edgecolor": "white", "linewidth": 0}
        axes.bar(edits, needed, color=COLOURS["answer"], **bars)
        axes.bar(edits, wasted, bottom=needed, color=COLOURS["search_miss"], hatch="//", **bars)
    else:  # an edit of a step of many does its share of them
        axes.fill_between(
            edits,
            left,
            facecolor=COLOURS["search_miss"],
            edgecolor="white",
            hatch="//",
            linewidth=0,
        )
        axes.fill_between(edits, needed, color=COLOURS["answer"], linewidth=0)
    shown = edits if few and len(edits) <= 9 else [edits[0], edits[-1]]
    axes.set_xlim(*((-0.6, end + 0.6) if few else (0, end)))
    least = [p for p in plan.frontier if p.edits <= end and not (few and p.edits in edits)]
    axes.plot(
        [p.edits for p in least],
        [p.queries for p in least],
        color=INK,
        linestyle="none" if few else ":",
        linewidth=1.2,
        marker="o" if few else None,
        markersize=3,
    )
    for at, queries in zip(edits, left, strict=True):
        if at in shown:
            axes.annotate(
                number(queries),
                (at, queries),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center" if few else "left" if at <= 0.8 * end else "right",
            )
    axes.set_ylim(0, left[0] * 1.14)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    last = plan.edits if plan.edits >= 0.7 * end else end  # two labels need room
    ticks = sorted({0, *edits[1:], end}) if end <= _MOST_BARS else [0, plan.edits, last]
    axes.set_xticks(sorted(set(ticks)))
    if not few and last == end:
        axes.get_xticklabels()[-1].set_horizontalalignment("right")
    axes.xaxis.set_major_formatter(lambda value, _: number(round(value)))
    axes.set_xlabel("edits done")
    steps = "; ".join(
        f"after {edits_text(at)} {number(queries)}, {number(waste)} of them wasted"
        for at, queries, waste in list(zip(edits, left, wasted, strict=True))[1:_MOST_BARS]
    )
    alt = f"{title}. Queries left after each step of the plan: now {number(left[0])}, "
    alt += f"{number(wasted[0])} of them wasted; {steps}"
    if len(edits) > _MOST_BARS:
        alt += f"; in the end {number(left[-1])}, {number(wasted[-1])} of them wasted"
    return Picture(figure, f"{alt}.")
