"""Small folders of manifests, each with a plan; what becomes of them stands in ``expected/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pcapkit.cluster.nameservers import Nameservers
from pcapkit.model.clients import Client
from pcapkit.model.plans import Step
from pcapkit.model.vocabulary import Safety
from tests.manifests.plans import DB, SERVER, WEB, client, in_full, set_ndots


@dataclass(frozen=True)
class Case:
    """A folder, the steps of its plan, its clients, and what must be said (parts of notes)."""

    files: Mapping[str, str]
    steps: tuple[Step, ...] = (set_ndots(2),)
    says: tuple[str, ...] = ()
    clients: tuple[Client, ...] = (client(),)
    asked: Mapping[str, frozenset[str]] | None = None
    include_review: bool = False
    nameservers: Nameservers = SERVER


def deployment(
    spec: str = "", *, name: str = "web", namespace: str | None = "shop", kind: str = "Deployment"
) -> str:
    """Return a plain workload; ``spec`` are lines below the pod's spec."""
    lines = ["apiVersion: apps/v1", f"kind: {kind}", "metadata:", f"  name: {name}"]
    if namespace is not None:
        lines.append(f"  namespace: {namespace}")
    lines += ["spec:", "  template:", "    spec:"]
    return "\n".join(lines) + "\n" + (spec or _CONTAINERS)


_CONTAINERS = """\
      containers:
        - name: app
          image: app:1
"""

ENV = """\
      containers:
        - name: app
          image: app:1
          env:
            - name: ROLE
              value: redis
            - name: REDIS_HOST
              value: redis
            - name: DB
              value: "db.prod"
            - name: DB_URL
              value: postgres://user@db.prod:5432/app
            - name: CACHE
              value: redis:6379
"""
REDIS = {"redis": "redis.shop.svc.cluster.local"}

KUSTOMIZE: dict[str, str] = {
    "base/kustomization.yaml": "resources:\n- web.yaml\n",
    "base/web.yaml": deployment(
        "      dnsConfig:\n        options:\n        - name: timeout\n          value: '1'\n"
        + _CONTAINERS,
        namespace=None,
    ),
    "overlays/shop/kustomization.yaml": "# the shop\nnamespace: shop\nresources:\n- ../../base\n",
    "overlays/stage/kustomization.yaml": "namespace: stage\nresources: [../../base]\n",
}

CHART: dict[str, str] = {
    "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "chart/values.yaml": (
        "# how many\nreplicas: 2\n\ndnsConfig: {}\n\ndatabase:\n  host: db.prod  # the primary\n"
        "secrets:\n  host: db.prod\n"
    ),
    "chart/templates/deployment.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}-web\n"
        "spec:\n  template:\n    spec:\n      {{- with .Values.dnsConfig }}\n      dnsConfig:\n"
        "        {{- toYaml . | nindent 8 }}\n      {{- end }}\n"
    ),
}

PLAIN: dict[str, Case] = {
    "plain": Case({"web.yaml": deployment()}),
    "names": Case(
        {"web.yaml": deployment(ENV)},
        (
            in_full("db.prod", "db.prod.svc.cluster.local."),
            in_full("redis", "redis.shop.svc.cluster.local."),
        ),
        (
            "web.yaml:14:22: redis in env ROLE is not changed (the key does not say",
            "web.yaml:20:38: db.prod in env DB_URL is not changed (inside other text)",
            "web.yaml:22:22: redis in env CACHE is not changed (inside other text)",
        ),
    ),
    "one_roll_out": Case(
        {"web.yaml": deployment(ENV.replace("postgres://user@db.prod:5432/app", "none"))},
        (set_ndots(1, names=DB),),
    ),
    "held_back": Case(
        {"web.yaml": deployment(ENV)},
        (set_ndots(1, names=DB), in_full("redis", "redis.shop.svc.cluster.local.")),
        ("ndots 1 (step 1) is held back: db.prod must be written in full with it, and stands in",),
    ),
    "several_documents": Case(
        {
            "all.yaml": "---\n# the service\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
            "---\n" + deployment() + "---\n" + deployment(name="api") + "---\n"
        },
        (set_ndots(2, WEB), set_ndots(3, "shop/api")),
        clients=(client(), client(workload="api", address="10.0.0.2")),
    ),
    "comments": Case(
        {
            "web.yaml": deployment(
                "      # all pods\n\n      # the app\n      containers: # one\n"
                "      - name: app   # its name\n        image:   'app:1'\n"
                "      # how names are asked\n      dnsPolicy: ClusterFirst # as ever\n"
                "      # the end\n\n# of all\n"
            )
        }
    ),
    "anchors": Case(
        {
            "web.yaml": deployment("      &pod\n" + _CONTAINERS)
            + "---\n"
            + deployment(
                "      dnsConfig: &dns\n        options: []\n" + _CONTAINERS + "x: *dns\n",
                name="api",
            )
            + "---\n"
            + deployment(
                "      containers:\n        - env:\n"
                "            - {name: A_HOST, value: &db db.prod}\n"
                "            - {name: B_HOST, value: *db}\n"
                "            - {name: C, value: db.prod}\n",
                name="job",
            )
        },
        (
            set_ndots(2, WEB, "shop/api"),
            in_full("db.prod", "db.prod.svc.cluster.local.", "shop/job"),
        ),
        (
            "shop/api: web.yaml: line 22: dnsConfig is shared by an anchor; ndots 2 is to be set",
            "db.prod in env A_HOST is not changed (an anchor shares this value)",
        ),
    ),
    "crlf": Case(
        {"web.yaml": deployment(ENV).replace("\n", "\r\n")},
        (set_ndots(2), in_full("db.prod", "db.prod.svc.cluster.local.")),
    ),
    "tabs_in_strings": Case(
        {
            "web.yaml": deployment(
                "      containers:\n        - args: [\"a\\tdb.prod\", \"x\ty\", 'db.prod']\n"
                '          command: ["sh", "-c", "run --db=db.prod\t# now"]\n'
            )
        },
        (set_ndots(2), in_full("db.prod", "db.prod.svc.cluster.local.")),
        ("db.prod in args is not changed", "db.prod in command is not changed"),
    ),
    "a_name_in_a_url": Case(
        {
            "web.yaml": deployment(
                "      containers:\n        - name: app\n          env:\n"
                "            - {name: API_HOST, value: https://api.github.com/v3}\n"
                "            - {name: WEBHOOK, value: api.github.com}\n"
                "            - {name: OTHER, value: my.api.github.com}\n"
                "            - {name: FULL, value: api.github.com.}\n"
            )
        },
        (in_full("api.github.com", "api.github.com."),),
        ("web.yaml:12:47: api.github.com in env API_HOST is not changed (inside other text)",),
    ),
    "a_secret": Case(
        {
            "web.yaml": deployment(
                _CONTAINERS + "          envFrom:\n            - configMapRef: {name: settings}\n"
                "            - secretRef: {name: settings}\n"
            ),
            "settings.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: settings}\n"
            "stringData:\n  DB_HOST: db.prod\ndata:\n  DB_HOST: db.prod\n---\napiVersion: v1\n"
            "kind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata:\n"
            "  DB_HOST: db.prod\n  app.conf: |\n    # where\n    host = db.prod\n",
        },
        (in_full("db.prod", "db.prod.svc.cluster.local."),),
        ("settings.yaml:16:12: db.prod in configmap app.conf is not changed (inside other text)",),
    ),
    "a_shared_config_map": Case(
        {
            "web.yaml": deployment(_CONTAINERS + "          envFrom: [{configMapRef: {name: c}}]\n")
            + "---\n"
            + deployment(
                _CONTAINERS + "          envFrom: [{configMapRef: {name: c}}]\n", name="api"
            ),
            "c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
            "data: {A: db.prod, B: api.github.com}\n",
        },
        (
            in_full("db.prod", "db.prod.svc.cluster.local."),
            in_full("api.github.com", "api.github.com.", WEB, "shop/api"),
        ),
        ("db.prod in configmap A is not changed (Deployment api reads it too)",),
        clients=(client(), client(workload="api", address="10.0.0.2")),
    ),
    "one_name_in_two_namespaces": Case(
        {"shop.yaml": deployment(), "stage.yaml": deployment(namespace="stage")}
    ),
    "folders_as_namespaces": Case(
        {
            "shop/web.yaml": deployment(namespace=None),
            "stage/web.yaml": deployment(namespace=None),
        },
        says=("shop/web is guessed to be Deployment web (shop/web.yaml:1): the manifest names no",),
    ),
    "ambiguous": Case(
        {"a/web.yaml": deployment(namespace=None), "b/web.yaml": deployment(namespace=None)},
        says=("shop/web: 2 manifests could be this Deployment: a/web.yaml:1, b/web.yaml:1",),
    ),
    "generated_names": Case(
        {
            "web.yaml": deployment(),
            "jobs.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: load-\n"
            "  namespace: shop\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n",
        },
        (set_ndots(2, "10.0.0.1", "shop/load-x7k2p"),),
        (
            "shop/load-x7k2p is taken for what Job load- (jobs.yaml:1) made",
            "a Job that exists keeps its pods' settings: it must be created again",
        ),
        clients=(
            client(workload=None, kind=None, pod="web-7d4b9c6f5-x2x9k"),
            client(workload="load-x7k2p", kind="Job", address="10.0.0.2"),
        ),
    ),
    "cron_job": Case(
        {
            "job.yaml": "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: web\n"
            "  namespace: shop\nspec:\n    schedule: '0 * * * *'\n    jobTemplate:\n        spec:\n"
            "            template:\n                spec:\n                    containers:\n"
            "                        - name: app\n"
            "                          command: [run, db.prod]\n"
        },
        (set_ndots(2), in_full("db.prod", "db.prod.svc.cluster.local.")),
        clients=(client(kind="CronJob"),),
    ),
    "list": Case(
        {
            "list.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: apps/v1\n"
            "  kind: StatefulSet\n  metadata:\n    name: web\n    namespace: shop\n  spec:\n"
            "    template:\n      spec:\n        containers: []\n- apiVersion: v1\n  kind: Pod\n"
            "  metadata: {name: one, namespace: shop}\n  spec:\n    containers: []\n"
        },
        (set_ndots(2, WEB, "shop/one"),),
        ("shop/one: a Pod that exists keeps its pods' settings",),
        clients=(
            client(kind="StatefulSet"),
            client(workload="one", kind="Pod", address="10.0.0.2"),
        ),
    ),
    "quoted_keys": Case(
        {
            "web.yaml": '"apiVersion": "apps/v1"\n"kind": "Deployment"\n"metadata":\n'
            '  "name": "web"\n  "namespace": "shop"\n"spec":\n  "template":\n    "spec":\n'
            '      "containers":\n      - "name": "app"\n        "env":\n'
            "        - \"name\": \"DB_HOST\"\n          'value': 'db.prod'\n"
        },
        (set_ndots(2), in_full("db.prod", "db.prod.svc.cluster.local.")),
    ),
    "flow_style": Case(
        {
            "web.yaml": "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: "
            "shop},\n  spec: {template: {spec: {containers: [{name: app, args: [db.prod]}]}}}}\n",
        },
        (set_ndots(2), in_full("db.prod", "db.prod.svc.cluster.local.")),
    ),
    "json": Case(
        {
            "web.json": '{\n  "apiVersion": "apps/v1",\n  "kind": "Deployment",\n  "metadata": {\n'
            '    "name": "web",\n    "namespace": "shop"\n  },\n  "spec": {\n    "template": {\n'
            '      "spec": {\n        "containers": []\n      }\n    }\n  }\n}\n',
            "package.json": '{"name": "web"}\n',
        }
    ),
    "other_options": Case(
        {
            "web.yaml": deployment(
                "      dnsConfig:\n          nameservers: [10.0.0.53]\n          options:\n"
                "          -   name: timeout\n              value: '1' # a second\n"
                "          # the last\n" + _CONTAINERS
            )
        }
    ),
    "ndots_already": Case(
        {
            "web.yaml": deployment(
                "      dnsConfig:\n        options:\n        - name: ndots\n          value: '5'\n"
                + _CONTAINERS
            )
            + "---\n"
            + deployment(
                '      dnsConfig: {options: [{name: ndots, value: "2"}]}\n' + _CONTAINERS,
                name="api",
            )
        },
        (set_ndots(2, WEB, "shop/api"),),
        ("shop/api: ndots 2 is set in web.yaml already",),
    ),
    "dns_policy_none": Case(
        {
            "web.yaml": deployment(
                _CONTAINERS + "      dnsPolicy: None\n      dnsConfig:\n"
                "        nameservers:\n        - 10.0.0.53\n        searches:\n"
                "        - shop.svc.cluster.local"
            )
        }
    ),
    "kustomize_overlay": Case(KUSTOMIZE),
    "kustomize_overlay_with_patches": Case(
        {
            **KUSTOMIZE,
            "overlays/shop/kustomization.yaml": "namespace: shop\nnamePrefix: big-\nresources:\n"
            "  - ../../base\npatches:\n  - path: more.yaml # replicas\n",
            "overlays/shop/more.yaml": "apiVersion: apps/v1\nkind: Deployment\n"
            "metadata:\n  name: web\nspec:\n  replicas: 9\n",
        },
        (set_ndots(2, "shop/big-web"),),
        clients=(client(workload="big-web"),),
    ),
    "kustomize_patch_with_options": Case(
        {
            **KUSTOMIZE,
            "overlays/shop/kustomization.yaml": "namespace: shop\nresources:\n  - ../../base\n"
            "patches:\n  - path: dns.yaml\n",
            "overlays/shop/dns.yaml": deployment(
                "      dnsConfig:\n        options:\n        - name: ndots\n          value: '4'\n",
                namespace=None,
            ),
        }
    ),
    "kustomize_two_workloads": Case(
        {
            "base/kustomization.yaml": "resources: [all.yaml]\n",
            "base/all.yaml": deployment(namespace=None)
            + "---\n"
            + deployment(name="api", namespace=None, kind="StatefulSet"),
            "shop/kustomization.yaml": "namespace: shop\nresources:\n  - ../base\n",
        },
        (set_ndots(2, WEB), set_ndots(3, "shop/api")),
        clients=(client(), client(workload="api", kind="StatefulSet", address="10.0.0.2")),
    ),
    "kustomize_two_workloads_listed": Case(
        {
            "base/kustomization.yaml": "resources: [all.yaml]\n",
            "base/all.yaml": deployment(namespace=None)
            + "---\n"
            + deployment(name="api", namespace=None, kind="StatefulSet"),
            "shop/kustomization.yaml": "namespace: shop\nresources:\n  - ../base\npatches:\n"
            "  - path: more.yaml\n",
        },
        (set_ndots(2, WEB), set_ndots(3, "shop/api")),
        clients=(client(), client(workload="api", kind="StatefulSet", address="10.0.0.2")),
    ),
    "kustomize_two_workloads_in_brackets": Case(
        {
            "base/kustomization.yaml": "resources: [all.yaml]\n",
            "base/all.yaml": deployment(namespace=None)
            + "---\n"
            + deployment(name="api", namespace=None, kind="StatefulSet"),
            "shop/kustomization.yaml": "namespace: shop\nresources:\n  - ../base\npatches: []",
        },
        (set_ndots(2, WEB), set_ndots(3, "shop/api")),
        clients=(client(), client(workload="api", kind="StatefulSet", address="10.0.0.2")),
    ),
    "kustomize_names": Case(
        {
            **KUSTOMIZE,
            "base/web.yaml": deployment(
                ENV.replace("postgres://user@db.prod:5432/app", "none")
                + "      initContainers:\n        - name: first\n"
                + "          args: [redis, db.prod.]\n"
                + "          env: [{name: DB, value: db.prod}]\n",
                namespace=None,
            ),
        },
        (
            set_ndots(1, names=DB),
            in_full("redis", "redis.shop.svc.cluster.local.", "shop/web"),
            set_ndots(3, "stage/web"),
        ),
        ("base/web.yaml:24:18: redis in args is not changed (the key does not say",),
        clients=(client(), client("stage", address="10.0.0.2")),
    ),
    "kustomize_names_in_a_patch": Case(
        {
            **KUSTOMIZE,
            "base/web.yaml": deployment(ENV, namespace=None),
            "overlays/shop/kustomization.yaml": "namespace: shop\nresources: [../../base]\n"
            "patches: [{path: more.yaml}]\n",
            "overlays/shop/more.yaml": deployment(
                "      containers:\n        - name: app\n          env:\n"
                "            - {name: DB, value: db.prod}\n"
                "            - {name: DB_URL, value: none}\n",
                namespace=None,
            ),
        },
        (set_ndots(1, names=DB),),
    ),
    "kustomize_without_bases": Case(
        {
            "kustomization.yaml": "namespace: shop\nnameSuffix: -v1\nresources:\n- web.yaml\n",
            "web.yaml": deployment(namespace=None),
        },
        (set_ndots(2, "shop/web-v1"),),
        clients=(client(workload="web-v1"),),
    ),
    "helm": Case(
        CHART,
        (
            set_ndots(2, "shop/my-web"),
            in_full("db.prod", "db.prod.svc.cluster.local.", "shop/my-web"),
        ),
        (
            "shop/my-web is guessed to come from the chart of chart/templates/deployment.yaml",
        ),
        clients=(client(workload="my-web"),),
    ),
    "names_that_are_published": Case(
        {
            **CHART,
            "chart/values.yaml": "dnsConfig:\ningress:\n  host: api.github.com\n"
            "upstream:\n  host: api.github.com\n",
            "web.yaml": deployment(
                "      containers: []\n    metadata:\n      annotations:\n"
                "        external-dns.alpha.kubernetes.io/hostname: api.github.com\n"
                "        example.com/upstream: api.github.com\n"
            ),
        },
        (in_full("api.github.com", "api.github.com.", WEB, "stage/web"),),
        ("api.github.com in annotation external-dns.alpha.kubernetes.io/hostname is not changed",),
        clients=(client(), client("stage", address="10.0.0.2")),
    ),
    "helm_without_the_value": Case(
        {
            **CHART,
            "chart/templates/deployment.yaml": "kind: Deployment\nmetadata:\n  name: {{ .x }}\n",
        },
        says=("chart/values.yaml: the chart has no value for dnsConfig", "to be set by hand"),
    ),
    "helm_in_two_namespaces": Case(
        CHART,
        (
            set_ndots(2, WEB, "stage/web"),
            in_full("db", "db.shop.svc.cluster.local.", WEB),
            in_full("db", "db.stage.svc.cluster.local.", "stage/web"),
            in_full("db.prod", "db.prod.svc.cluster.local.", WEB, "stage/web"),
        ),
        (
            "chart/values.yaml deploys shop/web, stage/web: db is written in full in none of them, "
            "because the full name is that of one of them",
        ),
        clients=(client(), client("stage", address="10.0.0.2")),
    ),
    "guessed": Case(
        {
            "web.yaml": deployment(ENV, namespace=None),
            "api.yaml": deployment(name="api", namespace=None),
        },
        (set_ndots(2, "shop"),),
        (
            "10.0.0.1 (namespace shop) is guessed to be Deployment web (web.yaml:1), which has 2 "
            "of the names that it asked for",
            "10.0.0.2 (namespace shop): not found: no workload of this namespace names any of the "
            "1 names",
        ),
        clients=(
            client(None, None, None, search=("shop.svc.cluster.local",)),
            client("shop", None, None, address="10.0.0.2"),
        ),
        asked={
            "10.0.0.1": frozenset({"db.prod", "redis", "elsewhere.example"}),
            "10.0.0.2": frozenset({"nowhere.example"}),
        },
    ),
    "not_found": Case(
        {"web.yaml": deployment(kind="StatefulSet"), "api.yaml": deployment(name="api")},
        (set_ndots(2, WEB, "stage/api"),),
        (
            "shop/web: not found: looked for a Deployment named 'web' in namespace 'shop'; there "
            "is a StatefulSet (web.yaml:1)",
            "stage/api: not found: looked for a Deployment named 'api' in namespace 'stage'; there "
            "is one in namespace shop (api.yaml:1)",
        ),
        clients=(client(), client("stage", "api", address="10.0.0.2")),
    ),
    "no_yaml": Case(
        {
            "web.yaml": deployment(),
            "broken.yaml": "a: b\n c: d\n",
            "template.yaml": "{{- if .Values.on }}\nkind: Pod\n{{- end }}\n",
            "twice.yaml": "a: 1\nb:\n  c: 1\n  c: 2\n",
        },
        says=(
            "broken.yaml: line 2: no YAML",
            "twice.yaml: line 3: the key 'c' is there twice",
            "templates ({{ }}), which are no YAML and left alone: template.yaml",
        ),
    ),
    "review": Case(
        {"web.yaml": deployment()},
        (set_ndots(2, safety=Safety.REVIEW, reasons=("the capture is thin",)),),
        ("every step of this plan is review (the capture is thin): nothing is changed; --inc",),
    ),
    "review_included": Case(
        {"web.yaml": deployment(ENV)},
        (
            set_ndots(2, safety=Safety.REVIEW),
            in_full("db.prod", "db.prod.svc.cluster.local.", safety=Safety.UNSAFE),
        ),
        ("step 2 (full_service_name) is left out: it is unsafe",),
        include_review=True,
    ),
    "names_that_are_code": Case(
        {"web.yaml": deployment(ENV)},
        (
            in_full('"; rm -rf /', "x.svc.cluster.local."),
            in_full("db.prod", "x\n  hostNetwork: true."),
            in_full("redis", "redis: {.svc.cluster.local."),
            set_ndots(2, names={"db.prod": "a\nb.svc.cluster.local"}),
        ),
        ("step 1 (full_service_name) is left out: it has a name that is no host name",),
    ),
}  # fmt: skip
