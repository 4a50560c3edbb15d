"""FAULTS: what can be wrong beside waste, how it is recognised, and what to do.

A row holds a fault's manual, which ``pcapkit explain`` prints and every finding carries, and its
detector in two steps: ``note`` says what one part of the readings shows, and ``is_guilty`` judges
each subject once the notes of all parts are added up. ``certainty`` says whether another
explanation is left, ``rivals`` and ``excludes`` what rules the others out.
"""

from __future__ import annotations

from pcapkit.analysis.faults.delivery_faults import DELIVERY_FAULTS
from pcapkit.analysis.faults.fault import Fault
from pcapkit.analysis.faults.name_faults import NAME_FAULTS
from pcapkit.analysis.faults.setting_faults import SETTING_FAULTS

FAULTS: tuple[Fault, ...] = (*DELIVERY_FAULTS, *NAME_FAULTS, *SETTING_FAULTS)
