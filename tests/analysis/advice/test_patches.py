"""Text to paste: it parses, and what it is merged into is a valid object of its kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from pcapkit.analysis.advice import patches

OPTIONS = (("ndots", "2"), ("no-aaaa", None))
POD = {
    "metadata": {"labels": {"app": "shop"}},
    "spec": {"containers": [{"name": "shop", "image": "shop:1"}]},
}


def workload(kind: str) -> dict[str, Any]:
    """Return the least object of a kind."""
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "shop"}}, "template": POD}
    if kind == "StatefulSet":
        spec["serviceName"] = "shop"
    if kind == "CronJob":
        pod = {**POD, "spec": {**POD["spec"], "restartPolicy": "Never"}}
        spec = {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": pod}}}
    version = "batch/v1" if kind == "CronJob" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "shop"}, "spec": spec}


def merged(base: Any, patch: Any) -> Any:
    """Merge maps key by key, as a strategic merge does; lists here are new."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {
            k: merged(base.get(k), patch[k]) if k in patch else base[k]
            for k in (*base, *(k for k in patch if k not in base))
        }
    return patch


def options_of(obj: dict[str, Any]) -> Any:
    spec = obj["spec"]
    spec = spec["jobTemplate"]["spec"] if obj["kind"] == "CronJob" else spec
    return spec["template"]["spec"]["dnsConfig"]["options"]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "CronJob"])
def test_a_patched_workload_is_valid(kind: str) -> None:
    text = patches.cronjob_patch(OPTIONS) if kind == "CronJob" else patches.workload_patch(OPTIONS)
    done = merged(workload(kind), yaml.safe_load(text))
    assert options_of(done) == [{"name": "ndots", "value": "2"}, {"name": "no-aaaa"}]
    assert done["metadata"] == {"name": "shop"}
    schemas = pytest.importorskip("kubernetes_validate")
    schemas.validate(done, schemas.latest_version(), strict=True)


def test_kustomize() -> None:
    """Fields of kustomization.yaml: patches, target, patch."""
    entries = yaml.safe_load(patches.kustomize_patch(OPTIONS))["patches"]
    assert [e["target"]["kind"] for e in entries] == ["Deployment", "StatefulSet", "DaemonSet"]
    for entry in entries:
        inner = yaml.safe_load(entry["patch"])
        assert (inner["kind"], inner["apiVersion"]) == (entry["target"]["kind"], "apps/v1")
        assert options_of(merged(workload(inner["kind"]), inner))[0]["value"] == "2"


def test_helm() -> None:
    assert yaml.safe_load(patches.helm_values(OPTIONS)) == {
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}, {"name": "no-aaaa"}]}
    }


def test_kyverno() -> None:
    """Fields of ClusterPolicy: rules, match.any.resources, mutate.patchStrategicMerge."""
    policy = yaml.safe_load(patches.kyverno_policy("shop", OPTIONS) or "")
    assert (policy["apiVersion"], policy["kind"]) == ("kyverno.io/v1", "ClusterPolicy")
    (rule,) = policy["spec"]["rules"]
    resources = rule["match"]["any"][0]["resources"]
    assert resources == {"kinds": ["Pod"], "namespaces": ["shop"], "operations": ["CREATE"]}
    pod = rule["mutate"]["patchStrategicMerge"]
    assert pod["spec"]["dnsConfig"]["options"][0] == {"name": "ndots", "value": "2"}


@pytest.mark.parametrize("name", ["*", "a: b", "x\n- y", "", "A", "-a", 'q"', "a" * 64])
def test_a_namespace_that_is_none_gets_no_policy(name: str) -> None:
    assert patches.kyverno_policy(name, OPTIONS) is None
    assert "kyverno" not in patches.option_patches(name, OPTIONS)


def test_policies_of_numbers_stay_text() -> None:
    policy = yaml.safe_load(patches.kyverno_policy("123", OPTIONS) or "")
    assert policy["spec"]["rules"][0]["match"]["any"][0]["resources"]["namespaces"] == ["123"]


def test_corefile_snippets_name_their_plugins() -> None:
    assert "pods verified" in patches.coredns_autopath("cluster.local")
    assert "autopath @kubernetes" in patches.coredns_autopath("cluster.local")
    assert "rcode NOERROR" in patches.coredns_no_aaaa()
    assert "denial 9984 5" in patches.coredns_cache()
    for text in (patches.coredns_autopath("z"), patches.coredns_no_aaaa(), patches.coredns_cache()):
        assert text.count("{") == text.count("}")


def test_the_kubelet_configuration() -> None:
    config = yaml.safe_load(patches.kubelet_resolv_conf())
    assert (config["kind"], config["apiVersion"]) == (
        "KubeletConfiguration",
        "kubelet.config.k8s.io/v1beta1",
    )
    assert json.dumps(config["resolvConf"]).startswith('"/')


def test_replacements_are_one_a_line() -> None:
    assert patches.replacements({"a.b": "a.b.svc.z."}) == "a.b -> a.b.svc.z.\n"
