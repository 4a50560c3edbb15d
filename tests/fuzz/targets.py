"""TARGETS: every reader that takes bytes from others, as a function of bytes."""

from __future__ import annotations

from tests.fuzz.file_targets import FILE_TARGETS
from tests.fuzz.outcomes import Target
from tests.fuzz.packet_targets import PACKET_TARGETS
from tests.fuzz.text_targets import TEXT_TARGETS

TARGETS: tuple[Target, ...] = (*PACKET_TARGETS, *TEXT_TARGETS, *FILE_TARGETS)
BY_NAME = {target.name: target for target in TARGETS}
