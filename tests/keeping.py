"""Lookups of a resolver that keeps answers, as c-ares does, played over a zone with TTLs.

What is kept is neither asked nor seen: its lookups leave holes in their walks, or no packet at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN
from pcapkit.pipeline.analysis import Analysis
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import walk
from tests import build
from tests.analysis.talk import LIST, Talk
from tests.analysis.talk import NXDOMAIN as NO_SUCH_NAME

_TYPES = {"A": build.A, "AAAA": build.AAAA}


@dataclass(frozen=True)
class Keeping:
    """Lookups at their times (ms); ``zone`` maps names to the outcomes of A and AAAA.

    Answers live ``ttl`` seconds, denials ``minimum``; c-ares keeps an empty answer for an hour.
    """

    calls: Sequence[tuple[float, str]]
    zone: Mapping[str, tuple[int, int]]
    model: str = "c-ares"
    ttl: int = 30
    minimum: int = 30

    def sent(self, ndots: int) -> list[list[tuple[float, str, str, int]]]:
        """Return what each call sends: (time, name, type, outcome)."""
        model = resolver_model(self.model)
        config = ResolverConfig((build.SERVER,), LIST, ndots, (), "")
        lives = {ANSWER: self.ttl, NXDOMAIN: self.minimum}
        lives[NODATA] = model.keeps_empty_s or self.minimum
        kept: dict[tuple[str, str], float] = {}
        out = []
        for at, name in self.calls:
            asked = []
            for step in walk(name, config, model, self._outcome).steps:
                question = step.candidate, step.qtype
                if kept.get(question, -1) > at:
                    continue
                kept[question] = at + 1000 * lives[step.outcome]
                asked.append((at, *question, step.outcome))
            out.append(asked)
        return out

    def _outcome(self, name: str, qtype: str) -> int:
        return self.zone.get(name, (NXDOMAIN, NXDOMAIN))[qtype == "AAAA"]

    def analyze(self, folder: Path, under: int, **options: Any) -> Analysis:
        """Write what a capture shows under an ndots, and analyse it."""
        talk = Talk()
        for number, asked in enumerate(self.sent(under)):
            names = list(dict.fromkeys(name for _, name, _, _ in asked))
            for at, name, qtype, outcome in asked:
                talk.exchange(
                    at + names.index(name) + (0.02 if qtype == "AAAA" else 0),
                    name,
                    _TYPES[qtype],
                    rcode=NO_SUCH_NAME if outcome == NXDOMAIN else 0,
                    answers=[] if outcome == NODATA else None,
                    port=20_000 + number,
                    edns=True,
                    ttl=self.ttl,
                    minimum=self.minimum,
                )
        return talk.analyze(folder, f"ndots{under}.pcap", **options)
