"""One capture of a pod, from the first question to the last clean-up."""

from __future__ import annotations

import json
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from pcapkit.capturing import ways
from pcapkit.capturing.kubectl import Answer, Kubectl
from pcapkit.capturing.ways import Via, Wish
from pcapkit.cluster.pods import Cluster, parse_pods
from pcapkit.errors import InputError, PcapkitError
from pcapkit.files import temporary_folder
from pcapkit.resolver.resolv_conf import ResolverConfig, parse_resolv_conf

#: Seconds that a stream may go on after its time, and a debug container take to start.
_GRACE_S, _START_S = 15.0, 60.0
_CHUNK = 1 << 16

Say = Callable[[str], None]
Ends = Callable[[], AbstractContextManager[threading.Event | None]]


@dataclass(frozen=True, slots=True)
class Captured:
    """What was learned beside the packets; None where it could not be."""

    via: Via
    size: int  #: bytes of the capture
    resolv_conf: ResolverConfig | None
    pods: Cluster | None


def capture(
    kubectl: Kubectl, wish: Wish, via: Via | None, out: IO[bytes], say: Say, ends: Ends
) -> Captured:
    """Capture a pod's DNS into a file, ``via`` one way, or the first that works.

    ``say`` gets lines for the reader. While packets come, ``ends`` gives an event that ends the
    capture early; what came counts. Raises InputError where nothing can be captured: it says what
    is missing.
    """
    pods = _pods(kubectl, wish, say)
    if via is None:
        answer = kubectl.ask(*ways.look(wish))
        via = Via.DEBUG if answer.status else Via.EXEC
        if answer.status:
            say(f"no tcpdump in container {wish.container}: {_short(answer)}; adding one beside it")
    try:
        return _capture(kubectl, wish, via, out, say, pods, ends)
    except InputError as problem:
        if via is not Via.EXEC or "NET_RAW" not in str(problem):
            raise
        say(f"{problem.problem}; adding a container that may")
        return _capture(kubectl, wish, Via.DEBUG, out, say, pods, ends)


def _capture(
    kubectl: Kubectl,
    wish: Wish,
    via: Via,
    out: IO[bytes],
    say: Say,
    pods: Cluster | None,
    ends: Ends,
) -> Captured:
    with _made(kubectl, wish, via) as container:
        inside = wish.container if via is Via.NODE else container
        config = _resolv_conf(kubectl, wish, inside, say)
        say(
            f"capturing {wish.pod.title} for {wish.seconds} s, by {via.value} "
            f"({container}); Ctrl-C ends it"
        )
        with ends() as stop:
            began = kubectl.begin(*ways.stream(wish, via))
            size, answer = _stream(began, wish.seconds, out, stop)
    if not size:
        raise InputError(wish.pod.title, f"nothing was captured: {answer.why}", hint=_HINTS[via])
    return Captured(via, size, config, pods)


_HINTS = {
    Via.EXEC: "--via debug adds a container that may capture",
    Via.DEBUG: "--via node captures on the node, or ask whoever runs the cluster",
    Via.NODE: "ask whoever runs the cluster, or see the logs of CoreDNS",
}


@contextmanager
def _made(kubectl: Kubectl, wish: Wish, via: Via) -> Iterator[str]:
    """Make the container that captures, yield its name, and remove what can be removed."""
    if via is Via.EXEC:
        yield wish.container
        return
    with temporary_folder("capture") as folder:
        path = folder / "made.json"
        if via is Via.DEBUG:
            path.write_text(ways.custom_profile())
            kubectl.must(wish.pod.title, ways.debug(wish, str(path)), _HINTS[via])
            _await_debug(kubectl, wish)
            yield wish.own  # it ends with its sleep; Kubernetes lets nobody remove it
            return
        path.write_text(ways.node_pod(wish))
        kubectl.must(f"node {wish.pod.node}", ways.apply(wish, str(path)), _HINTS[via])
        try:
            kubectl.must(f"node {wish.pod.node}", ways.wait_for_node(wish), _HINTS[via])
            yield wish.own
        finally:
            kubectl.ask(*ways.delete(wish))


def _await_debug(kubectl: Kubectl, wish: Wish) -> None:
    """Wait until the debug container runs. Raises InputError with what keeps it from that."""
    ask = ("get", "pod", wish.pod.name, "-n", wish.pod.namespace, "-o", "json")
    until, waits = time.monotonic() + _START_S, "it has not begun"
    while time.monotonic() < until:
        found = json.loads(kubectl.must(wish.pod.title, ask))
        states = found.get("status", {}).get("ephemeralContainerStatuses", ())
        own = [s.get("state", {}) for s in states if s.get("name") == wish.own]
        state: dict[str, Any] = own[0] if own else {}
        if "running" in state:
            return
        if (waiting := state.get("waiting")) is not None:
            waits = str(waiting.get("reason", "it waits"))
            if waits in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
                break
        if "terminated" in state:
            waits = "it ended at once"
            break
        time.sleep(0.5)
    hint = f"--image names another one than {wish.image}"
    raise InputError(wish.pod.title, f"the debug container does not run: {waits}", hint=hint)


def _stream(
    process: subprocess.Popen[bytes], seconds: int, out: IO[bytes], stop: threading.Event | None
) -> tuple[int, Answer]:
    """Copy what a process prints until it ends, its time is over, or ``stop``; return its size."""
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    size, said = 0, bytearray()
    until = time.monotonic() + seconds + _GRACE_S
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        ready.register(process.stderr, selectors.EVENT_READ)
        try:
            while ready.get_map():
                for key, _ in ready.select(0.2):
                    data = key.fileobj.read1(_CHUNK)  # type: ignore[union-attr]
                    if not data:
                        ready.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        size += out.write(data)
                    else:
                        said += data[: _CHUNK - len(said)]
                if (stop is not None and stop.is_set()) or time.monotonic() > until:
                    with suppress(OSError):
                        process.stdin.close()  # which ends tcpdump
                    if time.monotonic() > until + _GRACE_S:
                        break
                    until = min(until, time.monotonic() + _GRACE_S)
        finally:
            with suppress(OSError):
                process.stdin.close()
            try:
                status = process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
            process.stdout.close()
            process.stderr.close()
    return size, Answer(status, b"", said.decode(errors="replace"))


def _resolv_conf(kubectl: Kubectl, wish: Wish, container: str, say: Say) -> ResolverConfig | None:
    answer = kubectl.ask(*ways.resolv_conf(wish, container))
    path = f"{wish.pod.title}: /etc/resolv.conf"
    if not answer.status:
        with suppress(PcapkitError):
            return parse_resolv_conf(answer.out.decode(errors="replace"), path=path)
    say(f"{path} could not be read: {_short(answer)}; the search list is inferred from the traffic")
    return None


def _pods(kubectl: Kubectl, wish: Wish, say: Say) -> Cluster | None:
    """Ask for the pods of the cluster, or else for those of the namespace."""
    own = ("get", "pods,services", "-n", wish.pod.namespace, "-o", "json")
    for arguments in (ways.PODS, own):
        answer = kubectl.ask(*arguments)
        if not answer.status:
            with suppress(PcapkitError):
                text = answer.out.decode(errors="replace")
                return parse_pods(text, path=kubectl.shown(*arguments))
    say(f"pods could not be listed: {_short(answer)}; clients are addresses")
    return None


def _short(answer: Answer) -> str:
    return answer.why if len(answer.why) < 200 else answer.why[:199] + "…"
