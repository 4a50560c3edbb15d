"""The tally file: a ZIP archive of Arrow streams, and of one JSON that says what they are.

A tally holds parts of captures. Each has its messages and the packets that it keeps, window by
window, and the names and addresses to which they point. Nothing in the archive depends on when or
where it is made. Sources: PKWARE's APPNOTE.TXT; the Arrow columnar format, "IPC streaming format".
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Any

import msgspec
import numpy as np
import pyarrow as pa

from pcapkit import concurrency
from pcapkit.errors import EmptyInput, InputError, NotACapture
from pcapkit.ingest.capture.pcap import OPTIONS, RECORD
from pcapkit.ingest.inputs.formats import format_of
from pcapkit.ingest.inputs.recognise import TALLY_KIND, is_tally
from pcapkit.ingest.inputs.source import PEEK_BYTES, open_source
from pcapkit.ingest.tallies.facts import SCHEMA, PartFacts
from pcapkit.ingest.window import Kept, Window
from pcapkit.kernels.interning import Interner
from pcapkit.kernels.jit import kernel
from pcapkit.names.text import MAX_NAME_BYTES
from pcapkit.schema import MESSAGE, OTHER_SOA, TCP, Bytes, Ids, Integers, Messages
from pcapkit.text import encodable, shown_path

#: The first member, uncompressed, so that the file begins alike (as EPUB and OpenDocument do).
_KIND = ("mimetype", TALLY_KIND)
_FACTS = "tally.json"
_MESSAGES = pa.schema([(n, pa.from_numpy_dtype(MESSAGE[n])) for n in MESSAGE.names or ()])
_RECORD_FIELDS = ("time", "number", "original", "linktype", "interface")
_PACKETS = pa.schema(
    [
        *((n, pa.from_numpy_dtype(RECORD[n])) for n in _RECORD_FIELDS),
        ("latest", pa.int64()),
        ("data", pa.large_binary()),
        ("options", pa.large_binary()),
        ("big", pa.int64()),
    ]
)
_STRINGS = pa.schema([("value", pa.large_binary())])
#: So many rows are taken apart, or put together, column by column, that they stay in the core.
_AT_ONCE = 1 << 12
#: Of messages that one packet holds beside its first.
_MORE_ROWS = 64
#: Counts, and times in ns since 1970, beyond these are nobody's.
_MOST_COUNT, _MOST_TIME = 1 << 48, 1 << 62
#: What damaged or foreign archives and streams raise.
_OTHER = "not a capture, but "  # how files of other kinds are refused
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    pa.ArrowException,
    msgspec.MsgspecError,
    KeyError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    TypeError,
    IndexError,
    MemoryError,
    UnicodeError,
    ValueError,
)


class FailureFacts(msgspec.Struct, frozen=True):
    """Captures, read as one, of which nothing could be read; see ``AuditRow``."""

    paths: tuple[str, ...]
    error: str
    kind: str | None


class _Facts(msgspec.Struct):
    schema: str
    parts: tuple[PartFacts, ...] = ()
    failures: tuple[FailureFacts, ...] = ()


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member of the archive, which says nothing of this machine or of the time."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def _strings(values: Bytes, ends: Integers) -> pa.Array:
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), ends.size, buffers)


class Writer:
    """Writes the parts of one tally, one after another; as a context, which ends the file."""

    def __init__(self, out: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._parts: list[PartFacts] = []
        self._failures: list[FailureFacts] = []
        #: the columns of a window, in memory that is used again
        self._columns: dict[str, Any] = {}
        self._zip.writestr(_member(_KIND[0]), _KIND[1])

    def _name(self, name: str) -> str:
        return f"{len(self._parts)}/{name}"

    def _add(self, name: str, schema: pa.Schema, arrays: list[Any]) -> None:
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=concurrency.READERS > 1)
        with pa.ipc.new_stream(sink, schema, options=options) as stream:
            stream.write_batch(pa.record_batch(arrays, schema=schema))
        self._zip.writestr(_member(self._name(name)), memoryview(sink.getvalue()))

    def _taken_apart(self, rows: Messages, before: int) -> list[Any]:
        """Return the columns of some rows, the first of which follows packet ``before``."""
        columns = self._columns
        if not columns or columns["time"].size < rows.size:
            columns = self._columns = {n: np.empty(rows.size, MESSAGE[n]) for n in _MESSAGES.names}
        for begin in range(0, rows.size, _AT_ONCE):
            some = rows[begin : begin + _AT_ONCE]
            for name, column in columns.items():
                column[begin : begin + some.size] = some[name]
        numbers = columns["packet_no"][: rows.size]
        columns["packet_no"][: rows.size] = np.diff(numbers, prepend=before)
        return [pa.array(column[: rows.size]) for column in columns.values()]

    def window(
        self, number: int, rows: Messages, kept: Kept | None, numbers: tuple[int, int]
    ) -> None:
        """Add a window of the part: its messages, and the packets that it keeps."""
        self._add(f"messages/{number}", _MESSAGES, self._taken_apart(rows, numbers[0]))
        if kept is None:
            return
        records, options = kept.records, kept.options
        at = np.searchsorted(records["offset"], options["packet"])
        sizes, big = np.zeros(records.size, np.int64), np.zeros(records.size, np.int64)
        sizes[at], big[at] = options["end"] - options["begin"], options["big"]
        ends = np.cumsum(records["captured"].astype(np.int64))
        behind = int(ends[-1]) if ends.size else 0
        arrays = [pa.array(np.ascontiguousarray(records[n])) for n in _RECORD_FIELDS]
        arrays.append(pa.array(np.ascontiguousarray(kept.latest)))
        arrays.append(_strings(kept.data[:behind], ends))
        arrays.append(_strings(kept.data[behind:], np.cumsum(sizes)))
        self._add(f"packets/{number}", _PACKETS, [*arrays, pa.array(big)])

    def strings(self, name: str, interner: Interner) -> None:
        """Add the names, or the addresses, of the part."""
        arena, ends = interner.arrays.arena, interner.arrays.ends[: len(interner)]
        self._add(name, _STRINGS, [_strings(arena[: interner.byte_count], ends)])

    def end(self, facts: PartFacts) -> None:
        """End the part."""
        self._parts.append(facts)

    def fail(self, failure: FailureFacts) -> None:
        """Say that there is nothing of some captures."""
        self._failures.append(failure)

    def copy(self, part: Part) -> None:
        """Add a part of another tally."""
        for name, data in part.members():
            self._zip.writestr(_member(self._name(name)), data)
        self._parts.append(part.facts)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            facts = _Facts(SCHEMA, tuple(self._parts), tuple(self._failures))
            self._zip.writestr(_member(_FACTS), msgspec.json.encode(facts))
            self._zip.close()
        else:
            with suppress(OSError, ValueError):  # else it is tried where nobody can be told
                self._zip.close()


@kernel
def _well_formed(arena: Bytes, ends: Integers) -> bool:
    """Is each of the names in ``arena`` (uint8), up to its of ``ends`` (int64), in wire form?

    That is uncompressed labels of up to 63 bytes, the root last and nowhere else; or UNKNOWN_NAME.
    """
    begin = np.int64(0)
    for i in range(ends.shape[0]):
        stop = np.int64(ends[i])
        if stop - begin < 1 or stop - begin > MAX_NAME_BYTES or stop > arena.shape[0]:
            return False
        at = begin
        if stop - begin == 2 and arena[begin] == 0 and arena[begin + 1] == 0:
            begin = stop
            continue
        while at < stop - 1:
            length = np.int64(arena[at])
            if length == 0 or length > 63:
                return False
            at += length + 1
        if at != stop - 1 or arena[at] != 0:
            return False
        begin = stop
    return True


class Part:
    """One part of a capture in a tally; what is beside its facts is read while it is open.

    So that there may be more tallies than a process may have files open.
    """

    def __init__(self, path: str, number: int, facts: PartFacts) -> None:
        self.path, self.facts = path, facts
        self._number = number
        self._names = self._addresses = 0
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> Part:
        with damage_named(self.path):
            self._archive = _archive(self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    @property
    def _zip(self) -> zipfile.ZipFile:
        if self._archive is None:
            raise AssertionError("the part is not open")
        return self._archive

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield the names and the bytes of all that the archive has of this part."""
        prefix = f"{self._number}/"
        for info in self._zip.infolist():
            if info.filename.startswith(prefix):
                yield info.filename.removeprefix(prefix), self._zip.read(info)

    def _read(self, name: str, schema: pa.Schema) -> pa.RecordBatch:
        data = self._zip.read(f"{self._number}/{name}")
        try:
            options = pa.ipc.IpcReadOptions(use_threads=concurrency.READERS > 1)
            with pa.ipc.open_stream(pa.py_buffer(data), options=options) as stream:
                if stream.schema != schema:
                    raise ValueError("another schema")
                batch = stream.read_next_batch()
        except OSError as problem:  # so Arrow says that bytes are not what it compressed
            raise ValueError(str(problem)) from None
        batch.validate(full=True)
        if any(column.null_count for column in batch.columns):
            raise ValueError("values are missing")
        return batch

    def _strings(self, column: pa.Array) -> tuple[Bytes, Integers]:
        """Return the bytes of all values, behind one another, and where each ends."""
        _, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
        first = int(ends[0]) if ends.size else 0
        values = np.frombuffer(data or b"", np.uint8)[first : int(ends[-1]) if ends.size else 0]
        return values.copy(), ends[1:] - first

    def intern(self, name: str, into: Interner) -> Ids:
        """Add the part's names or addresses; return the id of each by its number in the part."""
        values, ends = self._strings(self._read(name, _STRINGS).column(0))
        if name == "names":
            self._names = ends.size
            if not _well_formed(values, ends):
                raise ValueError("a name is malformed")
        else:
            self._addresses = ends.size
        return into.add_all(values, ends)

    def window(self, number: int) -> Window:
        """Return a window as it was written: its ids are those of the part."""
        facts = self.facts.windows[number]
        batch = self._read(f"messages/{number}", _MESSAGES)
        kept = self._kept(number, facts.numbers) if facts.kept else None
        # There is space behind the rows for those that the kept packets are decoded to.
        more = 0 if kept is None else kept.records.size + _MORE_ROWS
        rows = np.empty(batch.num_rows + more, MESSAGE)[: batch.num_rows]
        columns = {name: batch.column(name).to_numpy() for name in _MESSAGES.names}
        columns["packet_no"] = np.cumsum(columns["packet_no"]) + facts.numbers[0]
        for begin in range(0, rows.size, _AT_ONCE):
            some = rows[begin : begin + _AT_ONCE]
            for name, column in columns.items():
                some[name] = column[begin : begin + some.size]
        self._check(rows, facts.numbers)
        skipped = dict(facts.skipped)
        times = facts.first_time, facts.last_time
        return Window(rows, facts.packets, skipped, *times, kept=kept, numbers=facts.numbers)

    def _check(self, rows: Messages, numbers: tuple[int, int]) -> None:
        """Refuse rows that point to what is not there."""
        if not rows.size:
            return
        for name, count, least in (
            ("qname", self._names, -1),
            ("client", self._addresses, 0),
            ("server", self._addresses, -1),
            ("owner", self._addresses, -1),
        ):
            if int(rows[name].max()) >= count or int(rows[name].min()) < least:
                raise ValueError(f"a message has no such {name}")
        if int(rows["transport"].max()) > TCP:
            raise ValueError("a message came over nothing known")
        if int(rows["soa"].max()) > OTHER_SOA or int(rows["message_bytes"].min()) < 0:
            raise ValueError("a message is out of range")
        _check_times(rows["time"])
        _check_numbers(rows["packet_no"], numbers, strict=False)

    def _kept(self, number: int, numbers: tuple[int, int]) -> Kept:
        batch = self._read(f"packets/{number}", _PACKETS)
        data, ends = self._strings(batch.column("data"))
        more, stops = self._strings(batch.column("options"))
        records = np.zeros(batch.num_rows, RECORD)
        for name in _RECORD_FIELDS:
            records[name] = batch.column(name).to_numpy()
        records["offset"] = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
        records["captured"] = sizes = np.diff(ends, prepend=0)
        if (records["original"] < sizes).any():
            raise ValueError("a packet is longer than it was")
        _check_times(records["time"])
        _check_numbers(records["number"], numbers, strict=True)
        has = np.flatnonzero(np.diff(stops, prepend=0))
        options = np.zeros(has.size, OPTIONS)
        begins = np.concatenate([np.zeros(1, np.int64), stops])[:-1]
        options["packet"] = records["offset"][has]
        options["begin"], options["end"] = data.size + begins[has], data.size + stops[has]
        options["big"] = batch.column("big").to_numpy()[has] != 0
        latest = batch.column("latest").to_numpy()
        _check_times(latest)
        return Kept(np.concatenate([data, more]), records, options, latest)


def _check_times(times: Integers) -> None:
    if times.size and (int(times.max()) >= _MOST_TIME or int(times.min()) <= -_MOST_TIME):
        raise ValueError("a time is out of range")


def _check_numbers(found: Integers, numbers: tuple[int, int], *, strict: bool) -> None:
    """Refuse numbers of packets that do not ascend, or are not those of the window."""
    if not found.size:
        return
    falls = found[1:] <= found[:-1] if strict else found[1:] < found[:-1]
    if falls.any() or int(found[0]) < 1 or int(found[-1]) > (numbers[1] or _MOST_COUNT):
        raise ValueError("packets are out of order")


@contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Raise InputError where the block finds a tally damaged."""
    try:
        yield
    except _DAMAGE as problem:
        if (other := _other_file(path)) is not None:
            raise other from None
        raise InputError(
            encodable(path),
            f"no tally, or a damaged one ({problem})",
            hint="'pcapkit tally' makes one",
        ) from None


def _other_file(path: str) -> InputError | None:
    """Return what to raise for a file that is no tally at all: what it is instead, if known."""
    try:
        with open_source(path) as source:
            if is_tally(source.peek(PEEK_BYTES)):
                return None
            is_capture = format_of(source) is not None
    except EmptyInput:
        return InputError(path, "empty: there is no tally in it", hint="'pcapkit tally' makes one")
    except NotACapture as problem:
        if problem.problem.startswith(_OTHER):
            what = problem.problem.removeprefix(_OTHER)
            return InputError(path, f"no tally, but {what}", hint=problem.hint)
        return InputError(path, "no tally", hint="'pcapkit tally' makes one of a capture")
    except InputError as problem:
        return problem
    if not is_capture:
        return None
    make = f"'pcapkit tally {shown_path(path)}' makes one, 'pcapkit analyze' needs none"
    return InputError(path, "no tally, but a capture", hint=make)


def read_tallies(paths: Iterable[str]) -> tuple[list[Part], list[FailureFacts]]:
    """Return the parts of all captures in some tallies, and what failed instead of others.

    Raises InputError where one is torn, foreign or of another schema.
    """
    parts: list[Part] = []
    failures: list[FailureFacts] = []
    for path in paths:
        with damage_named(path), _archive(path) as archive:
            facts = _facts(archive)
            if not facts.parts and not facts.failures:
                raise ValueError("it holds nothing")
            parts += [Part(path, number, part) for number, part in enumerate(facts.parts)]
            failures += [failure for failure in facts.failures if failure not in failures]
    return parts, failures


def _archive(path: str) -> zipfile.ZipFile:
    """Open a tally; its members lie there as they are, so that none grows beyond the file."""
    try:
        archive = zipfile.ZipFile(path)
    except OSError as problem:
        raise InputError(
            encodable(path), f"cannot be read: {problem.strerror}", hint="a tally is a file"
        ) from None
    infos = archive.infolist()
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            archive.close()
            raise ValueError("a member is compressed or encrypted")
    if len({info.filename for info in infos}) < len(infos):
        archive.close()
        raise ValueError("a member is there twice")
    return archive


def _facts(archive: zipfile.ZipFile) -> _Facts:
    data = archive.read(_FACTS)
    schema = msgspec.json.decode(data, type=_OnlySchema).schema
    if schema != SCHEMA:
        raise ValueError(f"its schema is {schema}, this pcapkit reads {SCHEMA}")
    facts = msgspec.json.decode(data, type=_Facts)
    for part in facts.parts:
        _check_facts(part)
    return facts


def _check_facts(facts: PartFacts) -> None:
    """Refuse numbers that no capture has, and reasons that are none."""
    counts = [facts.packets, facts.bytes_read, facts.size, facts.begin, facts.end, *facts.asked]
    counts += [*facts.left_out.values(), *facts.noted.unknown.values()]
    counts += [*facts.noted.elsewhere.values(), *facts.left_out, *facts.noted.elsewhere]
    noted = facts.noted
    counts += [noted.packets, noted.messages, noted.cut, noted.gone_back, noted.slow]
    times = [facts.begins, noted.first_time, noted.last_time]
    for window in facts.windows:
        counts += [window.packets, *window.numbers, *window.skipped.values()]
        times += [window.first_time, window.last_time]
        if not all(reason.isidentifier() and len(reason) < 64 for reason in window.skipped):
            raise ValueError("packets are skipped for no known reason")
    for reason, _, _, packets in facts.unreachable:
        counts.append(packets)
        if reason not in ("query_unreachable", "answer_unreachable"):
            raise ValueError("an ICMP message is of no known kind")
    if not all(n is None or 0 <= n < _MOST_COUNT for n in counts):
        raise ValueError("a count is out of range")
    if not all(t is None or abs(t) < _MOST_TIME for t in times):
        raise ValueError("a time is out of range")
    if not all(0 < port < 65536 for port in facts.ports):
        raise ValueError("a port is out of range")


class _OnlySchema(msgspec.Struct):
    schema: str


def inside(path: str) -> tuple[tuple[str, ...], FailureFacts | None]:
    """Return which captures a tally holds, by their paths, and what failed where it holds none.

    Raises InputError where it is damaged.
    """
    with damage_named(path), _archive(path) as archive:
        facts = _facts(archive)
        paths = tuple(dict.fromkeys(part.path for part in facts.parts))
        failure = facts.failures[0] if facts.failures and not paths else None
        if not paths and failure is None:
            raise ValueError("it holds nothing")
        return paths if failure is None else failure.paths, failure
