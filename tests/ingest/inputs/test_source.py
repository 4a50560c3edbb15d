"""Where bytes come from: compressed or not, whole or damaged, or not at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import threading

import lz4.frame
import pytest
import zstandard

import pcapkit
from pcapkit.errors import ChangedInput, DamagedCapture, InputError, NotACapture
from pcapkit.ingest.inputs.source import PEEK_BYTES, Source, open_source
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.messages import read_messages
from tests.build import (
    SECOND,
    START_NS,
    Packet,
    ask,
    assert_ledger,
    conversation,
    ethernet,
    load,
    open_only,
    pcap,
    pcapng,
    query,
    rows,
    save,
)


def zstd(content: bytes) -> bytes:
    """Compress with zstd, without the size in the frame, as a pipe would."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as stream:
        stream.write(content)
    return out.getvalue()


COMPRESSORS = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": lz4.frame.compress,
}


def long_capture() -> bytes:
    """Return a capture that hardly compresses, so that every compressor writes many blocks."""
    chance = random.Random(7)
    content = []
    for i in range(9000):
        label = bytes(chance.randrange(256) for _ in range(60))
        frame = ethernet(ask(query([label, b"example"], ident=i), ident=i + 1))
        content.append(Packet(frame, START_NS + i * SECOND))
    return pcap(content)


LONG = long_capture()


@pytest.mark.parametrize("kind", COMPRESSORS)
@pytest.mark.parametrize("name", ["plain.pcap", "wrong.zip", "none"])
def test_compression_is_recognised_by_content(tmp_path, kind, name):
    """File names say nothing."""
    path = save(tmp_path, COMPRESSORS[kind](pcap(conversation())), name)
    assert rows(path) == rows(save(tmp_path, pcap(conversation()), "reference"))
    (info,) = load(path).captures
    assert (info.compression, info.format, info.truncated_tail) == (kind, "pcap", False)


@pytest.mark.parametrize("name", [f"not.{e}" for e in ("gz", "zst", "xz", "bz2", "lz4")])
def test_name_of_a_compressor_alone(tmp_path, name):
    """A plain file is read as it is, whatever it is called."""
    path = save(tmp_path, pcapng(conversation()), name)
    assert len(rows(path)) == 5
    assert load(path).captures[0].compression is None


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_long_stream(tmp_path, kind):
    """Streams of many blocks are read to their end, and the stored bytes are counted."""
    stored = COMPRESSORS[kind](LONG)
    collected = load(save(tmp_path, stored))
    assert collected.packets == collected.with_messages == 9000
    assert collected.warnings == []
    assert collected.captures[0].bytes == len(stored)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2", "lz4"])
def test_streams_behind_one_another(tmp_path, kind):
    """Files joined after compression, as ``cat`` joins them, are one stream."""
    cut = 400_001
    stored = COMPRESSORS[kind](LONG[:cut]) + COMPRESSORS[kind](LONG[cut:])
    collected = load(save(tmp_path, stored))
    assert collected.packets == 9000
    assert not collected.captures[0].truncated_tail


def assert_kept_what_came_before(collected) -> None:
    """A damaged stream gives a part of the capture, and says so."""
    assert 0 < collected.packets < 9000
    assert collected.with_messages == collected.packets
    (info,) = collected.captures
    assert info.truncated_tail
    assert any("analysed up to there" in w and info.path in w for w in collected.warnings)
    assert_ledger(collected)
    names = [collected.name(int(n)) for _, part, _ in collected.kept for n in part["qname"]]
    assert len(names) == collected.packets


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_cut_stream(tmp_path, kind):
    """What was decompressed before the cut is kept."""
    stored = bz2.compress(LONG, 1) if kind == "bzip2" else COMPRESSORS[kind](LONG)
    collected = load(save(tmp_path, stored[: len(stored) * 3 // 4]))
    assert_kept_what_came_before(collected)
    if kind != "zstd":  # there the cut record is what shows
        assert any(f"the {kind} stream" in w for w in collected.warnings)


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
def test_damaged_stream(tmp_path, kind):
    """What was decompressed before the damage is kept."""
    if kind == "gzip":  # many members, of which one is no gzip any more
        parts = [gzip.compress(LONG[i : i + 50_000]) for i in range(0, len(LONG), 50_000)]
        parts[len(parts) // 2] = b"\x1f\x8b\x08" + b"\xff" * 30_000
        stored = b"".join(parts)
    else:
        stored = bytearray(bz2.compress(LONG, 1) if kind == "bzip2" else COMPRESSORS[kind](LONG))
        middle = len(stored) * 3 // 4
        stored[middle : middle + 400] = bytes(400)
    collected = load(save(tmp_path, bytes(stored)))
    assert collected.packets < 9000
    assert collected.captures[0].truncated_tail
    assert_ledger(collected)


@pytest.mark.parametrize("content", [b"", gzip.compress(b""), zstd(b""), lzma.compress(b"")])
def test_empty(tmp_path, content):
    """An empty file, and a compressed one of nothing."""
    path = save(tmp_path, content, "nothing.pcap")
    with pytest.raises(NotACapture, match="nothing.pcap"):
        open_only(path)


def test_directory(tmp_path):
    """A folder is no capture."""
    with pytest.raises(InputError, match="directory") as caught:
        load(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_missing_file(tmp_path):
    """A path that leads nowhere."""
    path = str(tmp_path / "gone.pcap")
    with pytest.raises(InputError, match="no such file") as caught:
        load(path)
    assert path in str(caught.value)
    assert caught.value.path == path


def test_path_through_a_file(tmp_path):
    """A path that goes on behind a file."""
    path = save(tmp_path, b"x") + "/inside.pcap"
    with pytest.raises(InputError) as caught:
        load(path)
    assert path in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_no_permission(tmp_path):
    """A file that may not be read."""
    path = save(tmp_path, pcap(conversation()))
    os.chmod(path, 0)
    with pytest.raises(InputError, match="permission") as caught:
        load(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("content", [bytes(200), b"PK\x03\x04" + bytes(60), b"\0", b"\xff" * 9])
def test_no_capture(tmp_path, content):
    """Other files are refused by name, with the bytes they begin with."""
    path = save(tmp_path, content, "other")
    with pytest.raises(NotACapture) as caught:
        open_only(path)
    assert path in str(caught.value)
    begins = content[:8].hex(" ") if not content.startswith(b"PK") else "a zip archive"
    assert begins in str(caught.value)


def test_compressed_file_that_is_no_capture(tmp_path):
    """What is inside counts."""
    path = save(tmp_path, gzip.compress(b"hello, world\n"), "other.gz")
    with pytest.raises(NotACapture, match="no line of a known form"):
        open_only(path)


def test_standard_input():
    """``-`` reads standard input, compressed or not."""
    script = (
        "from pcapkit.pipeline.collect import collect\n"
        "out = collect(['-'])\n"
        "print(out.packets, out.captures[0].path, out.captures[0].compression)\n"
    )
    for content, shown in (
        (pcap(conversation()), "5 stdin None"),
        (zstd(pcapng(conversation())), "5 stdin zstd"),
    ):
        done = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True)
        assert done.stderr == b""
        assert done.stdout.decode().strip() == shown


def test_named_pipe(tmp_path):
    """A pipe can be read only once, and that is enough."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    content = gzip.compress(pcap(conversation()))
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())",
            path,
        ],
        stdin=subprocess.PIPE,
    )
    assert writer.stdin is not None
    writer.stdin.write(content)
    writer.stdin.close()
    collected = load(path)
    assert writer.wait() == 0
    assert collected.packets == 5


def test_slow_pipe():
    """Bytes that come a few at a time, cut anywhere, give the same packets."""
    script = "from pcapkit.pipeline.collect import collect\nprint(collect(['-']).packets)\n"
    reader = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdin is not None
    content = pcapng(conversation())
    for at in range(0, len(content), 37):
        reader.stdin.write(content[at : at + 37])
        reader.stdin.flush()
    out, _ = reader.communicate()
    assert out.decode().strip() == "5"


def test_damage_at_the_very_beginning(tmp_path):
    """A compressed stream of which nothing can be read is damaged, by name."""
    script = (
        "import sys\n"
        "from pcapkit.errors import DamagedCapture\n"
        "from pcapkit.pipeline.collect import collect\n"
        "try:\n"
        "    collect([sys.argv[1]])\n"
        "except DamagedCapture as problem:\n"
        "    print(problem)\n"
    )
    assert issubclass(DamagedCapture, InputError)
    for kind in ("gzip", "xz", "bzip2", "lz4"):
        path = save(tmp_path, COMPRESSORS[kind](LONG)[:12], kind)
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
        assert path in done.stdout, (kind, done.stderr)
        assert f"the {kind} stream" in done.stdout


def threads() -> list[str]:
    """Return the names of the package's threads that run."""
    return [t.name for t in threading.enumerate() if t.name.startswith("pcapkit")]


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_leaving_a_capture_early_leaves_no_thread(tmp_path, kind):
    """Whoever takes the first messages and goes stops reading and decompressing."""
    whole = pcap(conversation())
    path = save(tmp_path, COMPRESSORS[kind](whole[:24] + whole[24:] * 30_000))
    messages = read_messages(path)
    assert not next(messages).empty
    assert threads()
    messages.close()
    assert not threads()


def test_peeking_starts_no_thread(tmp_path):
    """Files are looked into to find their order; nothing is decompressed ahead for that."""
    with open_source(save(tmp_path, gzip.compress(LONG))) as source:
        assert source.peek(PEEK_BYTES)
        assert not threads()


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_pieces_of_any_size_are_the_stream(tmp_path, kind):
    """However much is asked for at once, the bytes and their count are the same."""
    stored = COMPRESSORS[kind](LONG * 3)
    path = save(tmp_path, stored)
    for size in (4093, 1 << 20, 3_000_001):
        out = bytearray()
        piece = memoryview(bytearray(size))
        with open_source(path) as source:
            while got := source.readinto(piece):
                out += piece[:got]
            assert source.stored_bytes_read == len(stored)
            assert source.damage is None
        assert out == LONG * 3


def test_what_a_compressed_pipe_brought_is_there_while_it_pauses(tmp_path):
    """Nobody waits for the next bytes before the last ones are given out."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    packer = zstandard.ZstdCompressor().compressobj()
    first = packer.compress(LONG[:200_000]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    keep = os.open(path, os.O_RDWR)  # a writer that says nothing more
    writer = threading.Thread(target=os.write, args=(keep, first))
    writer.start()
    out = bytearray()
    piece = memoryview(bytearray(1 << 20))
    with open_source(path) as source:
        while len(out) < 200_000:
            out += piece[: source.readinto(piece)]
    writer.join()
    os.write(keep, packer.flush())  # lets the read end that was left behind
    os.close(keep)
    assert out == LONG[:200_000]


def test_what_was_peeked_does_not_cut_what_is_read(tmp_path):
    """Windows end where the stream does, not where recognising a format stopped looking."""
    with open_source(save(tmp_path, LONG)) as source:
        assert source.peek(4096) == LONG[:4096]
        buffer = bytearray(len(LONG))
        assert source.readinto(memoryview(buffer)) == len(LONG) and bytes(buffer) == LONG


def read_all(source: Source) -> int:
    """Read to the end; return how many bytes there were."""
    total, piece = 0, memoryview(bytearray(1 << 20))
    while got := source.readinto(piece):
        total += got
    return total


def test_a_capture_that_grows_is_read_up_to_where_it_was(tmp_path):
    """tcpdump still writes: that is normal, and said."""
    path = save(tmp_path, LONG[:-40])
    with open_source(path) as source:
        source.peek(24)
        with open(path, "ab") as more:
            more.write(LONG[-40:])
        assert read_all(source) == len(LONG)
        assert "still being written" in (source.change() or "")
    with open_source(path) as source:
        os.utime(path)  # touched, and what is in it stays
        assert source.change() is None


@pytest.mark.parametrize("after", [LONG[:30_000], LONG[:24] + LONG[100:], b"", LONG[40:] * 2])
def test_a_capture_that_is_written_over_is_refused(tmp_path, after):
    """A ring buffer came round: what was read is of two captures."""
    path = save(tmp_path, LONG)
    with open_source(path) as source:
        source.peek(24)
        with open(path, "r+b") as ring:
            ring.truncate(0)
            ring.write(after)
        os.utime(path, (5, 5))
        with pytest.raises(ChangedInput, match="written over"):
            source.change()


def test_a_capture_that_is_replaced_is_read_as_it_was(tmp_path):
    """What stands at the path by now is another file."""
    path = save(tmp_path, LONG)
    with open_source(path) as source:
        source.peek(24)
        os.replace(save(tmp_path, LONG[:5000], "new"), path)
        assert read_all(source) == len(LONG) and source.change() is None


def test_an_analysis_says_that_its_capture_grew(tmp_path):
    """By the door of the package, with a writer at work."""
    path = save(tmp_path, LONG)
    grown: list[int] = []

    def progress(shown: str, done: int, packets: int) -> None:
        if not grown:
            with open(path, "ab") as more:
                grown.append(more.write(LONG[24:]))

    analysis = pcapkit.analyze(path, hooks=Hooks(progress))
    assert grown and any("still being written" in warning for warning in analysis.warnings)

    def overwrite(shown: str, done: int, packets: int) -> None:
        with open(path, "r+b") as ring:
            ring.truncate(24)

    with pytest.raises(ChangedInput):
        pcapkit.analyze(path, hooks=Hooks(overwrite))
