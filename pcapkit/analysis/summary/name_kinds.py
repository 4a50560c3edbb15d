"""What kind of name each base name is: cluster, external, reverse, single label ..."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pcapkit.analysis.lookups.outcomes import MISSING
from pcapkit.names.labels import Labels
from pcapkit.names.table import Folded
from pcapkit.schema import Array, Ids

#: Sorts of names: the first that holds, see ``kinds_of``.
_KINDS = ("reverse", "cluster", "external", "nonexistent", "single_label", "unknown")


def kinds_of(
    names: Folded,
    base: Ids,
    answered_by: Ids,
    outcome: Array,
    denied: Array,
    zones: Sequence[Labels],
) -> list[str]:
    """Say what sort of name each of some lookups asked for.

    ``denied`` is not 0 where some query was told that the name as is does not exist: what was asked
    under suffixes only may exist.
    """
    is_known = base != names.unknown
    holds = (
        names.inside([("arpa",)])[base] != 0,
        (answered_by >= 0) & (names.inside(zones)[np.maximum(answered_by, 0)] != 0),
        answered_by >= 0,
        (outcome == MISSING) & (denied > 0),
        names.label_counts()[base] == 1,
    )
    kinds = np.select([is_known & h for h in holds], range(len(holds)), len(holds))
    return [_KINDS[k] for k in kinds.tolist()]
