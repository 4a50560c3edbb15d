"""``pcapkit capture``, with a stand-in for kubectl that plays sessions, refusals and cuts.

No cluster is here. The shell script that runs in a container does run, with a stand-in for tcpdump.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pcapkit.capturing.ways import custom_profile

HERE = Path(__file__).resolve().parent
LAB = HERE.parents[1] / "captures" / "lab"
CAPTURE = LAB / "whatif_w1_glibc_ndots5.pcap"
RESOLV_CONF = (
    "search default.svc.cluster.local svc.cluster.local cluster.local\n"
    "nameserver 10.96.0.10\noptions ndots:5\n"
)
ADDRESS = "172.41.10.200"
FORBIDDEN = 'Error from server (Forbidden): {} is forbidden: User "dev" cannot do that'


class Cluster:
    """One cluster that is played, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "kubectl").write_text(
            f'#!/bin/sh\nexec {sys.executable} {HERE / "kubectl.py"} "$@"\n'
        )
        (self.bin / "kubectl").chmod(0o755)
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "web-0", "namespace": "shop"},
            "spec": {"nodeName": "node-1", "containers": [{"name": "web"}, {"name": "proxy"}]},
            "status": {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]},
        }
        self.write("pod.json", json.dumps(pod))
        self.write("pods.json", json.dumps({"kind": "List", "apiVersion": "v1", "items": [pod]}))
        self.write("resolv.conf", RESOLV_CONF)
        self.rules()
        self.tcpdump(f"cat {CAPTURE}")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def rules(self, **rules: Any) -> None:
        self.write("rules.json", json.dumps(rules))

    def tcpdump(self, body: str) -> None:
        """Give the container a tcpdump; it ends when it is told to."""
        path = self.folder / "tcpdump"
        path.write_text(f"#!/bin/sh\ntrap 'exit 0' TERM\n{body}\n")
        path.chmod(0o755)

    @property
    def asked(self) -> list[list[str]]:
        lines = (self.folder / "asked").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def command(self, *arguments: str) -> list[str]:
        start = [sys.executable, "-c", "from pcapkit.cli.main import main; main()", "capture"]
        out = str(self.folder / "out")
        return [*start, *arguments, "-o", out, "--format", "json"]

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.bin}:{os.environ['PATH']}"
        return os.environ | {"PATH": path, "PLAY": str(self.folder), "COLUMNS": "80"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command("pod/web-0", "-n", "shop", "--for", "20s", *arguments)
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def analysis(self) -> dict[str, Any]:
        out: dict[str, Any] = json.loads(
            (self.folder / "out" / "shop-web-0" / "analysis.json").read_text()
        )
        return out


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_one_command_goes_from_a_pod_to_its_report(cluster: Cluster) -> None:
    done = cluster.run()
    assert done.returncode == 0, done.stderr
    assert "152 of 242" in done.stdout
    assert "capturing pod shop/web-0 for 20 s, by exec (web); Ctrl-C ends it" in done.stderr
    kept = cluster.folder / "out" / "shop-web-0.pcap"
    assert kept.read_bytes() == CAPTURE.read_bytes() and str(kept) in done.stdout
    (client,) = cluster.analysis()["clients"]
    assert client["ndots"]["source"] == client["search_source"] == "resolv.conf"
    assert client["search"][0] == "default.svc.cluster.local" and len(client["search"]) == 3
    assert client["pod"] == "web-0"


def test_without_tcpdump_in_the_image_a_container_is_added_beside_it(cluster: Cluster) -> None:
    cluster.rules(refuse={"-- tcpdump --version": 'exec: "tcpdump": executable file not found'})
    done = cluster.run()
    assert done.returncode == 0, done.stderr
    assert "no tcpdump in container web" in done.stderr and "by debug" in done.stderr
    profile = json.loads((cluster.folder / "profile").read_text())["securityContext"]
    assert profile["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
    debug = next(words for words in cluster.asked if words[0] == "debug")
    assert debug[-3:] == ["--", "sleep", "140"]


def test_a_container_that_may_not_capture_gets_one_beside_it_that_may(cluster: Cluster) -> None:
    cluster.tcpdump(
        f"[ -e {cluster.folder}/debugger ] && exec cat {CAPTURE}\n"
        'echo "tcpdump: any: You don\'t have permission to capture on that device" >&2; exit 1'
    )
    done = cluster.run()
    assert done.returncode == 0, done.stderr
    assert "lacks NET_RAW" in done.stderr and "152 of 242" in done.stdout


def test_on_the_node_a_pod_is_made_and_removed(cluster: Cluster) -> None:
    done = cluster.run("--via", "node")
    assert done.returncode == 0, done.stderr
    spec = json.loads((cluster.folder / "manifest").read_text())["spec"]
    assert (spec["nodeName"], spec["hostNetwork"]) == ("node-1", True)
    verbs = [words[0] for words in cluster.asked]
    assert verbs.index("apply") < verbs.index("wait") < verbs.index("delete")
    stream = next(words for words in cluster.asked if words[:2] == ["exec", "-i"])
    assert stream[-1] == f"port 53 and (host {ADDRESS})"


def test_the_pod_on_the_node_is_removed_where_it_never_runs(cluster: Cluster) -> None:
    cluster.rules(refuse={"wait pod/": "error: timed out waiting for the condition"})
    done = cluster.run("--via", "node")
    assert done.returncode == 2 and "timed out" in done.stderr
    assert cluster.asked[-1][0] == "delete"
    assert not (cluster.folder / "out").exists() or not list((cluster.folder / "out").iterdir())


@pytest.mark.parametrize(
    ("rules", "arguments", "said"),
    [
        (
            {"get pod web-0": 'Error from server (NotFound): pods "web-0" not found'},
            (),
            ("there is none of that name", "kubectl get pods -n shop"),
        ),
        (
            {"get pod web-0": FORBIDDEN.format("pods")},
            (),
            ("the cluster does not allow it to this account (RBAC)",),
        ),
        (
            {"get pod web-0": "Unable to connect to the server: dial tcp: no such host"},
            (),
            ("no cluster answers: check --context and KUBECONFIG",),
        ),
        (
            {"debug web-0": 'pods "web-0" is forbidden: violates PodSecurity "restricted:latest"'},
            ("--via", "debug"),
            ("the Pod Security level of the namespace refuses it", "--via node"),
        ),
        (
            {"debug web-0": "error: unknown flag: --custom"},
            ("--via", "debug"),
            ("this kubectl is too old for it",),
        ),
        ({}, ("-c", "nginx"), ("has no container 'nginx': it has web, proxy",)),
        ({}, ("--for", "soon"), ("write it as 90s, 10m or 2h",)),
    ],
)
def test_what_is_missing_is_said_in_plain_words(
    cluster: Cluster, rules: dict[str, str], arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    cluster.rules(refuse=rules)
    done = cluster.run(*arguments)
    assert done.returncode == 2
    assert all(text in done.stderr for text in said), done.stderr
    assert "Traceback" not in done.stderr and not (cluster.folder / "out" / "shop-web-0").exists()


def test_what_is_not_needed_may_be_refused(cluster: Cluster) -> None:
    refuse = {"get pods,services": FORBIDDEN.format("pods"), "cat /etc/resolv.conf": "no cat here"}
    cluster.rules(refuse=refuse)
    done = cluster.run()
    assert done.returncode == 0 and "152 of 242" in done.stdout
    assert "pods could not be listed" in done.stderr and "is inferred" in done.stderr


def test_an_image_that_cannot_be_pulled_is_said(cluster: Cluster) -> None:
    cluster.rules(debugger={"waiting": {"reason": "ImagePullBackOff"}})
    done = cluster.run("--via", "debug", "--image", "example.test/none")
    assert done.returncode == 2 and "ImagePullBackOff" in done.stderr
    assert "--image names another one than example.test/none" in done.stderr


def test_ctrl_c_ends_the_capture_and_reports_what_came(cluster: Cluster) -> None:
    cluster.tcpdump(f"cat {CAPTURE}; : > {cluster.folder}/printed; while :; do sleep 0.1; done")
    command = cluster.command("web-0", "-n", "shop", "--for", "3517s")
    process = subprocess.Popen(
        command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (cluster.folder / "printed").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "152 of 242" in out
    for program in (str(cluster.folder / "tcpdump"), "^sleep 3517"):
        until = time.monotonic() + 10
        while (left := subprocess.run(["pgrep", "-f", program], check=False)).returncode == 0:
            assert time.monotonic() < until, f"{program} goes on"
            time.sleep(0.1)
        assert left.returncode == 1


def test_the_time_ends_a_capture(cluster: Cluster) -> None:
    cluster.tcpdump(f"cat {CAPTURE}; while :; do sleep 0.1; done")
    done = cluster.run("--for", "1s")
    assert done.returncode == 0 and "152 of 242" in done.stdout


def test_a_session_that_is_cut_reports_what_came(cluster: Cluster) -> None:
    size = CAPTURE.stat().st_size // 2
    cluster.tcpdump(f"head -c {size} {CAPTURE}; echo 'error: connection lost' >&2; exit 1")
    done = cluster.run()
    assert done.returncode == 0
    assert cluster.analysis()["captures"][0]["truncated_tail"] is True


def test_dry_run_prints_commands_and_runs_none(cluster: Cluster) -> None:
    done = cluster.run("--dry-run")
    assert done.returncode == 0 and not (cluster.folder / "asked").exists()
    assert "kubectl exec -i web-0 -n shop -c CONTAINER -- sh -c" in done.stdout
    assert "pcapkit analyze shop-web-0.pcap --resolv-conf resolv.conf" in done.stdout
    checked = subprocess.run(["sh", "-n"], input=done.stdout, text=True, check=False)
    assert checked.returncode == 0, "no shell takes them"


def test_names_that_are_options_never_reach_kubectl(cluster: Cluster) -> None:
    for arguments in (("--", "-f"), ("pod/--all",), ("deployment/web",), ("web", "-n", "--all")):
        command = [*cluster.command()[:4], *arguments]
        done = subprocess.run(
            command, env=cluster.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, arguments
    assert not (cluster.folder / "asked").exists()


def test_without_kubectl_that_is_said(cluster: Cluster) -> None:
    (cluster.bin / "kubectl").unlink()
    environment = cluster.environment | {"PATH": str(cluster.bin)}
    done = subprocess.run(
        cluster.command("web-0"), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "kubectl is not on the PATH" in done.stderr


def test_the_profile_is_that_of_the_manifests() -> None:
    shipped = json.loads((HERE.parents[1] / "deploy" / "debug" / "profile.json").read_text())
    assert json.loads(custom_profile()) == shipped
