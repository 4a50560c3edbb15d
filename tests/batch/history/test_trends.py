"""Regressions and new waste are found, and few nights without any raise an alarm."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from pcapkit.batch.history.intervals import t_central, t_quantile
from pcapkit.batch.history.runs import History, Run, run_of
from pcapkit.batch.history.series import trend_rows
from pcapkit.batch.history.timeline import timeline
from pcapkit.batch.history.trends import judge
from pcapkit.model.audits import AuditRow, Family, Workload
from pcapkit.model.trends import Change
from tests.batch.history.nights import capture, workload

NIGHTS = 200
WORKLOADS = 20


class Cluster:
    """Workloads whose lookups are walks of 2 or of 8 queries, and nights that differ by 3 %."""

    def __init__(
        self, seed: int, workloads: int = WORKLOADS, spread: float = 0.03, tails: bool = False
    ) -> None:
        self._random = random.Random(seed)
        self._tails = tails  # nights differ as Student's t of 5 degrees of freedom
        uniform = self._random.uniform
        self._lookups = [
            math.exp(uniform(math.log(200), math.log(20_000))) for _ in range(workloads)
        ]
        self._rates = [uniform(2.3, 6.5) for _ in range(workloads)]
        self._spread = spread

    def night(self, day: int, growth: Mapping[int, float] = {}) -> AuditRow:
        """One capture of a night; ``growth`` multiplies the queries of a lookup of workloads."""
        return capture(
            day, [self._workload(n, growth.get(n, 1.0)) for n in range(len(self._rates))]
        )

    def _workload(self, number: int, growth: float) -> Workload:
        gauss = self._random.gauss
        lookups = max(20, round(self._lookups[number] * math.exp(gauss(0, 0.3))))
        off = gauss(0, self._spread)
        if self._tails:
            off /= math.sqrt(self._random.gammavariate(2.5, 0.4))
        rate = self._rates[number] * math.exp(off) * growth
        share = min(1.0, max(0.0, (rate - 2) / 6))
        long = lookups * share + gauss(0, math.sqrt(lookups * share * (1 - share)))
        long = min(lookups, max(0, round(long)))
        return workload(f"w{number}", lookups, 2 * lookups + 6 * long, 5 * long)

    def history(self, nights: int, start: int = 0) -> list[Run]:
        return [run_of([self.night(start + d)]) for d in range(nights)]


def alarms(changes: Sequence[Change]) -> list[Change]:
    return [c for c in changes if c.alarm]


# ---- how often ----------


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(1),
        Cluster(2, spread=0.1),
        Cluster(3, workloads=1),
        Cluster(4, workloads=100, spread=0.01),
        Cluster(5, tails=True),
    ],
    ids=("usual", "unsteady", "one", "many", "tails"),
)
def test_few_nights_without_a_change_raise_an_alarm(cluster: Cluster) -> None:
    runs = cluster.history(14)
    nights = 0
    for day in range(14, 14 + NIGHTS):
        row = cluster.night(day)
        nights += bool(alarms(judge(History(tuple(runs[-28:])), [row])))
        runs.append(run_of([row]))
    assert nights <= 0.05 * NIGHTS


@pytest.mark.parametrize("nights_before", [7, 14, 28])
def test_ten_percent_more_queries_a_lookup_are_found(nights_before: int) -> None:
    cluster = Cluster(4)
    history = cluster.history(nights_before + NIGHTS)
    everywhere = dict.fromkeys(range(WORKLOADS), 1.1)
    found = 0
    for day in range(nights_before, nights_before + NIGHTS):
        before = History(tuple(history[day - nights_before : day]))
        whole = judge(before, [cluster.night(day, everywhere)])[0]
        assert whole.kind == "all" and whole.change is not None
        found += whole.regressed
    assert found >= 0.95 * NIGHTS


def test_ten_percent_more_of_one_workload_are_found_within_three_nights() -> None:
    """One workload alone: by as little as nights differ by 1.5 %, and it has lookups enough."""
    found = 0
    for seed in range(NIGHTS // 4):
        cluster = Cluster(100 + seed, spread=0.015)
        runs = cluster.history(21)
        biggest = max(
            timeline(History(tuple(runs[-1:]))).points.items(), key=lambda p: p[1][0].lookups
        )
        number = int(str(biggest[0][1])[1:])
        for day in range(21, 24):
            row = cluster.night(day, {number: 1.1})
            changes = judge(History(tuple(runs)), [row])
            if any(c.regressed and c.workload == f"w{number}" for c in changes):
                found += 1
                break
            runs.append(run_of([row]))
    assert found >= 0.95 * (NIGHTS // 4)


# ---- one at a time ----------


def of(changes: Sequence[Change], subject: str | None) -> Change:
    return next(c for c in changes if c.subject == subject)


def steady(nights: int, wasted: int = 0, queries: int = 3000) -> Iterator[Run]:
    """Nights of one workload that differ by 2 % up and down."""
    for day in range(nights):
        yield run_of([capture(day, [workload("web", 1000, queries + (60, -60)[day % 2], wasted)])])


def test_a_change_has_its_interval_and_what_was_expected() -> None:
    history = History(tuple(steady(14)))
    rows = [capture(14, [workload("web", 1000, 3600)])]
    web = of(judge(history, rows), "shop/web")
    assert web.regressed and web.verdict == "more" and web.points == 14
    assert "20.0% more queries" in web.reason
    assert web.change is not None and web.expected is not None
    assert web.change.low > 0.1 and web.change.high < 0.3
    assert web.value == 3.6
    assert web.expected.low < 3.0 < web.expected.high < 3.6
    assert web.change.value == pytest.approx(web.value / web.expected.value - 1)
    assert web.since_last is not None
    assert web.since_last.value == pytest.approx(3600 / 2940 - 1)
    assert web.since_days is not None  # the seventh night before
    assert web.since_days.value == pytest.approx(3600 / 2940 - 1)


def test_fewer_queries_are_no_alarm() -> None:
    history = History(tuple(steady(14)))
    web = of(judge(history, [capture(14, [workload("web", 1000, 2000)])]), "shop/web")
    assert web.verdict == "less" and not web.alarm and not web.reason


def test_few_nights_say_little() -> None:
    assert judge(History(), [capture(0, [workload("web", 1000, 3000)])]) == ()
    three = judge(History(tuple(steady(3))), [capture(3, [workload("web", 1000, 9000)])])
    assert of(three, "shop/web").verdict == "too_little_history"
    assert of(three, "shop/web").change is None and not alarms(three)
    since = of(three, "shop/web").since_last
    assert since is not None and since.low < since.value < since.high
    four = judge(History(tuple(steady(4))), [capture(4, [workload("web", 1000, 3000)])])
    many = judge(History(tuple(steady(28))), [capture(28, [workload("web", 1000, 3000)])])
    widths = [c.high - c.low for f in (four, many) if (c := of(f, "shop/web").change) is not None]
    assert widths[0] > widths[1]


def test_few_lookups_say_nothing() -> None:
    history = History(tuple(steady(14)))
    web = of(judge(history, [capture(14, [workload("web", 19, 190)])]), "shop/web")
    assert web.verdict == "too_little_history" and not web.alarm


def test_few_lookups_widen_the_interval() -> None:
    history = History(tuple(steady(14)))
    few, many = (
        of(judge(history, [capture(14, [workload("web", n, 3 * n)])]), "shop/web").change
        for n in (30, 1000)
    )
    assert few is not None and many is not None
    assert few.high - few.low > 3 * (many.high - many.low)


def test_a_night_far_out_does_not_hide_the_next_regression() -> None:
    runs = [*steady(14)]
    runs[6] = run_of([capture(6, [workload("web", 1000, 9000)])])
    changes = judge(History(tuple(runs)), [capture(14, [workload("web", 1000, 3600)])])
    assert of(changes, "shop/web").regressed


def test_more_of_one_workload_is_no_regression_of_all() -> None:
    def night(day: int, lookups: int) -> AuditRow:
        wobble = (20, -20)[day % 2]
        pair = [workload("light", 2000, 4000 + wobble), workload("heavy", lookups, 9 * lookups)]
        return capture(day, pair)

    runs = [run_of([night(day, 500 + day)]) for day in range(14)]
    changes = judge(History(tuple(runs)), [night(14, 5000)])
    assert not alarms(changes)
    assert changes[0].value is not None and changes[0].value > 6


def test_a_workload_that_begins_to_waste_is_new_waste() -> None:
    history = History(tuple(steady(8, wasted=10)))
    changes = judge(history, [capture(8, [workload("web", 1000, 3000, 900)])])
    web = of(changes, "shop/web")
    assert web.new_waste and not web.regressed
    assert "30.0% of its queries, at most 0.3% in any night before" in web.reason
    always = History(tuple(steady(8, wasted=900)))
    assert not alarms(judge(always, [capture(8, [workload("web", 1000, 3000, 900)])]))
    one_night = [*steady(8, wasted=10)]
    one_night[3] = run_of([capture(3, [workload("web", 1000, 3000, 900)])])
    again = judge(History(tuple(one_night)), [capture(8, [workload("web", 1000, 3000, 900)])])
    assert not of(again, "shop/web").new_waste  # it did so before


def test_little_waste_is_not_new_waste() -> None:
    history = History(tuple(steady(8)))
    for lookups, queries, wasted in ((1000, 3000, 150), (25, 75, 15), (19, 60, 40)):
        rows = [capture(8, [workload("web", lookups, queries, wasted)])]
        assert not of(judge(history, rows), "shop/web").new_waste


def test_a_workload_that_is_new_and_wastes_is_new_waste() -> None:
    history = History(tuple(steady(8)))
    new = workload("api", 500, 2000, 1200)
    changes = judge(history, [capture(8, [workload("web", 1000, 3000), new])])
    assert [c.subject for c in alarms(changes)] == ["shop/api"]
    assert "not seen before" in of(changes, "shop/api").reason
    # pods without a name get another address every night
    address = workload(None, 500, 2000, 1200, client_addr="10.0.0.9")
    assert not alarms(judge(history, [capture(8, [workload("web", 1000, 3000), address])]))


def families(*shares: tuple[str, int]) -> list[Family]:
    return [Family(name, wasted // 3, wasted * 2, wasted) for name, wasted in shares]


def night_of(day: int, *shares: tuple[str, int]) -> AuditRow:
    wasted = sum(w for _, w in shares)
    return capture(day, [workload("web", 1000, 5000, wasted)], families=families(*shares))


def test_a_family_of_names_that_begins_to_waste_is_new_waste() -> None:
    runs = [run_of([night_of(d, ("old.com", 1000), ("seldom.com", 20))]) for d in range(8)]
    changes = judge(History(tuple(runs)), [night_of(8, ("old.com", 1000), ("seldom.com", 400))])
    assert [(c.kind, c.subject, c.new_waste) for c in alarms(changes)] == [
        ("family", "seldom.com", True)
    ]
    assert "8.0% of all queries, at most 0.4% in any night before" in alarms(changes)[0].reason


def test_where_every_night_has_other_names_they_are_no_alarm() -> None:
    runs = [run_of([night_of(d, ("old.com", 1000), (f"n{d}.com", 390))]) for d in range(12)]
    usual = judge(History(tuple(runs)), [night_of(12, ("old.com", 1000), ("n12.com", 400))])
    assert not alarms(usual)
    more = judge(History(tuple(runs)), [night_of(12, ("old.com", 1000), ("n12.com", 900))])
    assert [c.subject for c in alarms(more)] == ["n12.com"]


# ---- runs that repeat captures ----------


def test_the_same_run_is_judged_the_same_whether_it_is_recorded_or_not() -> None:
    runs = [*steady(14)]
    rows = [capture(14, [workload("web", 1000, 3600)])]
    before = judge(History(tuple(runs)), rows)
    assert judge(History((*runs, run_of(rows))), rows) == before
    assert any(c.regressed for c in before)


def test_a_folder_that_grows_counts_each_capture_once() -> None:
    """Every night all captures are audited again."""
    nights = [
        capture(day, [workload("web", 1000, 3000 + (60, -60)[day % 2])], path=f"{day}.pcap")
        for day in range(14)
    ]
    grown = [run_of(nights[: day + 1]) for day in range(14)]
    alone = [run_of([night]) for night in nights]
    last = capture(14, [workload("web", 1000, 3600)], path="14.pcap")
    one = judge(History(tuple(grown)), [*nights, last])
    assert one == judge(History(tuple(alone)), [last])
    assert of(one, "shop/web").points == 14 and of(one, "shop/web").regressed
    # captures that are gone are known from the runs that had them
    gone = [replace(night, gone=True) for night in nights]
    assert judge(History(tuple(grown)), [*gone, last]) == one
    # and all of them at once, without a history
    assert judge(History(), [*nights, last]) == one


def test_later_runs_do_not_judge_earlier_ones() -> None:
    runs = [*steady(14)]
    rows = [capture(3, [workload("web", 1000, 3600)], path="again.pcap")]
    assert of(judge(History(tuple(runs)), rows), "shop/web").points == 4


# ---- the trend of the index ----------


def test_the_trend_of_a_workload() -> None:
    runs = [*steady(8, wasted=300)]
    rows = [capture(8, [workload("web", 1000, 3000, 1500), workload("api", 100, 200)])]
    web, api = trend_rows(History(tuple(runs)), rows)
    assert (web.namespace, web.workload, web.client_addr) == ("shop", "web", None)
    assert len(web.points) == 9 and web.points[-1].share == 0.5 and web.points[-1].queries == 3000
    assert [p.time for p in web.points] == sorted(p.time for p in web.points)
    assert all(p.low < p.share < p.high for p in web.points)
    assert web.verdict == "worse" and web.change_low is not None and web.change_low > 0
    assert (api.verdict, api.change, len(api.points)) == ("new", None, 1)
    (better,) = trend_rows(History(tuple(runs)), [capture(8, [workload("web", 1000, 3000, 0)])])
    (same,) = trend_rows(History(tuple(runs)), [capture(8, [workload("web", 1000, 3000, 310)])])
    (alone,) = trend_rows(History(), [capture(8, [workload("web", 1000, 3000, 0)])])
    (few,) = trend_rows(History(tuple(runs)), [capture(8, [workload("web", 10, 30, 15)])])
    verdicts = [t.verdict for t in (better, same, alone, few)]
    assert verdicts == ["better", "same", "unknown", "unknown"]


# ---- Student's t ----------


@pytest.mark.parametrize(
    ("freedom", "tail", "value"),
    [  # Abramowitz and Stegun, table 26.10
        (1, 0.025, 12.706),
        (2, 0.025, 4.303),
        (3, 0.025, 3.182),
        (4, 0.005, 4.604),
        (5, 0.005, 4.032),
        (10, 0.025, 2.228),
        (20, 0.0005, 3.850),
        (30, 0.005, 2.750),
        (120, 0.025, 1.980),
    ],
)
def test_quantiles_of_t(freedom: int, tail: float, value: float) -> None:
    assert t_quantile(tail, freedom) == pytest.approx(value, abs=6e-4)
    assert (1 - t_central(value, freedom)) / 2 == pytest.approx(tail, rel=2e-3)


def test_a_capture_that_was_renamed_or_moved_counts_once() -> None:
    night = capture(0, [workload("web", 100, 400)], path="a.pcap")
    renamed = replace(night, path="old/b.pcap", paths=("old/b.pcap",))
    later = capture(1, [workload("web", 50, 200)], path="a.pcap")
    runs = History((run_of([night]), run_of([renamed, later])))
    line = timeline(runs)
    assert [(n.day, n.lookups) for n in line.nights] == [("2026-05-27", 100), ("2026-05-28", 50)]


def test_an_analysis_by_another_version_takes_the_place_of_the_first() -> None:
    night = capture(0, [workload("web", 100, 400)])
    again = capture(0, [workload("web", 90, 380)])
    again = replace(again, packets=night.packets)
    line = timeline(History((run_of([night]), run_of([again]))))
    assert [(n.day, n.lookups) for n in line.nights] == [("2026-05-27", 90)]


def test_copies_in_one_run_are_several_captures() -> None:
    night = capture(0, [workload("web", 100, 400)], path="a.pcap")
    copy = replace(night, path="b.pcap", paths=("b.pcap",))
    assert timeline(History((run_of([night, copy]),))).nights[0].lookups == 200


def test_captures_without_a_clock_are_known_by_their_paths() -> None:
    one = capture(0, [workload("web", 100, 400)], path="a.txt", clock=False)
    other = replace(one, path="b.txt", paths=("b.txt",))
    line = timeline(History((run_of([one]), run_of([one, other]))))
    assert sum(n.lookups for n in line.nights) == 200
