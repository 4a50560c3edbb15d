"""Patches on the page: what each is, for whom, and the command that applies it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcapkit.report.text.formatting import printable
from pcapkit.report.text.plans import subjects_text

_PATCH = "kubectl patch {} NAME -n NAMESPACE --patch-file {}.yaml"
#: shape -> what it is, the command that applies it
_SHAPES: dict[str, tuple[str, str]] = {
    "workload": (
        "A patch of a Deployment, StatefulSet or DaemonSet. Saved as workload.yaml, for each:",
        _PATCH.format("deployment", "workload"),
    ),
    "cronjob": (
        "A patch of a CronJob. Saved as cronjob.yaml, for each:",
        _PATCH.format("cronjob", "cronjob"),
    ),
    "kustomize": ("Kustomize: into kustomization.yaml, then:", "kubectl apply -k ."),
    "helm": (
        "Helm: into values.yaml, where the chart has such a value, then:",
        "helm upgrade RELEASE CHART -f values.yaml",
    ),
    "kyverno": (
        "A Kyverno policy, for pods made from then on. Saved as policy.yaml:",
        "kubectl apply -f policy.yaml",
    ),
    "mutating_admission_policy": (
        "A MutatingAdmissionPolicy (Kubernetes 1.36), for pods made from then on. Saved as "
        "policy.yaml:",
        "kubectl apply -f policy.yaml",
    ),
    "coredns": (
        "CoreDNS: into the Corefile of the whole cluster:",
        "kubectl edit configmap coredns -n kube-system",
    ),
    "list": ("Names to write in full, in the application or its settings.", ""),
}


@dataclass(frozen=True, slots=True)
class Patch:
    """Text to paste, with what it is and the command that applies it, "" where none does."""

    label: str
    about: str
    command: str
    text: str


def how_to_apply(shape: str, text: str) -> Patch:
    """Return a patch of one shape with how it is applied."""
    label = shape.replace("_", " ")
    about, command = _SHAPES.get(shape, (f"{label[:1].upper()}{label[1:]}:", ""))
    return Patch(label, about, command, text.rstrip("\n"))


def ndots_patch(ndots: int, subjects: Sequence[str]) -> Patch:
    """Return the patch that sets ndots in the workloads of subjects: namespaces, clients."""
    spaces = {s.partition("/")[0] for s in subjects}
    is_one = len(spaces) == 1 and not any(c in min(spaces) for c in ".:")
    namespace = printable(min(spaces)) if is_one else "NAMESPACE"
    who = ", ".join(map(printable, subjects[:5])) if len(subjects) <= 5 else subjects_text(subjects)
    return Patch(
        f"ndots {ndots}",
        f"ndots {ndots}, for {who}. Saved as ndots-{ndots}.yaml, for each Deployment "
        "(or StatefulSet, DaemonSet):",
        f"kubectl patch deployment NAME -n {namespace} --patch-file ndots-{ndots}.yaml",
        "spec:\n  template:\n    spec:\n      dnsConfig:\n        options:\n"
        f'          - name: ndots\n            value: "{ndots}"',
    )
