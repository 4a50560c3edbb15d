"""Folders of manifests whose pods get a shorter search list; their diffs stand in ``expected/``."""

from __future__ import annotations

from pcapkit.cluster.nameservers import Nameservers
from pcapkit.model.clients import Client
from pcapkit.model.vocabulary import Safety
from tests.manifests.plans import WEB, client, drop, set_ndots
from tests.manifests.trees import CHART, KUSTOMIZE, Case, deployment

CLUSTER = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
GONE = ("google.internal",)
STEP = drop(GONE)
NODE = (*CLUSTER, "c.p.internal", *GONE)
COMPARE = "compare nameservers, searches and options of web.yaml with /etc/resolv.conf of a pod"
CONTAINERS = "      containers:\n        - name: app\n          image: app:1\n"


def pod(search: tuple[str, ...] = NODE, **more: object) -> Client:
    return client(search=search, **more)  # type: ignore[arg-type]


def written(spec: str, *says: str, steps: tuple[object, ...] = (STEP,), **more: object) -> Case:
    """Return one workload whose pods have these lines in their spec."""
    files = {"web.yaml": deployment(spec + CONTAINERS)}
    more = {"clients": (pod(),), "include_review": True, **more}
    return Case(files, steps, says, **more)  # type: ignore[arg-type]


STAGE = client("stage", search=("stage.svc.cluster.local", *NODE[1:]), address="10.0.0.2")
POLICY = '{{ .Values.dnsPolicy | default "ClusterFirst" }}'
POLICY_TEMPLATE = CHART["chart/templates/deployment.yaml"].replace(
    "      {{- with", f"      dnsPolicy: {POLICY}\n      {{{{- with"
)

LISTS: dict[str, Case] = {
    "list_shorter": written("", COMPARE),
    "list_and_ndots": written("      # DNS\n", COMPARE, steps=(set_ndots(2), STEP)),
    "list_review_left_out": written(
        "",
        "step 2 (drop_suffix) is left out: it is review; --include-review takes it",
        steps=(set_ndots(2), STEP),
        include_review=False,
    ),
    "list_unsafe": written(
        "",
        "step 1 (drop_suffix) is left out: it is unsafe",
        steps=(drop(GONE, safety=Safety.UNSAFE),),
    ),
    "list_that_is_no_name": written(
        "", "step 1 (drop_suffix) is left out: it has a name that is no", steps=(drop(("a: {b",)),)
    ),
    "list_nameservers_unknown": written(
        "",
        "shop/web: web.yaml: which of 10.0.0.3, 10.0.0.4 its pods have is not known; google.inte",
        nameservers=Nameservers((), "which of 10.0.0.3, 10.0.0.4 its pods have is not known"),
        steps=(STEP, set_ndots(2)),
    ),
    "list_of_several": written(
        "",
        "its pods have several search lists; google.internal (step 1) is not taken out",
        clients=(pod(), pod(CLUSTER + GONE, address="10.0.0.2")),
    ),
    "list_policy_cluster_first": written(
        "      dnsPolicy: ClusterFirst # as usual\n      dnsConfig:\n        # slow networks\n"
        "        options:\n        - name: timeout\n          value: '1'\n        nameservers:\n"
        "        - 10.0.0.53 # the old one\n",
        COMPARE,
    ),
    "list_options_kept": written(
        "      dnsConfig: {options: [{name: edns0}, {name: ndots, value: '3'}]}\n", COMPARE
    ),
    "list_of_its_own": written(
        "      dnsConfig:\n        searches:\n        - corp.example # ours\n"
        "        # the cloud's\n        - google.internal\n",
        clients=(pod((*CLUSTER, "corp.example", *GONE)),),
    ),
    "list_of_its_own_alone": written(
        "      dnsConfig:\n        searches: # more\n        - google.internal\n",
        clients=(pod((*CLUSTER, *GONE)),),
        nameservers=Nameservers((), "unknown"),
    ),
    "list_of_its_own_and_the_nodes": written(
        "      dnsConfig:\n        searches:\n        - corp.example # ours\n"
        "        - google.internal\n",
        COMPARE,
        steps=(drop(("c.p.internal", *GONE)),),
        clients=(pod((*CLUSTER, "c.p.internal", "corp.example", *GONE)),),
    ),
    "list_of_its_own_in_brackets": written(
        "      dnsConfig: {searches: [corp.example, google.internal]}\n",
        clients=(pod((*CLUSTER, "corp.example", *GONE)),),
    ),
    "list_of_policy_none": written(
        "      dnsPolicy: 'None'\n      dnsConfig:\n        nameservers: [10.0.0.53]\n"
        "        searches:\n        - shop.svc.cluster.local\n        - google.internal\n"
        "        - svc.cluster.local\n",
        clients=(pod(("shop.svc.cluster.local", *GONE, "svc.cluster.local")),),
        nameservers=Nameservers((), "unknown"),
    ),
    "list_of_policy_none_already": written(
        "      dnsPolicy: None\n      dnsConfig:\n        nameservers: [10.0.0.53]\n"
        "        searches: [shop.svc.cluster.local]\n",
        "shop/web: google.internal is in no list of web.yaml",
    ),
    "list_of_policy_default": written(
        "      dnsPolicy: Default\n",
        "dnsPolicy Default: its list is the node's, not one of the man",
    ),
    "list_on_the_host": written(
        "      hostNetwork: true\n      dnsPolicy: ClusterFirstWithHostNet\n",
        "its pods are in the host's network, where the list is another; google.internal (step 1)",
    ),
    "list_on_the_host_by_default": written(
        "      hostNetwork: true\n", "its pods are in the host's network, where the list is another"
    ),
    "list_of_another_policy": written(
        "",
        "its pods were seen with dnsPolicy None, the manifest says ClusterFirst",
        clients=(pod(policy="None"),),
    ),
    "list_four_nameservers": written(
        "      dnsConfig:\n        nameservers: [10.0.0.51, 10.0.0.52, 10.0.0.53]\n",
        "with those of the cluster it has 4 nameservers, 3 are most",
    ),
    "list_in_json": Case(
        {
            "web.json": '{\n  "apiVersion": "v1",\n  "kind": "Pod",\n  "metadata": {\n'
            '    "name": "web",\n    "namespace": "shop"\n  },\n  "spec": {\n'
            '    "dnsPolicy": "ClusterFirst",\n    "containers": []\n  }\n}\n'
        },
        (STEP, set_ndots(2)),
        ("shop/web: a Pod that exists keeps its pods' settings: it must be created again",),
        clients=(pod(kind="Pod"),),
        include_review=True,
    ),
    "list_of_a_cron_job": Case(
        {
            "job.yaml": "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: web\n"
            "  namespace: shop\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n"
            "          dnsConfig: {}\n          containers: []\n"
        },
        (STEP,),
        clients=(pod(kind="CronJob"),),
        include_review=True,
    ),
    "list_behind_an_anchor": written(
        "      dnsConfig: &dns\n        options: []\n      x: *dns\n",
        "dnsConfig is shared by an anchor; google.internal (step 1) is not taken out",
    ),
    "list_of_two_namespaces": Case(
        {
            "chart/Chart.yaml": CHART["chart/Chart.yaml"],
            "chart/values.yaml": CHART["chart/values.yaml"],
            "chart/templates/deployment.yaml": POLICY_TEMPLATE,
        },
        (drop(GONE, WEB, "stage/web"),),
        ("chart/values.yaml deploys shop/web, stage/web, which have or want another search list",),
        clients=(pod(), STAGE),
        include_review=True,
    ),
    "list_of_an_open_namespace": Case(
        {"web.yaml": deployment(namespace=None)},
        (STEP,),
        ("web.yaml: its list is that of namespace shop, and it may be deployed to others; google",),
        clients=(pod(),),
        include_review=True,
    ),
    "list_deployed_twice": Case(
        {
            "web.yaml": deployment(),
            "a/kustomization.yaml": "resources: [../web.yaml]\n",
            "b/kustomization.yaml": "resources: [../web.yaml]\nnamespace: stage\n",
        },
        (STEP, set_ndots(2)),
        ("web.yaml: its list is that of namespace shop, and it may be deployed to others; google",),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_helm": Case(
        {**CHART, "chart/templates/deployment.yaml": POLICY_TEMPLATE},
        (STEP, set_ndots(2)),
        ("chart/values.yaml: its list is that of namespace shop, and it may be deployed to oth",),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_helm_of_its_own": Case(
        {
            **CHART,
            "chart/values.yaml": "dnsPolicy: None\ndnsConfig:\n  nameservers:\n  - 10.0.0.53\n"
            "  searches:\n  - google.internal # the cloud\n  - corp.example\n",
            "chart/templates/deployment.yaml": POLICY_TEMPLATE,
        },
        (STEP, set_ndots(2)),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_helm_of_the_node": Case(
        {
            **CHART,
            "chart/templates/deployment.yaml": POLICY_TEMPLATE.replace(
                '{{ .Values.dnsPolicy | default "ClusterFirst" }}', "Default"
            ),
        },
        (STEP,),
        ("dnsPolicy Default: its list is the node's",),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_helm_on_the_host": Case(
        {
            **CHART,
            "chart/templates/deployment.yaml": POLICY_TEMPLATE
            + "      hostNetwork: {{ .Values.onHost }}\n",
            "chart/values.yaml": CHART["chart/values.yaml"] + "onHost: true\n",
        },
        (STEP,),
        ("its pods are in the host's network",),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_an_overlay": Case(
        KUSTOMIZE,
        (STEP, set_ndots(2)),
        ("of overlays/shop/kustomization.yaml with /etc/resolv.conf",),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_a_patch": Case(
        {
            **KUSTOMIZE,
            "overlays/shop/kustomization.yaml": "namespace: shop\nresources:\n  - ../../base\n"
            "patches:\n  - path: dns.yaml\n",
            "overlays/shop/dns.yaml": deployment("      dnsPolicy: ClusterFirst\n", namespace=None),
        },
        (STEP,),
        clients=(pod(),),
        include_review=True,
    ),
    "list_by_a_patch_inside": Case(
        {
            **KUSTOMIZE,
            "overlays/shop/kustomization.yaml": "namespace: shop\nresources:\n  - ../../base\n"
            "patches:\n  - target: {kind: Deployment}\n    patch: |-\n      - op: add\n"
            "        path: /spec/template/spec/hostNetwork\n        value: true\n",
        },
        (STEP,),
        ("a patch in it sets hostNetwork already",),
        clients=(pod(),),
        include_review=True,
    ),
}
