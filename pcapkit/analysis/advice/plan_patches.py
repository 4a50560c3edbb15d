"""A plan as text to paste: one bundle for each group of equal steps, policies, and a list of names.

Shapes: strategic-merge patches, Kustomize, Helm values, a Kyverno policy (``ClusterPolicy``), a
MutatingAdmissionPolicy (``admissionregistration.k8s.io/v1``, Kubernetes 1.36), the names. Policies
select by kind, namespace and name the workloads whose verdict is ``safe``, and nothing else; where
they cannot be evaluated, nothing is changed and nothing is stopped (``failurePolicy: Ignore``).

A search list is only made shorter by ``dnsPolicy: None``, which takes nothing from the cluster:
nameservers, list and ndots are written out.

``dnsConfig.options`` is an atomic list: apply configurations may not touch it, and merges replace
it. So the admission policy patches by JSON Patch, and Kyverno's keeps the options that are there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from pcapkit.analysis.advice.patches import helm_values, printer, replacements
from pcapkit.model.plans import Plan, Step
from pcapkit.model.vocabulary import Safety
from pcapkit.names.text import is_host_name
from pcapkit.words import some

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

_TEMPLATE = ("spec", "template", "spec")
#: kind -> API group, plural, where the spec of its pods stands
_KINDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "Deployment": ("apps", "deployments", _TEMPLATE),
    "StatefulSet": ("apps", "statefulsets", _TEMPLATE),
    "DaemonSet": ("apps", "daemonsets", _TEMPLATE),
    "ReplicaSet": ("apps", "replicasets", _TEMPLATE),
    "Job": ("batch", "jobs", _TEMPLATE),
    "CronJob": ("batch", "cronjobs", ("spec", "jobTemplate", *_TEMPLATE)),
    "Pod": ("", "pods", ("spec",)),
}
#: What exists of these cannot get another pod template: it has to be created again.
_FIXED = ("Job", "Pod")
#: What a workload of unknown kind may be.
_USUAL = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_TITLE = re.compile(r"[\w./:%-]+", re.ASCII)
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
#: The codes of steps that write a name in full.
_NAMES = ("use_fqdn", "full_service_name")
_CREATE_AGAIN = (
    "Pods that run keep their settings until they are rolled out again; a Pod, or a Job's pods,",
    "cannot be changed: it must be created again.",
)
_OPTIONS = "A list of options replaces the one that is there: add what yours has."
_WRITTEN_OUT = (
    "dnsPolicy None takes nothing from the cluster: compare nameservers, searches and options",
    "with /etc/resolv.conf of a pod first. Or give the kubelet a resolv.conf without the suffix,",
    "for all pods of its node: then no workload changes.",
)


class PodDns(NamedTuple):
    """What pods have now: servers that they ask, their search list, their ndots."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    ndots: int


@dataclass(frozen=True, slots=True, order=True)
class _Workload:
    """A workload that can be selected; ``kind`` is empty where it is not known."""

    namespace: str
    name: str
    kind: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,) if self.kind else _USUAL

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Group:
    """Workloads that get the same ndots, and must write the same names in full with it.

    With ``list_of`` they get a shorter search list, too.
    """

    ndots: int
    names: tuple[tuple[str, str], ...]
    safe: bool
    workloads: tuple[_Workload, ...]
    list_of: PodDns | None = None
    suffixes: tuple[str, ...] = ()

    def pod_spec(self) -> dict[str, object]:
        """Return what a pod's spec gets."""
        from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted

        options: dict[str, object] = {"options": [_ndots(self.ndots)]}
        if self.list_of is None:
            return {"dnsConfig": options}
        given = {
            "nameservers": [Quoted(address) for address in self.list_of.nameservers],
            "searches": [Quoted(s) for s in self.list_of.search if s not in self.suffixes],
        }
        return {"dnsPolicy": Quoted("None"), "dnsConfig": given | options}

    def comment(self, *lines: str) -> str:
        """Return what is said above a document of this group."""
        verdict = "safe" if self.safe else "review"
        who = some([str(w) for w in self.workloads])
        said = [f"ndots {self.ndots} for {who} ({verdict})"]
        if self.list_of is not None:
            said = [f"search list without {' and '.join(self.suffixes)} for {who} ({verdict})"]
            said += _WRITTEN_OUT
        if self.names:
            said.append("write in full in the same roll-out:")
            said += [f"  {name} -> {full}" for name, full in self.names]
        return "\n".join([*said, *lines])


def plan_patches(
    plan: Plan,
    kinds: Mapping[str, str | None] | None = None,
    dns: Mapping[str, PodDns] | None = None,
) -> dict[str, str]:
    """Return a plan as text, by shape; none for a plan that no manifest can follow.

    ``kinds`` maps a subject (``namespace/name``) to the kind of its workload; one of unknown kind
    is selected by namespace and name alone. ``dns`` says what its pods have now. Shapes:
    ``workload``, ``kustomize``, ``helm``, ``kyverno``, ``mutating_admission_policy``, ``list``.
    Policies hold the steps that are ``safe``, the others ``review`` ones too, marked as such. What
    is no name of Kubernetes or of a host, as names in a capture can be, is in none of them.
    """
    steps = [s for s in plan.steps if s.safety is not Safety.UNSAFE]
    groups = _groups(steps, kinds or {})
    safe = [g for g in groups if g.safe]
    groups += _shorter(steps, kinds or {}, dns or {})
    texts = {
        "workload": _documents(_workload_patches(groups)),
        "kustomize": _documents(_kustomize(groups)),
        "helm": "".join(_helm(groups)),
        "kyverno": _documents(_kyverno(g, name) for g, name in _named(safe)),
        "mutating_admission_policy": _documents(
            document for g, name in _named(safe) for document in _admission(g, name)
        ),
        "list": _list(steps),
    }
    texts = {shape: text for shape, text in texts.items() if text}
    if plan.steps_in_all > len(plan.steps):
        said = f"# of the first {len(plan.steps)} of the plan's {plan.steps_in_all} steps\n"
        return {shape: said + text for shape, text in texts.items()}
    return texts


def _groups(steps: Iterable[Step], kinds: Mapping[str, str | None]) -> list[_Group]:
    found: dict[tuple[int, tuple[tuple[str, str], ...], bool], set[_Workload]] = defaultdict(set)
    for step in steps:
        names = tuple(sorted(step.names.items()))
        if step.code != "set_ndots" or step.ndots is None or not 0 <= step.ndots <= 15:
            continue
        if not all(is_host_name(text) for pair in names for text in pair):
            continue
        for subject in step.subjects:
            if (workload := _workload(subject, kinds)) is not None:
                found[step.ndots, names, step.safety is Safety.SAFE].add(workload)
    return [
        _Group(ndots, names, safe, tuple(sorted(workloads)))
        for (ndots, names, safe), workloads in sorted(found.items())
    ]


def _workload(subject: str, kinds: Mapping[str, str | None]) -> _Workload | None:
    """Return a subject as a workload that can be selected; None where it is none."""
    namespace, _, name = subject.partition("/")
    kind = kinds.get(subject) or ""
    if not (_LABEL.fullmatch(namespace) and _SUBDOMAIN.fullmatch(name)):
        return None
    return _Workload(namespace, name, kind) if not kind or kind in _KINDS else None


def _shorter(
    steps: Sequence[Step], kinds: Mapping[str, str | None], dns: Mapping[str, PodDns]
) -> list[_Group]:
    """Return the workloads that get a shorter list, those with equal settings as one."""
    ndots = {s: step.ndots for step in steps if step.ndots is not None for s in step.subjects}
    found: dict[tuple[PodDns, tuple[str, ...]], set[_Workload]] = defaultdict(set)
    for step in steps:
        for subject in step.subjects if step.suffixes else ():
            now, workload = dns.get(subject), _workload(subject, kinds)
            if workload is None or now is None or not now.nameservers:
                continue
            if all(is_host_name(s) for s in (*now.search, *step.suffixes)):
                given = now._replace(ndots=ndots.get(subject, now.ndots))
                found[given, step.suffixes].add(workload)
    return [
        _Group(given.ndots, (), False, tuple(sorted(workloads)), given, suffixes)
        for (given, suffixes), workloads in sorted(found.items())
    ]


def _named(groups: Sequence[_Group]) -> Iterator[tuple[_Group, str]]:
    """Yield groups with a name of their own for their policy."""
    for ndots, same in groupby(groups, key=lambda g: g.ndots):
        for number, group in enumerate(same, 1):
            yield group, f"pcapkit-dns-ndots-{ndots}" + (f"-{number}" if number > 1 else "")


# ---- patches of workloads ---------------------------------------------------------------------


def _ndots(ndots: int) -> dict[str, object]:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return {"name": "ndots", "value": DoubleQuotedScalarString(str(ndots))}


def _below(path: Sequence[str], value: object) -> dict[str, object]:
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def _by_path(workloads: Iterable[_Workload]) -> dict[tuple[str, ...], list[tuple[str, _Workload]]]:
    """Sort workloads, once for each kind that they may be, by where their pods' spec stands."""
    out: dict[tuple[str, ...], list[tuple[str, _Workload]]] = defaultdict(list)
    for workload in workloads:
        for kind in workload.kinds:
            out[_KINDS[kind][2]].append((kind, workload))
    return out


def _workload_patches(groups: Iterable[_Group]) -> Iterator[tuple[str, dict[str, object]]]:
    for group in groups:
        for path, members in _by_path(group.workloads).items():
            yield (
                group.comment(*_instructions(*members[0]), _OPTIONS),
                _below(path, group.pod_spec()),
            )


def _instructions(kind: str, workload: _Workload) -> tuple[str, ...]:
    """Return how a patch is applied and rolled back, shown with one workload."""
    what = f"-n {workload.namespace} {{}} {kind.lower()} {workload.name}"
    if kind in _FIXED:
        return (
            f"merge it into each manifest, and create the {kind} again: its pods' settings cannot",
            "be changed; roll back: create it from the manifest as it was",
        )
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        undo = f"kubectl {what.format('rollout undo')}"
    else:
        undo = f"kubectl apply the {kind} as it was"
    return (f"for each: kubectl {what.format('patch')} --patch-file FILE", f"roll back: {undo}")


def _kustomize(groups: Iterable[_Group]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield entries of a kustomization.yaml: one for the workloads of a kind in a namespace."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    for group in groups:
        patches: list[dict[str, object]] = []
        for path, members in _by_path(group.workloads).items():
            together: dict[tuple[str, str], list[str]] = defaultdict(list)
            for kind, workload in members:
                together[kind, workload.namespace].append(workload.name)
            for (kind, namespace), names in together.items():
                version = _version(kind)
                body: dict[str, object] = {
                    "apiVersion": version,
                    "kind": kind,
                    "metadata": {"name": "any"},
                }
                body |= _below(path, group.pod_spec())
                choice = "|".join(name.replace(".", r"\.") for name in names)
                pattern = choice if len(names) == 1 else f"({choice})"
                target = {
                    "kind": kind,
                    "name": DoubleQuotedScalarString(pattern),
                    "namespace": DoubleQuotedScalarString(namespace),
                }
                text = LiteralScalarString(_documents([("", body)]).rstrip("\n"))
                patches.append({"target": target, "patch": text})
        yield (
            group.comment("roll back: take these entries out again", _OPTIONS),
            {"patches": patches},
        )


def _version(kind: str) -> str:
    group = _KINDS[kind][0]
    return f"{group}/v1" if group else "v1"


def _helm(groups: Sequence[_Group]) -> Iterator[str]:
    for group in groups:
        lines = group.comment("roll back: helm rollback RELEASE").split("\n")
        yield "".join(f"# {line}\n" for line in lines)
        if group.list_of is None:
            yield helm_values((("ndots", str(group.ndots)),))
        else:
            yield _documents([("", group.pod_spec())])
        if group is not groups[-1]:
            yield "---\n"


# ---- policies ---------------------------------------------------------------------------------

_POLICY_BACK = (
    "roll back: kubectl delete -f FILE, then take dnsConfig out of what was changed",
    "(kubectl rollout undo)",
)


def _kyverno(group: _Group, name: str) -> tuple[str, dict[str, object]]:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    rules = []
    for number, (path, members) in enumerate(_by_path(group.workloads).items(), 1):
        together: dict[tuple[str, str], list[str]] = defaultdict(list)
        for kind, workload in members:
            together[kind, workload.namespace].append(workload.name)
        chosen = [
            {
                "resources": {
                    "kinds": [f"{_version(kind)}/{kind}"],
                    "namespaces": [DoubleQuotedScalarString(namespace)],
                    "names": [DoubleQuotedScalarString(n) for n in names],
                    "operations": _operations(kind),
                }
            }
            for (kind, namespace), names in together.items()
        ]
        there = ".".join(("request.object", *path, "dnsConfig.options"))
        options = (
            f"{{{{ [{there}[?name != 'ndots'] || `[]`, "
            f'`[{{"name": "ndots", "value": "{group.ndots}"}}]`][] }}}}'
        )
        patch = _below((*path, "dnsConfig"), {"options": options})
        rules.append(
            {
                "name": f"ndots-{number}",
                "match": {"any": chosen},
                "mutate": {"patchStrategicMerge": patch},
            }
        )
    return group.comment(*_CREATE_AGAIN, *_POLICY_BACK), {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {
            "name": name,
            "annotations": {"pod-policies.kyverno.io/autogen-controllers": "none"},
        },
        "spec": {"failurePolicy": "Ignore", "rules": rules},
    }


def _operations(kind: str) -> list[str]:
    return ["CREATE"] if kind in _FIXED else ["CREATE", "UPDATE"]


def _admission(group: _Group, name: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield a MutatingAdmissionPolicy and its binding."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    kinds = sorted({kind for w in group.workloads for kind in w.kinds}, key=list(_KINDS).index)
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for kind in kinds:
        rules[_KINDS[kind][0], tuple(_operations(kind))].append(_KINDS[kind][1])
    wanted = ",\n  ".join(
        f'"{kind} {workload}"' for workload in group.workloads for kind in workload.kinds
    )
    paths: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for kind in kinds:
        paths[_KINDS[kind][2]].append(kind)
    spec: dict[str, object] = {
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {
            "namespaceSelector": {
                "matchExpressions": [
                    {
                        "key": "kubernetes.io/metadata.name",
                        "operator": "In",
                        "values": [
                            DoubleQuotedScalarString(n)
                            for n in sorted({w.namespace for w in group.workloads})
                        ],
                    }
                ]
            },
            "resourceRules": [
                {
                    "apiGroups": [DoubleQuotedScalarString(api)],
                    "apiVersions": ["v1"],
                    "operations": list(operations),
                    "resources": plurals,
                }
                for (api, operations), plurals in rules.items()
            ],
        },
        "matchConditions": [
            {
                "name": "workloads",
                "expression": LiteralScalarString(
                    "has(object.metadata.name) &&\n"
                    '(request.kind.kind + " " + request.namespace + "/" + object.metadata.name) in '
                    f"[\n  {wanted}\n]"
                ),
            }
        ],
        "variables": [
            {"name": "at", "expression": _choice(paths, lambda p: f'"/{"/".join(p)}/dnsConfig"')},
            {"name": "pod", "expression": _choice(paths, lambda p: f"object.{'.'.join(p)}")},
        ],
        "mutations": [
            {
                "patchType": "JSONPatch",
                "jsonPatch": {"expression": LiteralScalarString(_json_patch(group.ndots))},
            }
        ],
    }
    yield (
        group.comment(*_CREATE_AGAIN, *_POLICY_BACK),
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": spec,
        },
    )
    yield (
        "",
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    )


def _choice(paths: Mapping[tuple[str, ...], Sequence[str]], say: Any) -> str:
    """Return a CEL expression that chooses by kind; the last path is for all other kinds."""
    *first, (last, _) = paths.items()
    out = "".join(
        " || ".join(f'request.kind.kind == "{kind}"' for kind in kinds) + f" ? {say(path)} : "
        for path, kinds in first
    )
    return f"{out}{say(last)}"


def _json_patch(ndots: int) -> str:
    """Return a CEL expression that adds the option, or changes it where it is there."""
    option = f'{{"name": "ndots", "value": "{ndots}"}}'
    there = "variables.pod.dnsConfig.options"
    return (
        "!has(variables.pod.dnsConfig) ?\n"
        f'  [JSONPatch{{op: "add", path: variables.at, value: {{"options": [{option}]}}}}] :\n'
        f"!has({there}) ?\n"
        f'  [JSONPatch{{op: "add", path: variables.at + "/options", value: [{option}]}}] :\n'
        f'{there}.exists(o, o.name == "ndots") ?\n'
        '  [JSONPatch{op: "add", path: variables.at + "/options/" +\n'
        f'    string({there}.map(o, o.name).indexOf("ndots")) + "/value", value: "{ndots}"}}] :\n'
        f'  [JSONPatch{{op: "add", path: variables.at + "/options/-", value: {option}}}]'
    )


# ---- names, and printing ----------------------------------------------------------------------


def _list(steps: Iterable[Step]) -> str:
    """Return the names to write in full, by who must write them."""
    by_subjects: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for step in steps:
        pairs = dict(step.names)
        if step.code in _NAMES and step.name and step.fqdn:
            pairs[step.name] = step.fqdn
        names = {n: f for n, f in pairs.items() if is_host_name(n) and is_host_name(f)}
        if names:
            by_subjects[step.subjects] |= names
    out = []
    for subjects, names in by_subjects.items():
        shown = [s for s in subjects if _TITLE.fullmatch(s)]
        out.append(f"# in {some(shown, len(subjects))}\n" + replacements(names))
    if out:
        out.append("# roll back: write the left one again\n")
    return "".join(out)


def _documents(documents: Iterable[tuple[str, dict[str, object]]]) -> str:
    """Print documents one after the other, each below its comment."""
    texts = []
    for comment, document in documents:
        out = StringIO()
        printer().dump(_commented(document, comment), out)
        texts.append(out.getvalue())
    return "---\n".join(texts)


def _commented(document: Mapping[str, object], comment: str) -> CommentedMap:
    from ruamel.yaml.comments import CommentedMap

    out = CommentedMap(document)
    if comment:
        out.yaml_set_start_comment(comment)
    return out
