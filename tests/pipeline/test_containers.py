"""Containers that ptcpdump's comments on packets name are clients of their own."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pcapkit import analyze
from pcapkit.analysis.exchanges.store import Store
from pcapkit.model.clients import Client
from pcapkit.model.results import Results
from pcapkit.pipeline.collect import collect
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.reading import Reading
from tests import build, play
from tests.build import CLIENT, INBOUND, MS, OUTBOUND, Packet, ng_comments, ptcpdump
from tests.cli.test_cli import run

GLIBC = play.SHOP
#: The same names, asked by musl from other ports at the same address, at about the same time.
MUSL = play.SHOP.under(model="musl", first_port=40000, start_ns=build.START_NS + 50 * MS)
#: The end of a query for an IPv4 address.
A_QUESTION = struct.pack(">HH", build.A, 1)
#: What stands behind a packet, and whether that is a response: options of its block.
Behind = Callable[[Packet, bool], bytes]


def is_response(packet: Packet) -> bool:
    """Does the packet come from port 53?"""
    (port,) = struct.unpack_from(">H", packet.data, 34)
    return bool(port == 53)


def named(*comments: str | bytes, flags: bool = True) -> Behind:
    """Put comments on every packet, on the client's side of the capture."""

    def behind(packet: Packet, response: bool) -> bytes:
        direction = INBOUND if response else OUTBOUND
        return ng_comments(*comments, direction=direction if flags else None)

    return behind


def unnamed(packet: Packet, response: bool) -> bytes:
    """Put nothing on a packet."""
    return b""


def capture(*workloads: tuple[play.Workload, Behind]) -> bytes:
    """Return a capture of some workloads, each with its own comments."""
    packets = [
        (packet, behind(packet, is_response(packet)))
        for workload, behind in workloads
        for packet in workload.packets()
    ]
    packets.sort(key=lambda p: p[0].time)
    blocks = [build.ng_packet(packet, options=options) for packet, options in packets]
    return build.ng_section() + build.ng_interface() + b"".join(blocks)


def write(folder: Path, *workloads: tuple[play.Workload, Behind], name: str = "c.pcapng") -> str:
    """Write a capture of some workloads."""
    return build.save(folder, capture(*workloads), name)


APP, SIDECAR = (named(*ptcpdump(c, pod="web-1")) for c in ("app", "sidecar"))


def clients(analysis: Results) -> dict[tuple[str, str | None], Client]:
    """Return the clients by address and container."""
    rows = {(c.client_addr, c.container): c for c in analysis.client_rows}
    assert len(rows) == len(analysis.client_rows)
    return rows


def alone(folder: Path, workload: play.Workload) -> Client:
    """Return the one client of a workload that has no comments."""
    (client,) = analyze(workload.write(folder, "alone.pcap")).client_rows
    return client


def judged(client: Client) -> tuple[object, ...]:
    """Return what is found of a client by its traffic."""
    return (
        client.search,
        client.search_source,
        client.ndots,
        client.resolver,
        client.lookups,
        client.queries,
        client.wasted_queries,
        client.mixture,
    )


def test_two_c_libraries_at_one_address_are_two_clients(tmp_path: Path) -> None:
    found = analyze(write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR)))
    rows = clients(found)
    assert set(rows) == {(CLIENT, "app"), (CLIENT, "sidecar")}
    for container, workload in (("app", GLIBC), ("sidecar", MUSL)):
        row = rows[CLIENT, container]
        assert judged(row) == judged(alone(tmp_path, workload))
        assert (row.pod, row.namespace) == ("web-1", "shop")
        assert row.resolver.model == workload.model
    assert not [f for f in found.findings if f.code == "mixed_settings"]
    assert not [w for w in found.warnings if "several resolvers" in w]
    assert found.vantage.point == "pod"


def test_without_comments_they_are_a_mixture(tmp_path: Path) -> None:
    """The same packets: it is the comments that tell the two apart."""
    found = analyze(write(tmp_path, (GLIBC, unnamed), (MUSL, unnamed)))
    (row,) = found.client_rows
    assert row.container is None and row.mixture


def test_one_side_of_each_exchange_is_enough(tmp_path: Path) -> None:
    """A message without a comment belongs to the client of its exchange."""

    def only(comments: Behind, response: bool) -> Behind:
        return lambda packet, r: comments(packet, r) if r == response else b""

    whole = clients(analyze(write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR))))
    some = ((GLIBC, only(APP, response=False)), (MUSL, only(SIDECAR, response=True)))
    found = clients(analyze(write(tmp_path, *some)))
    assert {k: judged(c) for k, c in found.items()} == {k: judged(c) for k, c in whole.items()}


def test_what_nobody_is_named_for_is_nobody_s(tmp_path: Path) -> None:
    """Of two containers ptcpdump names one: the other is the address without a container."""
    rows = clients(analyze(write(tmp_path, (GLIBC, APP), (MUSL, unnamed))))
    assert set(rows) == {(CLIENT, "app"), (CLIENT, None)}
    assert judged(rows[CLIENT, None]) == judged(alone(tmp_path, MUSL))
    assert rows[CLIENT, None].pod is None


def test_a_few_gaps_are_of_the_only_container(tmp_path: Path) -> None:
    """ptcpdump misses the first packets of a process; the walk stays one client's."""
    first = GLIBC.packets()[8].time

    def late(packet: Packet, response: bool) -> bytes:
        return APP(packet, response) if packet.time > first else b""

    rows = clients(analyze(write(tmp_path, (GLIBC, late))))
    assert judged(rows[CLIENT, "app"]) == judged(alone(tmp_path, GLIBC))


def test_comments_on_some_packets_of_a_socket_are_enough(tmp_path: Path) -> None:
    """What leaves a socket beside a query with a comment is of the same process."""

    def of_a(comments: Behind) -> Behind:
        return lambda packet, r: comments(packet, r) if packet.data.endswith(A_QUESTION) else b""

    rows = clients(analyze(write(tmp_path, (GLIBC, of_a(APP)), (MUSL, of_a(SIDECAR)))))
    assert set(rows) == {(CLIENT, "app"), (CLIENT, "sidecar")}
    assert judged(rows[CLIENT, "app"]) == judged(alone(tmp_path, GLIBC))


def test_one_container_at_an_address_is_called_by_its_address(tmp_path: Path) -> None:
    found = analyze(write(tmp_path, (GLIBC, APP)))
    (row,) = found.client_rows
    assert (row.client_addr, row.container, row.pod) == (CLIENT, "app", "web-1")
    assert {c for a in found.recommendations for c in a.clients} == {CLIENT}
    assert {(w.client_addr, w.container) for w in found.what_if_rows} == {
        (None, None),
        (CLIENT, "app"),
    }


def test_json_and_tables_hold_address_and_container_apart(tmp_path: Path) -> None:
    path = write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR))
    done = run("analyze", "--json", path)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    both = {(CLIENT, "app"), (CLIENT, "sidecar")}
    assert {(c["client_addr"], c["container"]) for c in values["clients"]} == both
    asked = {(w["client_addr"], w["container"]) for w in values["what_if"]}
    assert asked == both | {(None, None)}
    for table in ("clients", "lookups", "transactions"):
        done = run("export", path, "-t", table)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert {(r["client_addr"], r["container"]) for r in rows} == both
    lookups = {c["container"]: c["lookups"] for c in values["clients"]}
    done = run("export", path, "-t", "lookups")
    listed = [json.loads(line)["container"] for line in done.stdout.splitlines()]
    assert {name: listed.count(name) for name in set(listed)} == lookups


def test_the_page_calls_both_by_address_and_container(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    analyze(write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR))).to_html(page)
    for name in ("app", "sidecar"):
        assert f"{CLIENT} ({name}) (shop/web-1)" in page.read_text()


def test_containers_of_one_pod_are_advised_one_ndots(tmp_path: Path) -> None:
    """A pod has one dnsConfig: what is advised for it is safe for both."""
    names = {"api.example.com": play.ONLY_A, "a.b.c.d.example.com": play.ONLY_A}
    app = GLIBC.under(names=[*names] * 12, zone=names, rounds=2)
    sidecar = MUSL.under(names=["ledger.finance.svc", "auth.login"] * 12)
    found = analyze(write(tmp_path, (app, APP), (sidecar, SIDECAR)))
    advised = [a for a in found.recommendations if a.code == "set_ndots"]
    assert len(advised) == 1 and len(advised[0].clients) == 2
    one, two = (named(*ptcpdump(c, pod=c)) for c in ("app", "sidecar"))
    found = analyze(write(tmp_path, (app, one), (sidecar, two)))
    advised = [a for a in found.recommendations if a.code == "set_ndots"]
    assert len({a.ndots for a in advised}) == 2


def test_containers_of_one_pod_are_one_subject_of_plans(tmp_path: Path) -> None:
    """Also where nothing names a namespace: one ndots for both is one edit."""
    nodes = ("corp.example", "ec2.internal")
    zone = {"wiki.corp.example": play.ONLY_A, "git.tools.corp.example": play.ONLY_A}
    zone |= {f"{h}.example.com": play.ONLY_A for h in ("api", "www", "a.b.c.d")}
    names = ["wiki", "git.tools", "api.example.com", "www.example.com", "a.b.c.d.example.com"]
    app = GLIBC.under(names=names * 3, zone=zone, rounds=2, search=nodes)
    sidecar = MUSL.under(names=names[1:] * 4, zone=zone, rounds=2, search=nodes)
    one, two = (named(*ptcpdump(c)) for c in ("app", "sidecar"))
    found = analyze(write(tmp_path, (app, one), (sidecar, two)))
    assert {(c.client_addr, c.container) for c in found.client_rows} == {
        (CLIENT, "app"),
        (CLIENT, "sidecar"),
    }
    assert {p.subject for p in found.plans} == {None, CLIENT}
    for plan in found.plans:
        for step in plan.steps:
            assert step.subjects == (CLIENT,)
            assert step.edits == 1 + (len(step.names) if step.name is None else 0)


@pytest.mark.parametrize("readers", [1, 3])
def test_any_number_of_threads_gives_the_same_bytes(
    tmp_path: Path, readers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = play.SHOP.under(model="go", clients=("10.244.1.99",), start_ns=GLIBC.start_ns)
    path = write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR), (other, unnamed))
    whole = analyze(path)
    monkeypatch.setattr("pcapkit.concurrency.READERS", readers)
    monkeypatch.setattr("pcapkit.analysis.exchanges.store.PART", 16)
    monkeypatch.setattr("pcapkit.ingest.capture.batches.RECORDS", 7)
    split = analyze(path)
    assert split.to_json() == whole.to_json()
    assert split.lookups.equals(whole.lookups)
    assert split.transactions.equals(whole.transactions)


def test_what_goes_to_a_file_is_told_apart_alike(tmp_path: Path) -> None:
    """Past the bound of memory, exchanges go to a temporary file before all is known."""
    path = write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR))
    spilled = collect([path], store=Store(in_memory=65, remembered=64))
    found = Reading(spilled, Options()).analysis()
    assert found.to_json() == analyze(path).to_json()


def test_rotated_files_name_the_same_containers(tmp_path: Path) -> None:
    whole = analyze(write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR)))
    blocks = build.ng_blocks(capture((GLIBC, APP), (MUSL, SIDECAR)))
    head, packets = blocks[:2], blocks[2:]
    half = len(packets) // 2
    first = build.save(tmp_path, b"".join(head + packets[:half]), "a.pcapng")
    second = build.save(tmp_path, b"".join(head + packets[half:]), "b.pcapng")
    found = analyze(first, second)
    assert found.client_rows == whole.client_rows


# ---- whose container a comment is about ----------------------------------------------------------


def server_side(*comments: str) -> Behind:
    """Put comments on every packet where it reaches or leaves the server."""
    return lambda packet, response: ng_comments(
        *comments, direction=OUTBOUND if response else INBOUND
    )


DNS = ptcpdump("coredns", pod="coredns-5d4-x7", namespace="kube-system")


def test_the_server_s_process_is_no_client(tmp_path: Path) -> None:
    """At the server's interface, ptcpdump names the server's process on every packet."""
    two = GLIBC.under(clients=(CLIENT, "10.244.2.9"))
    found = analyze(write(tmp_path, (two, server_side(*DNS))))
    assert {(c.client_addr, c.container, c.pod) for c in found.client_rows} == {
        (CLIENT, None, None),
        ("10.244.2.9", None, None),
    }


def test_what_the_client_s_side_says_beats_the_server_s(tmp_path: Path) -> None:
    """Each packet is seen at both ends, as with a program in each cgroup: two comments."""
    blocks = [build.ng_section(), build.ng_interface(), build.ng_interface()]
    for workload, app in ((GLIBC, APP), (MUSL, SIDECAR)):
        for packet in workload.packets():
            response = is_response(packet)
            here = build.ng_packet(packet, options=app(packet, response))
            there = build.ng_packet(
                packet, interface=1, options=server_side(*DNS)(packet, response)
            )
            blocks += [there, here]
    found = analyze(build.save(tmp_path, b"".join(blocks)))
    assert set(clients(found)) == {(CLIENT, "app"), (CLIENT, "sidecar")}
    assert found.packets.duplicates == found.packets.total // 2


def test_the_names_of_the_file_beat_those_of_comments(tmp_path: Path) -> None:
    pods = {
        "kind": "List",
        "items": [
            {
                "kind": "Pod",
                "metadata": {
                    "name": "web-1",
                    "namespace": "shop",
                    "labels": {"pod-template-hash": "5d4"},
                    "ownerReferences": [{"kind": "StatefulSet", "name": "web", "controller": True}],
                },
                "status": {"podIPs": [{"ip": CLIENT}]},
            }
        ],
    }
    file = tmp_path / "pods.json"
    file.write_text(json.dumps(pods))
    path = write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR))
    found = json.loads(run("analyze", "--json", path, "--pods", str(file)).stdout)
    assert {(c["container"], c["pod"], c["workload"]) for c in found["clients"]} == {
        ("app", "web-1", "web"),
        ("sidecar", "web-1", "web"),
    }
    assert not [w for w in found["warnings"] if "pods.json" in w]
    path = write(tmp_path, (GLIBC, named("ContainerName: app")), (MUSL, SIDECAR))
    found = json.loads(run("analyze", "--json", path, "--pods", str(file)).stdout)
    assert {(c["container"], c["pod"]) for c in found["clients"]} == {
        ("app", "web-1"),
        ("sidecar", "web-1"),
    }


def test_containers_of_one_name_in_two_pods_of_a_node(tmp_path: Path) -> None:
    """Pods with hostNetwork share their node's address, and may name containers alike."""
    one, two = (named(*ptcpdump("app", pod=p, ident=p * 8)) for p in ("web-1", "api-7"))
    found = analyze(write(tmp_path, (GLIBC, one), (MUSL, two)))
    rows = clients(found)
    assert set(rows) == {(CLIENT, "web-1/app"), (CLIENT, "api-7/app")}
    assert {c.pod for c in rows.values()} == {"web-1", "api-7"}
    assert found.vantage.point == "unknown"


def test_a_container_that_was_started_again_is_the_same(tmp_path: Path) -> None:
    again = GLIBC.under(start_ns=GLIBC.packets()[-1].time + build.SECOND)
    first, second = (named(*ptcpdump("app", pod="web-1", ident=i * 64)) for i in "ab")
    (row,) = analyze(write(tmp_path, (GLIBC, first), (again, second))).client_rows
    (same,) = analyze(write(tmp_path, (GLIBC, unnamed), (again, unnamed))).client_rows
    assert row.container == "app" and judged(row) == judged(same)


def test_both_addresses_of_a_dual_stack_pod_have_its_containers(tmp_path: Path) -> None:
    """Every other socket asks the nameserver's IPv6 address."""
    lines = []
    for workload, app in ((GLIBC, APP), (MUSL, SIDECAR)):
        for packet in workload.packets():
            response = is_response(packet)
            if max(struct.unpack_from(">HH", packet.data, 34)) % 2:
                ends = (build.SERVER6, build.CLIENT6)
                ends = ends if response else ends[::-1]
                inner = build.ipv6(packet.data[34:], *ends)
                packet = Packet(build.ethernet(inner), packet.time)
            lines.append((packet.time, build.ng_packet(packet, options=app(packet, response))))
    lines.sort()
    blocks = [build.ng_section(), build.ng_interface(), *(block for _, block in lines)]
    found = analyze(build.save(tmp_path, b"".join(blocks)))
    assert set(clients(found)) == {(CLIENT, "app"), (CLIENT, "sidecar")}


# ---- comments that are damaged, hostile, or not ptcpdump's ---------------------------------------


def test_old_comments_say_no_direction(tmp_path: Path) -> None:
    first, second = (named(*ptcpdump(c, pod="web-1"), flags=False) for c in ("app", "sidecar"))
    rows = clients(analyze(write(tmp_path, (GLIBC, first), (MUSL, second))))
    assert set(rows) == {(CLIENT, "app"), (CLIENT, "sidecar")}


@pytest.mark.parametrize("big", [False, True])
def test_one_comment_with_all_lines_in_either_byte_order(tmp_path: Path, big: bool) -> None:
    text = "\n".join(ptcpdump("app", pod="web-1"))
    blocks = [build.ng_section(big=big), build.ng_interface(big=big)]
    for packet in GLIBC.packets():
        direction = INBOUND if is_response(packet) else OUTBOUND
        options = ng_comments(text, direction=direction, big=big)
        blocks.append(build.ng_packet(packet, big=big, options=options))
    (row,) = analyze(build.save(tmp_path, b"".join(blocks))).client_rows
    assert (row.container, row.pod, row.namespace) == ("app", "web-1", "shop")


@pytest.mark.parametrize(
    "comments",
    [
        ["see web-1, container app"],
        ["Container: app\nPod: web-1"],
        ["ContainerName"],
        ["ContainerName:\nContainerId:   \nPodName: "],
        ["ContainerName: " + "x" * 300],
        [b"\xff\xfe\x00\x01" * 20],
        ["PID: 1\nCmd: dig\nArgs: dig a.example"],
        ["x" * 65_000] * 16,
        [""],
    ],
    ids=["prose", "keys", "no_colon", "empty", "long", "bytes", "process", "1_MB", "nothing"],
)
def test_comments_that_name_no_container_change_nothing(
    tmp_path: Path, comments: list[str]
) -> None:
    plain = analyze(write(tmp_path, (GLIBC, unnamed)))
    few = GLIBC.packets()[:40]

    def behind(packet: Packet, response: bool) -> bytes:
        return named(*comments)(packet, response) if packet in few else b""

    found = analyze(write(tmp_path, (GLIBC, behind)))
    assert found.client_rows == plain.client_rows
    assert found.what_if_rows == plain.what_if_rows
    assert (found.packets, found.warnings) == (plain.packets, plain.warnings)


def test_what_is_said_of_a_container_may_be_little(tmp_path: Path) -> None:
    """An id without a name is called by its beginning, a name without pod has none."""
    first = named("ContainerId: 0123456789abcdef0123")
    second = named("ContainerName: sidecar")
    rows = clients(analyze(write(tmp_path, (GLIBC, first), (MUSL, second))))
    assert set(rows) == {(CLIENT, "0123456789ab"), (CLIENT, "sidecar")}
    assert {c.pod for c in rows.values()} == {None}


@pytest.mark.parametrize(
    "label", ['"io.cri-containerd.kind":"sandbox"', '"io.kubernetes.docker.type":"podsandbox"']
)
def test_a_pod_s_sandbox_asks_nothing(tmp_path: Path, label: str) -> None:
    """Where ptcpdump knows the network alone, the pod is known and its container is not."""
    own = "ContainerName: \nContainerId: 5a5b\nContainerImage: pause:3.9\n"
    sandbox = named(own + f'ContainerLabels: {{"a":"b",{label}}}', *ptcpdump(pod="web-1")[2:])
    (row,) = analyze(write(tmp_path, (GLIBC, sandbox))).client_rows
    assert (row.container, row.pod, row.namespace) == (None, "web-1", "shop")


def test_arguments_of_a_process_name_no_container(tmp_path: Path) -> None:
    """A program may be given any text; the container's comment is another."""
    process = "PID: 7\nCmd: /bin/dig\nArgs: dig\nContainerName: bait\nPodName: bait"
    names = ptcpdump("app", pod="web-1")[2:]
    (row,) = analyze(write(tmp_path, (GLIBC, named(process, *names)))).client_rows
    assert (row.container, row.pod) == ("app", "web-1")
    (row,) = analyze(write(tmp_path, (GLIBC, named(names[0], process)))).client_rows
    assert (row.container, row.pod) == ("app", None)


HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd()|x",
    "a\x1b[31mred",
    "$x_{1}$ `id` {{7*7}}",
    "../../etc",
    "ÿ\u202egnp",
    "a/b (c)",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_escaped_at_every_exit(tmp_path: Path, name: str) -> None:
    """Two containers, so that the name is a part of what a client is called."""
    first, second = (named(f"ContainerName: {n}\nContainerId: {n}") for n in (name, "plain"))
    path = write(tmp_path, (GLIBC, first), (MUSL, second))
    done = run("analyze", path, "-o", str(tmp_path / "out"), "--format", "html,json,csv,md,png")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    page = (folder / "report.html").read_text()
    assert "<script>alert" not in page.replace("<script>alert(1)</script>\n", "")
    for text in (
        page,
        done.stdout.decode(),
        done.stderr.decode(),
        (folder / "analysis.json").read_text(),
    ):
        assert "\x1b" not in text and "\u202e" not in text
    for table in folder.glob("*.csv"):
        cells = [c for line in table.read_text().splitlines() for c in line.split(",")]
        assert not [c for c in cells if c.startswith("=")]
    values = json.loads((folder / "analysis.json").read_text())
    assert {c["client_addr"] for c in values["clients"]} == {CLIENT}
    assert len({c["container"] for c in values["clients"]}) == 2


def test_not_utf_8_names_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    first, second = (named(b"ContainerName: caf" + byte) for byte in (b"\xe9", b"\xe8"))
    rows = clients(analyze(write(tmp_path, (GLIBC, first), (MUSL, second))))
    assert set(rows) == {(CLIENT, r"caf\xe9"), (CLIENT, r"caf\xe8")}


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_options_that_lie_about_their_length_end_there(tmp_path: Path, cut: int) -> None:
    """Options that go on behind their block are read as far as they are there."""
    blocks = [build.ng_section(), build.ng_interface()]
    for packet in GLIBC.packets():
        options = APP(packet, is_response(packet))
        options = options[: len(options) - cut & ~3]
        blocks.append(build.ng_packet(packet, options=options))
    found = analyze(build.save(tmp_path, b"".join(blocks)))
    assert found.packets.total == len(GLIBC.packets())
    assert found.lookup_counts == analyze(write(tmp_path, (GLIBC, unnamed))).lookup_counts
