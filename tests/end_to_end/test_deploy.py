"""What ``deploy/`` holds, as far as it can be judged without a cluster.

Manifests are held against Kubernetes' schemas, their commands against the options that exist, and
every pod against what the strictest namespaces ask for. The scripts and the debug profile are run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from ruamel.yaml import YAML

import pcapkit
from pcapkit.cli.root import cli
from tests.build import ask, ethernet, ipv4, packets, pcap, query, udp

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(p for folder in ("kubernetes", "dask") for p in (DEPLOY / folder).glob("*.yaml"))
README = (DEPLOY / "README.md").read_text()
PROFILE = json.loads((DEPLOY / "debug" / "profile.json").read_text())
#: The oldest and the newest Kubernetes that the README promises something for.
OLDEST = "1.29"
#: The image of the Containerfile; all others are other people's.
OURS = "registry.example/pcapkit"


Object = dict[str, Any]


def objects(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))


OBJECTS = [obj for path in FILES for obj in objects(path)]


def named(kind: str, name: str) -> Object:
    (found,) = (o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def template(obj: Object) -> Object | None:
    """Return the pod template of a workload, None for another object."""
    spec = obj.get("spec", {})
    spec = spec["jobTemplate"]["spec"] if obj["kind"] == "CronJob" else spec
    return spec.get("template")


def label(obj: Object) -> str:
    return f"{obj['kind']}/{obj['metadata']['name']}"


PODS = {label(o): t["spec"] for o in OBJECTS if (t := template(o))}
CONTAINERS = {
    f"{pod}/{c['name']}": (spec, c)
    for pod, spec in PODS.items()
    for c in (*spec.get("initContainers", ()), *spec["containers"])
}
#: Containers that run the entry point of our image; others name a command of their own.
COMMANDED = {k: c for k, (_, c) in CONTAINERS.items() if "command" not in c}

every_object = pytest.mark.parametrize("obj", OBJECTS, ids=label)
every_container = pytest.mark.parametrize("key", CONTAINERS)


def setting(key: str, name: str) -> Any:
    """Return what a container's security context says, or else its pod's."""
    spec, container = CONTAINERS[key]
    pods = spec.get("securityContext", {}).get(name)
    return container.get("securityContext", {}).get(name, pods)


def test_there_is_something_to_test() -> None:
    kinds = {o["kind"] for o in OBJECTS}
    assert kinds >= {"CronJob", "Job", "DaemonSet", "Namespace", "ServiceAccount"}
    assert len(COMMANDED) >= 4


@pytest.mark.parametrize("version", [OLDEST, "newest"])
@every_object
def test_manifests_are_valid(obj: Object, version: str) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    assert f"Kubernetes {OLDEST} or later" in README
    if version == "newest":
        version = schemas.latest_version()
    schemas.validate(obj, version, strict=True)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_manifests_mean_the_same_to_every_parser(path: Path) -> None:
    """YAML 1.1 and 1.2 differ in octal numbers and in what is a boolean; a key stands once."""
    loaded = list(YAML(typ="safe", pure=True).load_all(path.read_text()))
    assert loaded == objects(path)
    assert list(yaml.safe_load_all(yaml.safe_dump_all(loaded))) == loaded


def command_of(name: str, *options: str) -> click.Command:
    """Return a command that has these options."""
    with click.Context(cli) as context:
        command = cli.get_command(context, name)
    have = {option for p in command.params for option in p.opts} if command else set()
    missing = {*options} - have if command else {name}
    assert command is not None and not missing, (name, missing)
    return command


@pytest.mark.parametrize("key", COMMANDED)
def test_commands_and_their_options_exist(key: str) -> None:
    args = [a.replace("$(JOB_COMPLETION_INDEX)", "7") for a in COMMANDED[key]["args"]]
    assert not any("$(" in a for a in args)
    command = command_of(args[0], *(a for a in args if a.startswith("-")))
    with click.Context(command, info_name=args[0]) as context:
        command.parse_args(context, args[1:])  # raises on what it does not know


@every_container
def test_variables_name_options(key: str) -> None:
    for variable in CONTAINERS[key][1].get("env", ()):
        if match := re.fullmatch(r"PCAPKIT_([A-Z]+)_(\w+)", variable["name"]):
            name, flag = match.group(1).lower(), match.group(2).replace("_", "-").lower()
            command = command_of(name, f"--{flag}")
            (option,) = (
                p
                for p in command.params
                if isinstance(p, click.Option) and p.envvar == variable["name"]
            )
            with click.Context(command) as context:
                option.type_cast_value(context, variable["value"])


@every_container
def test_containers_may_do_no_more_than_they_must(key: str) -> None:
    """What the level restricted of the Pod Security Standards asks for, and a bit more."""
    capturing = key.endswith("/tcpdump")
    assert setting(key, "allowPrivilegeEscalation") is False
    assert setting(key, "readOnlyRootFilesystem") is True
    assert setting(key, "privileged") in (None, False)
    assert setting(key, "seccompProfile") == {"type": "RuntimeDefault"}
    expected: Object = {"drop": ["ALL"]} | ({"add": ["NET_RAW"]} if capturing else {})
    assert setting(key, "capabilities") == expected
    assert setting(key, "runAsNonRoot") is not capturing
    assert (setting(key, "runAsUser") == 0) is capturing


@pytest.mark.parametrize("pod", PODS)
def test_pods_are_no_more_privileged_than_their_namespace(pod: str) -> None:
    spec = PODS[pod]
    assert spec["automountServiceAccountToken"] is False
    # A Service called pcapkit-audit would set PCAPKIT_AUDIT_PORT, which is --port.
    assert spec["enableServiceLinks"] is False
    assert not spec.get("hostPID") and not spec.get("hostIPC")
    assert not any("hostPath" in volume for volume in spec.get("volumes", ()))
    (namespace,) = {o["metadata"]["namespace"] for o in OBJECTS if label(o) == pod}
    labels = named("Namespace", namespace)["metadata"]["labels"]
    captures = any(key.startswith(f"{pod}/") and key.endswith("/tcpdump") for key in CONTAINERS)
    level = "privileged" if captures else "restricted"
    assert labels["pod-security.kubernetes.io/enforce"] == level
    assert spec.get("hostNetwork", False) is captures


@every_container
def test_images_are_pinned_and_ours_is_this_version(key: str) -> None:
    name, _, tag = CONTAINERS[key][1]["image"].rpartition(":")
    assert name and "/" not in tag and tag != "latest"
    assert name != OURS or tag == pcapkit.__version__
    assert f"-t {OURS}:{pcapkit.__version__} " in README


@every_container
def test_what_a_container_takes_is_bounded(key: str) -> None:
    spec, container = CONTAINERS[key]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    mounts = {m["mountPath"]: m for m in container.get("volumeMounts", ())}
    for mount in mounts.values():
        volume = volumes[mount["name"]]
        assert mount.get("readOnly") or "persistentVolumeClaim" in volume or "emptyDir" in volume
        assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit")
    if container["image"].startswith(OURS):
        assert "emptyDir" in volumes[mounts["/tmp"]["name"]]
        assert "cpu" in container["resources"]["limits"]  # which says how many processes there are


@pytest.mark.parametrize("key", COMMANDED)
def test_what_is_written_goes_to_a_volume(key: str) -> None:
    container = COMMANDED[key]
    mounts = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
    for option in ("-o", "--output"):
        if option in container["args"]:
            folder = container["args"][container["args"].index(option) + 1]
            assert any(folder.startswith(f"{mount}/") for mount in mounts)
            return
    raise AssertionError("without -o reports go to the working folder, which is read-only")


@every_container
def test_no_secret_is_written_down(key: str) -> None:
    container = CONTAINERS[key][1]
    for variable in container.get("env", ()):
        if re.search("KEY|SECRET|TOKEN|PASS|CREDENTIAL", variable["name"]):
            assert "value" not in variable
    for text in container.get("args", ()):
        assert not re.search(r"://[^/]*@|[?&](sig|X-Amz-Signature)=", text), text
    assert all("Secret" != obj["kind"] for obj in OBJECTS)


def test_claims_accounts_and_maps_exist() -> None:
    for pod, spec in PODS.items():
        (namespace,) = {o["metadata"]["namespace"] for o in OBJECTS if label(o) == pod}
        wanted = {("ServiceAccount", spec["serviceAccountName"])}
        for volume in spec.get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                wanted.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
            if "configMap" in volume:
                wanted.add(("ConfigMap", volume["configMap"]["name"]))
        here = {
            (o["kind"], o["metadata"]["name"])
            for o in OBJECTS
            if o["metadata"].get("namespace") == namespace
        }
        assert wanted <= here, pod


def test_the_night_is_bounded_and_never_runs_twice() -> None:
    spec = named("CronJob", "pcapkit-nightly")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid" and spec["timeZone"]
    assert spec["startingDeadlineSeconds"] >= 100  # below, a controller that is behind misses it
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 24 * 3600
    assert spec["successfulJobsHistoryLimit"] and spec["failedJobsHistoryLimit"]
    args = PODS["CronJob/pcapkit-nightly"]["containers"][0]["args"]
    assert args[args.index("--history") + 1].startswith("s3://")


def retried(spec: Object, status: int) -> bool:
    """Does a job try a pod again that ended with this status?"""
    for rule in spec["podFailurePolicy"]["rules"]:
        if status in rule.get("onExitCodes", {}).get("values", ()):
            return bool(rule["action"] not in ("FailJob", "FailIndex"))
    return True


@every_object
def test_what_no_second_try_changes_gets_none(obj: Object) -> None:
    if obj["kind"] not in ("CronJob", "Job"):
        return
    spec = obj["spec"]["jobTemplate"]["spec"] if obj["kind"] == "CronJob" else obj["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    for rule in spec["podFailurePolicy"]["rules"]:
        assert rule.get("onExitCodes", {}).get("containerName") in (None, container["name"])
    assert not retried(spec, 2) and retried(spec, 137)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # else there may be no policy


def test_every_pod_has_a_shard_and_every_shard_a_pod() -> None:
    spec = named("Job", "pcapkit-shards")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    args = container["args"]
    assert spec["completionMode"] == "Indexed"
    assert args[args.index("--shard") + 1] == f"$(JOB_COMPLETION_INDEX)/{spec['completions']}"
    assert spec["parallelism"] <= spec["completions"]


def test_the_merge_reads_what_the_shards_write() -> None:
    shards = PODS["Job/pcapkit-shards"]
    merge = PODS["Job/pcapkit-merge"]
    assert shards["volumes"][0] == merge["volumes"][0]
    args = shards["containers"][0]["args"]
    folder = Path(args[args.index("-o") + 1])
    assert Path(merge["containers"][0]["args"][1]) == folder.parent
    assert folder.name == "$(JOB_COMPLETION_INDEX)"  # a lock each


# Capturing


def tcpdump_args(folder: Path) -> list[str]:
    """Return the DaemonSet's arguments for tcpdump, as Kubernetes expands them, without ``-i``."""
    args = CONTAINERS["DaemonSet/pcapkit-node-capture/tcpdump"][1]["args"]
    assert args[:2] == ["-i", "any"]
    out = [a.replace("$(NODE_NAME)", "node-1").replace("/captures", str(folder)) for a in args[2:]]
    return [a.replace("/scripts/closed", str(script(folder.parent))) for a in out]


def script(folder: Path) -> Path:
    """Write what tcpdump calls with each file that it has closed."""
    path = folder / "script"
    path.write_text(named("ConfigMap", "pcapkit-node-capture")["data"]["closed"])
    path.chmod(0o555)
    return path


def test_tcpdump_takes_the_arguments(tmp_path: Path) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    folder = tmp_path / "captures"
    folder.mkdir()
    asked = ethernet(ask(query("www.example.com")))
    other = ethernet(ipv4(udp(b"no DNS", 40000, 9000)))
    source = tmp_path / "all.pcap"
    source.write_bytes(pcap(packets(*[asked, other] * 10)))
    done = subprocess.run(
        ["tcpdump", "-Z", "root", "-r", str(source), *tcpdump_args(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "KEEP_FILES": "20"},
    )
    assert done.returncode == 0, done.stderr
    (written,) = folder.iterdir()
    assert re.fullmatch(r"node-1-\d{8}T\d{6}\.pcap", written.name)
    assert pcapkit.analyze(str(written)).packets.total == 10


def test_closed_files_are_moved_and_the_oldest_removed(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    run = script(tmp_path)

    def write(number: int) -> Path:
        path = folder / f"node-1-{number:02}.pcap"
        path.write_bytes(b"")
        os.utime(path, (number, number))
        return path

    def close(path: Path) -> None:
        subprocess.run([run, path], check=True, env={**os.environ, "KEEP_FILES": "20"})

    def names(where: Path) -> list[int]:
        return sorted(int(p.name[7:9]) for p in where.glob("*.pcap"))

    write(1)  # left by a tcpdump that was killed
    before = write(2)
    for number in range(3, 31):
        after = write(number)
        close(before)
        assert names(folder) == [number]  # is still being written
        assert names(folder / "closed") == list(range(max(1, number - 20), number))
        before = after


def test_what_is_kept_fits_the_volume() -> None:
    spec, container = CONTAINERS["DaemonSet/pcapkit-node-capture/tcpdump"]
    (files,) = (int(v["value"]) for v in container["env"] if v["name"] == "KEEP_FILES")
    megabytes = int(container["args"][container["args"].index("-C") + 1])
    (volume,) = (v for v in spec["volumes"] if v["name"] == "captures")
    gibibytes = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
    # one more is being written, and one is closed before the oldest is removed
    assert (files + 2) * megabytes * 10**6 < gibibytes * 2**30


def test_the_audit_cannot_write_the_captures() -> None:
    container = CONTAINERS["DaemonSet/pcapkit-node-capture/audit"][1]
    watched = Path(container["args"][container["args"].index("--watch") + 1])
    (mount,) = (m for m in container["volumeMounts"] if Path(m["mountPath"]) == watched.parent)
    assert mount["readOnly"] is True and watched.name == "closed"


# The debug profile


def debugged(container: Object) -> Object:
    """Return a pod that must not run as root, with a debug container."""
    own = {"name": "web", "image": "web:1", "securityContext": {"runAsNonRoot": True}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [own], "ephemeralContainers": [container]},
    }


def test_the_debug_profile_is_a_valid_part_of_a_container() -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    forbidden = {"name", "command", "image", "lifecycle", "volumeDevices"}  # by kubectl
    assert not forbidden & PROFILE.keys()
    pod = debugged({"name": "capture", "image": "netshoot:1", **PROFILE})
    for version in (OLDEST, schemas.latest_version()):
        schemas.validate(pod, version, strict=True)
    context = PROFILE["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
    assert (context["runAsUser"], context["runAsNonRoot"]) == (0, False)


class _Cluster(BaseHTTPRequestHandler):
    """As much of an API server as ``kubectl debug`` asks for; keeps what it is sent."""

    patches: list[Object]
    answers = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        "/api/v1": {
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [
                {"name": name, "singularName": "", "namespaced": True, "kind": "Pod", "verbs": []}
                for name in ("pods", "pods/ephemeralcontainers")
            ],
        },
        "/api/v1/namespaces/default/pods/web": debugged({}),
    }

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, body: Object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        body = self.answers.get(self.path.split("?")[0])
        missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
        self.answer(*((body,) if body else (missing, 404)))

    def do_PATCH(self) -> None:
        self.patches.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(self.answers["/api/v1/namespaces/default/pods/web"])


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[Object]]]:
    """Yield the address of an API server on loopback, and the patches that it was sent."""
    handler = type("Cluster", (_Cluster,), {"patches": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.patches
        server.shutdown()
        thread.join()


def kubectl_takes_profiles() -> bool:
    if shutil.which("kubectl") is None:
        return False
    done = subprocess.run(["kubectl", "debug", "--help"], capture_output=True, text=True)
    return "--custom=" in done.stdout


@pytest.mark.parametrize("profile", ["general", "baseline", "netadmin", "restricted", "sysadmin"])
def test_kubectl_asks_for_net_raw_alone(
    profile: str, cluster: tuple[str, list[Object]], tmp_path: Path
) -> None:
    if not kubectl_takes_profiles():  # Debian's is too old to be asked for
        pytest.skip("there is no kubectl here that takes --custom")
    address, patches = cluster
    (block,) = (b for b in blocks(README) if "--custom" in b)
    command = block.splitlines()[0].removesuffix("\\") + block.splitlines()[1]
    words = command.replace("POD", "web").replace("general", profile).split()
    assert words[0] == "kubectl"
    done = subprocess.run(
        ["kubectl", "-s", address, *words[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")},
    )
    assert done.returncode == 0, done.stderr
    (patch,) = patches
    added = patch["spec"]["ephemeralContainers"][-1]
    assert added["securityContext"] == PROFILE["securityContext"]


# The image, and what is said


def test_the_image_runs_as_nobody() -> None:
    steps: dict[str, list[str]] = {}
    for line in (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            steps.setdefault(word, []).append(rest)
    assert re.fullmatch(r"([1-9]\d*):([1-9]\d*)", steps["USER"][-1])
    pods = PODS["CronJob/pcapkit-nightly"]["securityContext"]
    assert steps["USER"][-1] == f"{pods['runAsUser']}:{pods['runAsGroup']}"
    assert json.loads(steps["ENTRYPOINT"][-1]) == ["pcapkit"]
    variables = dict(pair.split("=", 1) for pair in steps["ENV"][-1].split())
    assert variables["HOME"] == variables["TMPDIR"] == "/tmp"
    assert all(":" in image and "latest" not in image for image in steps["FROM"])
    assert "[all]" in (DEPLOY / "install.sh").read_text()


def test_what_the_image_is_built_from_gets_into_it() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    used = "".join(p.read_text() for p in DEPLOY.glob("*.py"))
    assert kept >= {*re.findall(r'ROOT / "(\w+)"', used), "pcapkit", "deploy", "pyproject.toml"}
    assert kept >= {"README.md", "LICENSE"}  # named by pyproject.toml


def blocks(text: str) -> list[str]:
    return re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def test_the_readme_names_what_there_is() -> None:
    commands = "".join(blocks(README))
    for path in re.findall(r"deploy/[\w/.-]+\w", commands):
        assert (ROOT / path).exists(), path
    for kind, name in re.findall(r"\b(job|cronjob)/([\w-]+)", commands):
        if name != "first-night":
            named({"job": "Job", "cronjob": "CronJob"}[kind], name)
    for namespace in re.findall(r"kubectl -n ([\w-]+)", README):
        named("Namespace", namespace)
    for path in FILES:
        assert str(path.relative_to(DEPLOY)) in README or path.parent.name != "kubernetes"
    assert "](deploy/README.md" in (ROOT / "README.md").read_text()
