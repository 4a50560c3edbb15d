"""A plan as text to paste: what it is applied to is valid, and it selects no other workload."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from pcapkit.analysis.advice.plan_patches import PodDns, plan_patches
from pcapkit.model.vocabulary import Safety
from tests.analysis.advice.test_patches import merged
from tests.manifests.plans import DB, drop, in_full, plan, set_ndots

TEMPLATE = {
    "metadata": {"labels": {"app": "any"}},
    "spec": {"containers": [{"name": "any", "image": "any:1"}], "restartPolicy": "Always"},
}
KINDS = {
    "shop/web": "Deployment",
    "shop/api": "Deployment",
    "shop/db": "StatefulSet",
    "node/agent": "DaemonSet",
    "shop/set": "ReplicaSet",
    "night/report": "CronJob",
    "night/once": "Job",
    "shop/one": "Pod",
}
VERSIONS = {"CronJob": "batch/v1", "Job": "batch/v1", "Pod": "v1"}
PATHS = {"Pod": ("spec",), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec")}
PLAN = plan(set_ndots(2, *KINDS))


def workload(kind: str, namespace: str, name: str) -> dict[str, Any]:
    """Return the least object of a kind."""
    never = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    selector = {"matchLabels": {"app": "any"}}
    specs: dict[str, Any] = {
        "StatefulSet": {"serviceName": "any", "selector": selector, "template": TEMPLATE},
        "CronJob": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": never}}},
        "Job": {"template": never},
        "Pod": TEMPLATE["spec"],
    }
    return {
        "apiVersion": VERSIONS.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": specs.get(kind, {"selector": selector, "template": TEMPLATE}),
    }


def options_of(obj: dict[str, Any]) -> Any:
    for key in PATHS.get(obj["kind"], ("spec", "template", "spec")):
        obj = obj[key]
    return obj["dnsConfig"]["options"]


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def valid(obj: dict[str, Any]) -> None:
    schemas = pytest.importorskip("kubernetes_validate")
    if tuple(map(int, schemas.latest_version().split(".")[:2])) < (1, 36):
        if obj["kind"].startswith("Mutating"):
            pytest.skip("these schemas are older than MutatingAdmissionPolicy v1")
    schemas.validate(obj, schemas.latest_version(), strict=True)


def by_kyverno(policies: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the workloads that policies select, with their kinds."""
    out = set()
    for policy in policies:
        for rule in policy["spec"]["rules"]:
            for one in rule["match"]["any"]:
                chosen = one["resources"]
                assert set(chosen) == {"kinds", "namespaces", "names", "operations"}
                for kind in chosen["kinds"]:
                    for namespace in chosen["namespaces"]:
                        out |= {(kind.split("/")[-1], f"{namespace}/{n}") for n in chosen["names"]}
    return out


def by_admission(policies: list[dict[str, Any]]) -> set[tuple[str, str]]:
    out = set()
    for policy in policies:
        if policy["kind"] == "MutatingAdmissionPolicy":
            (condition,) = policy["spec"]["matchConditions"]
            listed = json.loads(condition["expression"].split(" in ")[1])
            out |= {tuple(text.split(" ")) for text in listed}
    return out


@pytest.mark.parametrize("subject", KINDS)
def test_a_patched_workload_is_valid(subject: str) -> None:
    kind, (namespace, name) = KINDS[subject], subject.split("/")
    texts = plan_patches(plan(set_ndots(2, subject)), KINDS)
    base = workload(kind, namespace, name)
    (patch,) = documents(texts["workload"])
    (entry,) = documents(texts["kustomize"])[0]["patches"]
    assert entry["target"] == {"kind": kind, "name": name, "namespace": namespace}
    inner = yaml.safe_load(entry["patch"])
    assert (inner.pop("apiVersion"), inner.pop("kind")) == (base["apiVersion"], kind)
    assert inner.pop("metadata") == {"name": "any"}
    assert documents(texts["helm"]) == [{"dnsConfig": {"options": options_of(merged(base, patch))}}]
    for one in (patch, inner):
        done = merged(base, one)
        assert options_of(done) == [{"name": "ndots", "value": "2"}]
        valid(done)
    said = {line for text in texts.values() for line in text.splitlines() if line.startswith("#")}
    assert any("roll back" in line for line in said)
    for text in texts.values():
        assert "roll back" in text
    if kind in ("Pod", "Job"):
        assert "create" in texts["workload"] and "cannot" in texts["workload"]


@pytest.mark.parametrize("subject", KINDS)
@pytest.mark.parametrize("ndots", [None, 2])
def test_a_shorter_list_is_written_out(subject: str, ndots: int | None) -> None:
    """With dnsPolicy None nothing comes from the cluster: also ndots would be 1."""
    kind, (namespace, name) = KINDS[subject], subject.split("/")
    search = (f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local", "x.internal")
    dns = {subject: PodDns(("10.96.0.10",), search, 5)}
    steps = [drop(("x.internal",), subject), *([set_ndots(ndots, subject)] if ndots else [])]
    texts = plan_patches(plan(*steps), KINDS, dns)
    given = {
        "nameservers": ["10.96.0.10"],
        "searches": list(search[:3]),
        "options": [{"name": "ndots", "value": str(ndots or 5)}],
    }
    base = workload(kind, namespace, name)
    for patch in documents(texts["workload"]):
        base = merged(base, patch)
    valid(base)
    spec = base
    for key in PATHS.get(kind, ("spec", "template", "spec")):
        spec = spec[key]
    assert (spec["dnsPolicy"], spec["dnsConfig"]) == ("None", given)
    assert documents(texts["helm"])[-1] == {"dnsPolicy": "None", "dnsConfig": given}
    (entry,) = documents(texts["kustomize"])[-1]["patches"]
    assert "dnsPolicy" in entry["patch"]
    assert "kubelet" in texts["workload"]
    for policy in ("kyverno", "mutating_admission_policy"):
        assert "searches" not in texts.get(policy, "")
    evil = {subject: PodDns(("10.96.0.10",), ("x\nkind: Pod",), 5)}
    assert "kind: Pod" not in str(plan_patches(plan(steps[0]), KINDS, evil))


def test_policies_are_valid_and_stop_nothing() -> None:
    texts = plan_patches(PLAN, KINDS)
    policy, binding = documents(texts["mutating_admission_policy"])
    valid(policy)
    valid(binding)
    assert policy["apiVersion"] == binding["apiVersion"] == "admissionregistration.k8s.io/v1"
    assert binding["spec"] == {"policyName": policy["metadata"]["name"]}
    assert policy["spec"]["failurePolicy"] == "Ignore"
    (kyverno,) = documents(texts["kyverno"])
    assert kyverno["spec"]["failurePolicy"] == "Ignore"
    for text in (texts["kyverno"], texts["mutating_admission_policy"]):
        assert "it must be created again" in text


def test_policies_select_the_safe_workloads_and_no_others() -> None:
    """Also where one namespace has a name that another has too."""
    made = plan(
        set_ndots(2, "a/web", "b/api"),
        set_ndots(2, "b/web", safety=Safety.REVIEW),
        set_ndots(3, "a/api"),
        set_ndots(3, "a/db", safety=Safety.UNSAFE),
        set_ndots(2, "c", "10.0.0.1"),
    )
    kinds = dict.fromkeys(("a/web", "b/api", "b/web", "a/api", "a/db"), "Deployment")
    texts = plan_patches(made, kinds)
    safe = {("Deployment", s) for s in ("a/web", "b/api", "a/api")}
    assert by_kyverno(documents(texts["kyverno"])) == safe
    assert by_admission(documents(texts["mutating_admission_policy"])) == safe
    names = [p["metadata"]["name"] for p in documents(texts["kyverno"])]
    assert len(set(names)) == len(names) == 2
    assert "a/db" not in "".join(texts.values())


def test_kinds_are_told_apart() -> None:
    texts = plan_patches(PLAN, KINDS)
    wanted = {(kind, subject) for subject, kind in KINDS.items()}
    assert by_kyverno(documents(texts["kyverno"])) == wanted
    policy, _ = documents(texts["mutating_admission_policy"])
    assert by_admission([policy]) == wanted
    rules = policy["spec"]["matchConstraints"]["resourceRules"]
    at = {
        plural: (rule["apiGroups"], rule["operations"])
        for rule in rules
        for plural in rule["resources"]
    }
    assert at["deployments"] == (["apps"], ["CREATE", "UPDATE"])
    assert at["cronjobs"] == (["batch"], ["CREATE", "UPDATE"])
    assert at["pods"] == ([""], ["CREATE"]) and at["jobs"] == (["batch"], ["CREATE"])
    (chosen,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert chosen["values"] == ["night", "node", "shop"]


def test_options_that_are_there_stay() -> None:
    """Lists of options are atomic: a policy changes one item, or keeps the others."""
    texts = plan_patches(plan(set_ndots(2, "shop/web")), KINDS)
    policy, _ = documents(texts["mutating_admission_policy"])
    (mutation,) = policy["spec"]["mutations"]
    assert mutation["patchType"] == "JSONPatch"
    expression = mutation["jsonPatch"]["expression"]
    assert re.findall(r'op: "(\w+)"', expression) == ["add"] * 4
    paths = re.findall(r'variables\.at \+ "([^"]+)"', expression)
    assert paths == ["/options", "/options/", "/options/-"]
    (rule,) = documents(texts["kyverno"])[0]["spec"]["rules"]
    patch = rule["mutate"]["patchStrategicMerge"]["spec"]["template"]["spec"]["dnsConfig"]
    assert "dnsConfig.options[?name != 'ndots']" in patch["options"]


def test_names_in_full_are_listed_by_who_writes_them() -> None:
    made = plan(
        set_ndots(1, "shop/web", names=DB),
        in_full("api.github.com", "api.github.com.", "shop/web", "shop/api"),
    )
    texts = plan_patches(made, KINDS)
    assert texts["list"].splitlines()[:4] == [
        "# in shop/web",
        "db.prod -> db.prod.svc.cluster.local",
        "# in shop/web, shop/api",
        "api.github.com -> api.github.com.",
    ]
    for shape in ("workload", "kustomize", "helm", "kyverno", "mutating_admission_policy"):
        assert "db.prod -> db.prod.svc.cluster.local" in texts[shape]


@pytest.mark.parametrize(
    "bad", ['"; rm -rf /', "a\nkind: Pod", "x: {", "a/b/c", "*", "{{x}}", "a b", "-x", "", "é"]
)
def test_names_that_are_code_add_nothing(bad: str) -> None:
    good = plan(set_ndots(2, "shop/web"), in_full("redis", "redis.shop.svc.cluster.local."))
    evil = plan(
        set_ndots(2, "shop/web", f"shop/{bad}", f"{bad}/web", bad),
        in_full("redis", "redis.shop.svc.cluster.local."),
        in_full(bad, "x."),
        in_full("x", f"{bad}.svc.cluster.local"),
        set_ndots(1, "shop/api", names={"x.y": bad}),
    )
    assert plan_patches(evil, KINDS) == plan_patches(good, KINDS)


def test_a_plan_that_nothing_follows_has_no_text() -> None:
    assert plan_patches(plan(set_ndots(2, "shop", "10.0.0.1")), {}) == {}
    assert plan_patches(plan(set_ndots(2, "shop/web")), {"shop/web": "Rollout"}) == {}


def test_equal_steps_are_one_group() -> None:
    subjects = [f"n{i % 9}/w{i}" for i in range(300)]
    texts = plan_patches(
        plan(*(set_ndots(2, s) for s in subjects)), dict.fromkeys(subjects, "Deployment")
    )
    assert len(documents(texts["workload"])) == len(documents(texts["helm"])) == 1
    assert len(documents(texts["kustomize"])[0]["patches"]) == 9
    assert len(documents(texts["kyverno"])) == 1
    assert by_kyverno(documents(texts["kyverno"])) == {("Deployment", s) for s in subjects}
