"""Intervals of what nights show, from the nights themselves.

Student's t is computed here, since nothing else in the package needs a library of distributions:
for whole degrees of freedom its distribution is a finite sum (Abramowitz and Stegun, Handbook of
Mathematical Functions, 26.7.3 and 26.7.4), whose quantiles are found by bisection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import atan, cos, exp, log, pi, sin, sqrt
from statistics import NormalDist, median

from pcapkit.model.comparison import Rate

#: Variance of a lookup's queries over their squared mean: about that of walks of 2 and of 8
#: queries in any mixture. It only weighs nights of few lookups against those of many; how much
#: nights differ as a whole is measured.
_LOOKUP_VARIANCE = 0.5
#: No two nights are taken to differ by less, whatever a few alike ones say (relative).
_LEAST_SPREAD = 0.01
#: Nights farther out than this many robust deviations tell nothing of the usual ones.
_OUTLIER = 6.0
_MAD_TO_SD = 1.4826  # of a normal distribution
_FEWEST_FOR_OUTLIERS = 7
_LEAST_SCALE = 1e-3
#: Subjects that say together how nights differ, and how many nights that is worth at most.
_FEWEST_FOR_MODERATION, _MOST_BORROWED = 5, 40
_FEWEST_FOR_TAILS = 100  # nights, of all subjects
_FAR = 4.5  # deviations: a single spike, farther out, says no more of the tails than this
_MANY = 1000  # degrees of freedom: the normal distribution
EULER = 0.5772156649015329  #: Euler's constant


def t_central(t: float, freedom: int) -> float:
    """Return the probability that Student's t lies between -t and t."""
    angle = atan(t / sqrt(freedom))
    square = cos(angle) ** 2
    odd = freedom % 2
    term = cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for step in range(2 + odd, freedom - 1, 2):
        term *= square * (step - 1) / step
        total += term
    if odd:
        return 2 / pi * (angle + sin(angle) * total)
    return sin(angle) * total


@cache
def t_quantile(tail: float, freedom: int) -> float:
    """Return what Student's t exceeds with the probability ``tail``, at most 0.5."""
    if freedom > 200:
        return NormalDist().inv_cdf(1 - tail)
    low, high = 0.0, 1.0
    while (1 - t_central(high, freedom)) / 2 > tail and high < 1e9:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if (1 - t_central(middle, freedom)) / 2 > tail:
            low = middle
        else:
            high = middle
    return high


def wilson(count: int, of: int, trials: int, z: float = 1.96) -> Rate:
    """Return a share with Wilson's interval; ``trials`` are what counts as independent of it."""
    share, n = min(count / of, 1.0), trials
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Sample:
    """What a night says: ``value``, on a log scale, of so many lookups."""

    value: float
    lookups: int


@dataclass(frozen=True, slots=True)
class Usual:
    """What nights usually say: their mean, its variance, and how nights vary around it.

    The variance of a night is ``scale`` times (``between`` plus that of its lookups).
    """

    mean: float
    mean_variance: float
    between: float
    scale: float
    freedom: int

    def spread(self, *lookups: int) -> float:
        """Return the standard deviation of the mean of nights of so many lookups each."""
        variances = [_night_variance(self.between, n) for n in lookups]
        variance = self.scale * sum(variances) / len(lookups) ** 2
        return sqrt(max(variance, _LEAST_SPREAD**2 / len(lookups)))

    def excess(self, samples: Sequence[Sample]) -> tuple[float, float]:
        """Return by how much other nights, together, lie above the mean; and the deviation of that.

        The ratio of both is Student's t of ``freedom`` where nothing has changed.
        """
        value = sum(s.value for s in samples) / len(samples) - self.mean
        spread = self.spread(*(s.lookups for s in samples))
        return value, sqrt(spread**2 + self.mean_variance)

    def interval(self, excess: tuple[float, float]) -> Rate:
        """Return an excess as a relative change with its 95 % interval."""
        value, deviation = excess
        half = t_quantile(0.025, self.freedom) * deviation
        return Rate(*(exp(v) - 1 for v in (value, value - half, value + half)))


def _night_variance(between: float, lookups: int) -> float:
    return between + _LOOKUP_VARIANCE / lookups


def usual(samples: Sequence[Sample]) -> Usual:
    """Return what nights, two at least, usually say; see ``usual_of_each``."""
    return usual_of_each([samples])[0]


def usual_of_each(subjects: Sequence[Sequence[Sample]]) -> list[Usual]:
    """Return what nights usually say of each of several subjects: two nights of each, at least.

    Nights far out are left aside first. How much nights differ beyond what their lookups explain is
    the moment estimate of DerSimonian and Laird (1986, doi:10.1016/0197-2456(86)90046-2), the
    median over subjects; for each subject all of that is scaled to what its own nights show.
    Subjects whose nights are few borrow from the others as far as these are alike: the scales are
    moderated as variances of genes are by Smyth (2004, doi:10.2202/1544-6115.1027).
    """
    kept = [_without_outliers(samples) for samples in subjects]
    between = median(_between(samples) for samples in kept) if kept else 0.0
    found = [_fitted(samples, between) for samples in kept]
    prior, own = _moderation([(known.scale, known.freedom) for known in found])
    for number, known in enumerate(found):
        freedom = known.freedom + prior
        scale = (prior * own + known.freedom * known.scale) / freedom
        variance = known.mean_variance * (scale / known.scale)
        found[number] = replace(known, mean_variance=variance, scale=scale, freedom=freedom)
    limit = _tail_freedom(list(zip(found, subjects, strict=True)))
    return [replace(known, freedom=min(known.freedom, limit)) for known in found]


def _tail_freedom(subjects: Sequence[tuple[Usual, Sequence[Sample]]]) -> int:
    """Return the degrees of freedom of the t distribution whose tails nights have (at least 5).

    It is the one of their kurtosis, 3 + 6 / (freedom - 4), over all subjects together.
    """
    squares = []
    for known, samples in subjects:
        for sample in samples:
            variance = known.scale * _night_variance(known.between, sample.lookups)
            squares.append(min((sample.value - known.mean) ** 2 / variance, _FAR**2))
    if len(squares) < _FEWEST_FOR_TAILS:
        return _MANY
    middle = sum(squares) / len(squares)
    beyond = sum(s * s for s in squares) / len(squares) / middle**2 - 3
    return _MANY if beyond <= 0 else 4 + max(1, min(_MANY, round(6 / beyond)))


def _between(samples: Sequence[Sample]) -> float:
    inner = [s.lookups / _LOOKUP_VARIANCE for s in samples]
    total = sum(inner)
    mean = sum(w * s.value for w, s in zip(inner, samples, strict=True)) / total
    excess = sum(w * (s.value - mean) ** 2 for w, s in zip(inner, samples, strict=True))
    freedom = len(samples) - 1
    return max(0.0, (excess - freedom) / (total - sum(w * w for w in inner) / total))


def _fitted(samples: Sequence[Sample], between: float) -> Usual:
    weights = [1 / _night_variance(between, s.lookups) for s in samples]
    total, freedom = sum(weights), len(samples) - 1
    mean = sum(w * s.value for w, s in zip(weights, samples, strict=True)) / total
    scale = sum(w * (s.value - mean) ** 2 for w, s in zip(weights, samples, strict=True)) / freedom
    scale = max(scale, _LEAST_SCALE)
    return Usual(mean, scale / total, between, scale, freedom)


def _moderation(variances: Sequence[tuple[float, int]]) -> tuple[int, float]:
    """Return how many degrees of freedom all variances together are worth, and their common value.

    Each is a variance with its degrees of freedom. 0 where they are too few, or too unlike.
    """
    if len(variances) < _FEWEST_FOR_MODERATION:
        return 0, 0.0
    logs = [log(v) - _digamma(n) + log(n / 2) for v, n in variances]
    middle = sum(logs) / len(logs)
    spread = sum((value - middle) ** 2 for value in logs) / (len(logs) - 1)
    spread -= sum(_trigamma(n) for _, n in variances) / len(variances)
    prior = 0
    while prior < _MOST_BORROWED and _trigamma(prior + 1) > spread:
        prior += 1
    return (prior, exp(middle + _digamma(prior) - log(prior / 2))) if prior else (0, 0.0)


@cache
def _digamma(twice: int) -> float:
    """Return the digamma function of half of a whole number (DLMF 5.4.14, 5.4.15, 5.5.2)."""
    value = -EULER - (2 * log(2) if twice % 2 else 0.0)
    return value + sum(2 / n for n in range(2 - twice % 2, twice, 2))


@cache
def _trigamma(twice: int) -> float:
    """Return the trigamma function of half of a whole number (DLMF 5.15.3, 5.15.5)."""
    value = pi**2 / (2 if twice % 2 else 6)
    return value - sum(4 / n**2 for n in range(2 - twice % 2, twice, 2))


def _without_outliers(samples: Sequence[Sample]) -> Sequence[Sample]:
    if len(samples) < _FEWEST_FOR_OUTLIERS:
        return samples
    middle = median(s.value for s in samples)
    robust = _MAD_TO_SD * median(abs(s.value - middle) for s in samples)
    reach = _OUTLIER * max(robust, _LEAST_SPREAD)
    return [
        s
        for s in samples
        if abs(s.value - middle) <= max(reach, _OUTLIER * sqrt(_LOOKUP_VARIANCE / s.lookups))
    ]


def log_rate(queries: int, lookups: int) -> float:
    """Return the logarithm of queries per lookup."""
    return log(queries / lookups)
