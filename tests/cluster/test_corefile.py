"""Corefiles: as they are, and within the ConfigMap that kubectl prints, in each of its forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pcapkit.cluster.corefile import Corefile
from pcapkit.errors import PcapkitError
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import make_options
from tests import build
from tests.analysis.talk import Talk
from tests.cli.test_cli import GLIBC

COREFILE = """\
# what kubeadm writes, and autopath
.:53 {
    errors
    health {
       lameduck 5s
    }
    kubernetes cluster.test in-addr.arpa ip6.arpa {
       pods verified
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    autopath @kubernetes
    prometheus :9153
    forward . 192.0.2.53 192.0.2.54 {
       max_concurrent 1000
    }
    cache 30 {
       denial 9984 5  # seconds
    }
    reload
}
corp.example:53 {
    cache 300
    forward . 192.0.2.99
}
"""
FACTS = ("cluster.test",), 30, "verified", 30, 5, ("@kubernetes",), ("192.0.2.53", "192.0.2.54")


def block_yaml(corefile: str) -> str:
    lines = "".join(f"    {line}\n" for line in corefile.splitlines())
    return f"apiVersion: v1\ndata:\n  Corefile: |\n{lines}kind: ConfigMap\n"


def quoted_yaml(corefile: str) -> str:
    """As kubectl prints it where a line ends in a blank: one long string, folded."""
    text = json.dumps(corefile.replace("errors\n", "errors \n"))
    half, later = text.index("kubernetes"), text.index(" ip6.arpa {")
    folded = f"{text[:half]}\\\n    {text[half:later]}\n   {text[later:]}"
    return f"apiVersion: v1\ndata:\n  Corefile: {folded}\nkind: ConfigMap\n"


def config_map_json(corefile: str) -> str:
    return json.dumps({"kind": "ConfigMap", "data": {"Corefile": corefile}})


def listed_yaml(corefile: str) -> str:
    """As kubectl prints several ConfigMaps, the cluster's not the first."""
    entry = "".join(f"  {line}\n" for line in block_yaml(corefile).splitlines())
    other = "- data:\n    ca.crt: x\n  kind: ConfigMap\n"
    return f"apiVersion: v1\nkind: List\nitems:\n{other}-{entry[1:]}"


def single_quoted_yaml(corefile: str) -> str:
    lines = corefile.replace("'", "''").replace("\n", "\n\n    ")
    return f"data:\n  Corefile: '{lines}'\n"


def helm_template(corefile: str) -> str:
    """No YAML until it is rendered; the Corefile stands in it as it is."""
    return "metadata:\n  name: {{ .Values.name }}\n" + block_yaml(corefile)


def reused_anchor(corefile: str) -> str:
    """YAML allows that; it is no warning to anybody."""
    return "x: &a 1\ny: &a 2\n" + block_yaml(corefile)


@pytest.mark.parametrize(
    "form",
    [
        str,
        block_yaml,
        quoted_yaml,
        single_quoted_yaml,
        listed_yaml,
        helm_template,
        config_map_json,
        reused_anchor,
    ],
)
def test_a_corefile_says_how_the_cluster_answers(form: object, tmp_path: Path) -> None:
    assert callable(form)
    path = build.save(tmp_path, form(COREFILE).encode(), "Corefile")
    facts = make_options(corefile=path).corefile
    assert facts == Corefile(path, *FACTS)


@pytest.mark.parametrize(
    ("plugins", "ttl_s", "cache_s", "denial_s"),
    [
        ("", 5, None, None),
        ("cache", 5, 3600, 1800),
        ("cache 30", 5, 30, 30),
        ("cache {\n success 9984 60 5\n}", 5, 60, 1800),
        ("cache cluster.test", 5, 3600, 1800),
    ],
)
def test_what_a_corefile_leaves_out_has_the_plugins_defaults(
    plugins: str, ttl_s: int, cache_s: int | None, denial_s: int | None, tmp_path: Path
) -> None:
    text = f".:53 {{\nkubernetes cluster.test\n{plugins}\n}}\n"
    facts = make_options(corefile=build.save(tmp_path, text.encode(), "Corefile")).corefile
    assert facts is not None
    assert (facts.ttl_s, facts.cache_s, facts.denial_s) == (ttl_s, cache_s, denial_s)
    assert (facts.pods, facts.autopath, facts.forward) == ("disabled", (), ())


def test_the_cluster_domain_and_the_facts_are_in_the_result(tmp_path: Path) -> None:
    path = build.save(tmp_path, COREFILE.encode(), "Corefile")
    analysis = analyze(GLIBC, options=make_options(corefile=path))
    assert analysis.options["cluster_domains"] == ["cluster.test"]
    said = analysis.options["corefile"]
    assert isinstance(said, dict)
    assert (said["denial_s"], said["forward"]) == (5, ["192.0.2.53", "192.0.2.54"])
    # names of cluster.local are no cluster's names under another cluster domain
    assert "cluster" not in {n.kind for n in analysis.name_rows}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind: ConfigMap\n",
        ".:53 {\nforward . 192.0.2.1\n}\n",
        "{",
        "[" * 100_000,
        "data: 1\n",
        "items: [1, {data: {Corefile: [1]}}]\n",
        "a: !!python/object/apply:os.abort []\n",
        "2024-99-99\n",
        "{[{a: b}], c}: d\n",
        "data: {? {a: b} : c, Corefile: 2}\n",
        "- &a [*a]\n",
    ],
)
def test_what_is_no_clusters_corefile_is_refused(text: str, tmp_path: Path) -> None:
    path = build.save(tmp_path, text.encode(), "Corefile")
    with pytest.raises(PcapkitError, match="no 'kubernetes' plugin"):
        make_options(corefile=path)


def test_each_client_has_the_resolv_conf_that_is_bound_to_it(tmp_path: Path) -> None:
    talk = Talk()
    for at, client in enumerate(("10.244.1.17", "10.244.2.8", "10.9.0.1")):
        talk.walk(9_000 * at, "www.example.com", client=client)
    files = {}
    for name, ndots in (("shop", 2), ("web", 3), ("rest", 4)):
        content = f"search {name}.svc.cluster.local svc.cluster.local\noptions ndots:{ndots}\n"
        files[name] = build.save(tmp_path, content.encode(), name)
    given = [f"10.244.1.0/24={files['shop']}", f"10.244.2.8={files['web']}", files["rest"]]
    analysis = talk.analyze(tmp_path, resolv_conf=given)
    found = {c.client_addr: (c.ndots.value, c.search[0]) for c in analysis.client_rows}
    assert found == {
        "10.244.1.17": (2, "shop.svc.cluster.local"),
        "10.244.2.8": (3, "web.svc.cluster.local"),
        "10.9.0.1": (4, "rest.svc.cluster.local"),
    }
    assert {c.ndots.source.value for c in analysis.client_rows} == {"resolv.conf"}
    assert analysis.options["resolv_conf"] == [
        f"10.244.1.0/24={files['shop']}",
        f"10.244.2.8/32={files['web']}",
        files["rest"],
    ]
