"""The first run: compile the kernels on two cores, once, into the cache that later runs read.

Numba compiles one function at a time in one process. So a second process compiles what reading and
looking for faults need, on input of its own, while this one compiles the decoders and what replays
lookups: either takes as long. What lines of logs need is compiled by who reads some.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from pcapkit.analysis.exchanges.store import Store
from pcapkit.analysis.faults.findings import FaultTally
from pcapkit.analysis.lookups.grouping import group_clients
from pcapkit.analysis.lookups.reading import ClientReading, Readings, read_parts
from pcapkit.analysis.search_lists.infer import SearchList
from pcapkit.analysis.search_lists.survey import survey
from pcapkit.analysis.summary.tally import Tally
from pcapkit.analysis.timing import LONGEST_TIMEOUT_NS
from pcapkit.analysis.traffic.name_flags import NameFlags
from pcapkit.analysis.traffic.part import Context, PartTraffic
from pcapkit.analysis.whatif.accumulate import replay_groups
from pcapkit.analysis.whatif.answers import Answers
from pcapkit.analysis.whatif.tally import WhatIfTally
from pcapkit.concurrency import python_command
from pcapkit.ingest.capture.decode import decode_window
from pcapkit.ingest.capture.decoder import Decoder
from pcapkit.ingest.capture.pcap import OPTIONS, RECORD
from pcapkit.ingest.packet.link import LINK_ETHERNET
from pcapkit.ingest.window import Capture, Interners
from pcapkit.kernels.jit import compiled_before
from pcapkit.memory import without_collection
from pcapkit.model.clients import Ndots, ResolverGuess
from pcapkit.model.vocabulary import Source as Origin
from pcapkit.names.table import Folded
from pcapkit.schema import EXCHANGE, LOOKUP, MARK_QUESTION_SHOWN, QR, TRANSACTION, new_messages

#: No first run takes longer; one that does has lost its second process.
_LONGEST_S = 300
#: Kernels that take longest to compile: of reading and judging one each, then of decoding.
_LONGEST = (group_clients, replay_groups)
_LONGEST_OF_PACKETS = decode_window


def is_first_run(*, packets: bool = True) -> bool:
    """Will kernels be compiled now, which takes some seconds?

    So it is where none are kept, and where those that are were made for another CPU, by another
    Numba, or have been damaged. Without ``packets`` no decoders are needed.
    """
    longest = (*_LONGEST, _LONGEST_OF_PACKETS) if packets else _LONGEST
    return not all(compiled_before(kernel) for kernel in longest)


@contextmanager
def first_run(*, packets: bool = True) -> Iterator[Callable[[], None]]:
    """Compile what reading needs beside the block; give a function that waits until it is done.

    Without ``packets`` no decoders are needed.
    """
    command = python_command(
        f"from pcapkit.concurrency import die_with_parent as d; d({os.getpid()}); "
        "from pcapkit.pipeline import first_run as f; f.warm_other_core()"
    )
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command,
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,  # Ctrl-C is for this process to understand
    ) as other:

        def wait() -> None:
            with without_collection():
                if packets:
                    warm_decoding()
                warm_what_if()
            other.wait(_LONGEST_S)

        try:
            yield wait
        finally:
            other.kill()


def warm_other_core() -> None:
    """Compile half of all: what the process that reads captures does not begin with."""
    with without_collection():
        warm_reading()
        warm_faults()


def warm() -> None:
    """Load all kernels that are kept, and compile the others, in this process."""
    with without_collection():
        for load in (warm_decoding, warm_reading, warm_what_if, warm_faults):
            load()


def warm_decoding() -> None:
    """Decode a frame of ARP: few captures need what looks into tunnels."""
    decoder = Decoder(Interners(), Capture("", "", None, iter(())), frozenset((53,)))
    frame = np.zeros(64, np.uint8)
    frame[12:14] = 0x08, 0x06
    records = np.zeros(1, RECORD)
    records["linktype"], records["captured"] = LINK_ETHERNET, frame.size
    for _ in decoder.windows(frame, records, np.zeros(0, OPTIONS)):
        pass


def warm_reading() -> None:
    """Read one lookup: a name under a search suffix, then as is."""
    interners, store = Interners(), Store()
    rows = new_messages(4)
    address = interners.addresses.add(b"\0\0\0\0")
    for i, name in enumerate((b"\1a\1b\0", b"\1a\1b\0", b"\1a\0", b"\1a\0")):
        rows[i]["qname"] = interners.names.add(name)
        rows[i]["flags"] = QR * (i % 2)
    rows["client"] = rows["server"] = address
    rows["time"], rows["packet_no"] = np.arange(4) * 1000, np.arange(4) + 1
    rows["qtype"], rows["marks"] = 1, MARK_QUESTION_SHOWN
    store.add(rows, np.zeros(4, np.int64), interners.fold(), capture=0)
    store.seal()
    names = Folded(interners.names)
    (surveyed,) = survey(store, names, {}, has_clock=True)
    Answers().note(surveyed.rows)
    for read in read_parts(store, surveyed.clients, names, has_clock=True):
        part = read()
        tally = Tally(names, span=(0, LONGEST_TIMEOUT_NS), has_clock=True)
        tally.add(part, str, ["first run"])


def warm_what_if() -> None:
    """Replay one lookup that somebody is said to have made."""
    part, zones = _one_lookup()
    WhatIfTally(Answers(), zones).add(part)


def warm_faults() -> None:
    """Look for faults in one lookup that somebody is said to have made."""
    part, zones = _one_lookup()
    context, flags = Context(str, ["first run"], zones), NameFlags(part.names, zones)
    FaultTally().add(PartTraffic(part, context, flags.known()))


def _one_lookup() -> tuple[Readings, list[tuple[str, ...]]]:
    """Return one lookup of a client of which nothing is known, and the zone of a cluster."""
    names = Folded(Interners().names)
    lookups, transactions = np.zeros(1, LOOKUP), np.zeros(1, TRANSACTION)
    lookups["queries"] = lookups["complete"] = lookups["candidates"] = 1
    lookups["walk_of"], transactions["suffix"] = -1, -1
    client = ClientReading(
        0,
        SearchList(),
        Origin.ASSUMED,
        Ndots(0, 15, 5, Origin.ASSUMED),
        ResolverGuess("unknown", 0.0, ()),
    )
    part = Readings(
        (client,), lookups, transactions, np.zeros(1, EXCHANGE), names, names.label_counts(), True
    )
    return part, [("cluster", "local")]
