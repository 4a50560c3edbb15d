"""Ways to a pod's packets: tcpdump in the pod, in a debug container beside it, or on its node.

Each way is a list of commands that a user could type; ``--dry-run`` prints them. What it leaves
behind ends by itself: tcpdump when the time is over, or when whoever reads it goes away; the debug
container and the pod on the node with their sleep, and the pod is deleted before that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from pcapkit.capturing.kubectl import Kubectl
from pcapkit.capturing.pod import Pod

#: tcpdump in a shell that ends it when the time is over, or when standard input ends, and that
#: leaves no sleep behind. Standard output is the capture: nothing else may keep it open.
_SCRIPT = """exec 3<&0
tcpdump -i any -n -U -s 0 -w - "$2" </dev/null & t=$!
{ cat <&3; kill $t; } >/dev/null 2>&1 &
( trap 'kill $n' TERM; sleep "$1" & n=$!; wait $n && kill $t ) >/dev/null 2>&1 & s=$!
wait $t; r=$?
kill $s 2>/dev/null
exit $r"""
#: Seconds that containers live longer than the capture.
SPARE_S = 120
DEFAULT_IMAGE = "nicolaka/netshoot:v0.13"
#: NET_RAW alone, and root, to whom alone Kubernetes gives it.
_SECURITY = {
    "runAsUser": 0,
    "runAsNonRoot": False,
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Via(StrEnum):
    """Where tcpdump runs."""

    EXEC = "exec"
    DEBUG = "debug"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be captured: ``container`` is one of the pod's, ``own`` names what is made."""

    pod: Pod
    container: str
    seconds: int
    image: str
    own: str

    @property
    def filter(self) -> str:
        """What tcpdump captures in the pod."""
        return "port 53"

    @property
    def node_filter(self) -> str:
        """What tcpdump captures on the node: of this pod alone."""
        hosts = " or ".join(f"host {address}" for address in self.pod.addresses)
        return f"port 53 and ({hosts})" if hosts else "port 53"


def look(wish: Wish) -> list[str]:
    """Return what tells whether a container has tcpdump."""
    return [*_exec(wish, wish.container), "--", "tcpdump", "--version"]


def resolv_conf(wish: Wish, container: str) -> list[str]:
    """Return what prints the pod's resolv.conf."""
    return [*_exec(wish, container), "--", "cat", "/etc/resolv.conf"]


def stream(wish: Wish, via: Via) -> list[str]:
    """Return what prints the capture."""
    script = ["--", "sh", "-c", _SCRIPT, "sh", str(wish.seconds)]
    if via is Via.NODE:
        return ["exec", "-i", wish.own, "-n", wish.pod.namespace, *script, wish.node_filter]
    container = wish.container if via is Via.EXEC else wish.own
    return [*_exec(wish, container, "-i"), *script, wish.filter]


def _exec(wish: Wish, container: str, *options: str) -> list[str]:
    return ["exec", *options, wish.pod.name, "-n", wish.pod.namespace, "-c", container]


def debug(wish: Wish, custom: str) -> list[str]:
    """Return what adds a container to the pod that may capture; ``custom`` is a file's path."""
    return [
        *("debug", wish.pod.name, "-n", wish.pod.namespace, "-c", wish.own),
        *("--image", wish.image, "--profile", "general", "--custom", custom, "--attach=false"),
        *("--quiet", "--", "sleep", str(wish.seconds + SPARE_S)),
    ]


def custom_profile() -> str:
    """Return what the debug container may do."""
    return json.dumps({"securityContext": _SECURITY})


def node_pod(wish: Wish) -> str:
    """Return the manifest of a pod on the node, in the node's network."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": wish.own, "namespace": wish.pod.namespace},
            "spec": {
                "nodeName": wish.pod.node,
                "hostNetwork": True,
                "restartPolicy": "Never",
                "activeDeadlineSeconds": wish.seconds + SPARE_S,
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}],
                "containers": [
                    {
                        "name": "capture",
                        "image": wish.image,
                        "command": ["sleep", str(wish.seconds + SPARE_S)],
                        "securityContext": _SECURITY,
                    }
                ],
            },
        }
    )


def apply(wish: Wish, manifest: str) -> list[str]:
    """Return what makes the pod on the node, from a file."""
    return ["apply", "-n", wish.pod.namespace, "-f", manifest]


def wait_for_node(wish: Wish) -> list[str]:
    """Return what waits until that pod runs."""
    ready = ("--for=condition=Ready", "--timeout=55s")
    return ["wait", f"pod/{wish.own}", "-n", wish.pod.namespace, *ready]


def delete(wish: Wish) -> list[str]:
    """Return what removes that pod."""
    return ["delete", "pod", wish.own, "-n", wish.pod.namespace, "--wait=false"]


def dry_run(kubectl: Kubectl, wish: Wish, via: Via | None) -> list[str]:
    """Return the commands as a shell takes them, with a comment before each."""
    lines = []
    namespace = wish.pod.namespace

    def add(comment: str, *arguments: str, end: str = "") -> None:
        lines.extend([f"# {comment}", kubectl.shown(*arguments) + end])

    file = f"{namespace}-{wish.pod.name}.pcap"
    add("the pod", "get", "pod", wish.pod.name, "-n", namespace, "-o", "json")
    if via in (None, Via.EXEC):
        add("is there tcpdump in its image?", *look(wish))
        add("if so, the capture", *stream(wish, Via.EXEC), end=f" > {file}")
    if via in (None, Via.DEBUG):
        lines += ["# else a container beside it, with NET_RAW alone" if via is None else "#"]
        lines += [f"echo '{custom_profile()}' > profile.json"]
        add("it", *debug(wish, "profile.json"))
        add("the capture", *stream(wish, Via.DEBUG), end=f" > {file}")
    if via is Via.NODE:
        lines += [f"echo '{node_pod(wish)}' > pod.json"]
        add("a pod on its node", *apply(wish, "pod.json"))
        add("until it runs", *wait_for_node(wish))
        add("the capture", *stream(wish, via), end=f" > {file}")
        add("it is removed", *delete(wish))
    add("its resolv.conf", *resolv_conf(wish, wish.container), end=" > resolv.conf")
    add("all pods, so that clients have names", *PODS, end=" > pods.json")
    lines += ["# the report", f"pcapkit analyze {file} --resolv-conf resolv.conf --pods pods.json"]
    return lines


#: What lists all pods and services.
PODS = ("get", "pods,services", "-A", "-o", "json")
