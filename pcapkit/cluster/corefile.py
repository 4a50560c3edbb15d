"""What a cluster's own files say about its DNS: Corefiles, and ConfigMaps that hold one.

Sources: coredns.io/manual/configuration, and its pages on the plugins kubernetes, cache (``cache
[TTL]`` bounds both, ``success`` and ``denial`` one each), autopath and forward.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pcapkit.cluster.conventions import CLUSTER_DOMAIN
from pcapkit.errors import UsageError
from pcapkit.files import read_text
from pcapkit.names.text import fold
from pcapkit.text import encodable

#: Seconds for which the plugins let answers live where the Corefile says nothing.
_KUBERNETES_TTL_S, _CACHE_S, _CACHE_DENIAL_S = 5, 3600, 1800
_TEXT = "tag:yaml.org,2002:str"  # what YAML calls it


@dataclass(frozen=True, slots=True)
class Corefile:
    """What the server block of a cluster's names says (coredns.io/plugins).

    ``ttl_s`` is what the plugin ``kubernetes`` writes into its records; ``cache_s`` and
    ``denial_s`` bound what the plugin ``cache`` keeps, None without it; ``autopath`` and
    ``forward`` are the words behind those plugins, none without them.
    """

    path: str
    zones: tuple[str, ...]
    ttl_s: int = _KUBERNETES_TTL_S
    pods: str = "disabled"
    cache_s: int | None = None
    denial_s: int | None = None
    autopath: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return what is known as JSON values."""
        out: dict[str, object] = {
            "path": self.path,
            "zones": list(self.zones),
            "ttl_s": self.ttl_s,
            "pods": self.pods,
            "cache_s": self.cache_s,
            "denial_s": self.denial_s,
            "autopath": list(self.autopath),
            "forward": list(self.forward),
        }
        return {key: value for key, value in out.items() if value not in (None, [])}


def parse_corefile(text: str, *, path: str) -> Corefile:
    """Parse a Corefile, or the YAML or JSON of the ConfigMap that holds one.

    Raises UsageError where no server block has the plugin ``kubernetes``.
    """
    for block in _server_blocks(_corefile_of(text)):
        plugins = {words[0]: (words[1:], inner) for words, inner in block}
        if "kubernetes" in plugins:
            return _facts(plugins, path)
    raise UsageError(f"{path}: line 1: no 'kubernetes' plugin in it: not a cluster's Corefile")


def _corefile_of(text: str) -> str:
    """Return the Corefile within a ConfigMap, or within the first that is listed; else the text.

    What is no YAML (JSON is) may be a Corefile itself, or a template of a ConfigMap, where it
    stands as it is. Nodes are looked at, no values made of them: YAML can say what has none.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import ReusedAnchorWarning, YAMLError
    from ruamel.yaml.nodes import ScalarNode, SequenceNode

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            top = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError, RecursionError):
        return text
    listed = _under(top, "items")
    for item in listed.value if isinstance(listed, SequenceNode) else [top]:
        corefile = _under(_under(item, "data"), "Corefile")
        if isinstance(corefile, ScalarNode) and corefile.tag == _TEXT:
            return str(corefile.value)
    return text


def _under(node: Any, key: str) -> Any:
    """Return the node under a key of a mapping; None where there is none."""
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    pairs = node.value if isinstance(node, MappingNode) else []
    return next((v for k, v in pairs if isinstance(k, ScalarNode) and k.value == key), None)


Words = list[str]


def _server_blocks(text: str) -> Iterator[list[tuple[Words, list[Words]]]]:
    """Yield the plugins of each server block: a plugin's words, and its block's lines of words."""
    depth = 0
    block: list[tuple[Words, list[Words]]] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        opens, closes = words[-1:] == ["{"], words[:1] == ["}"]
        words = [w for w in words if w not in ("{", "}")]
        if words and depth == 1:
            block.append((words, []))
        elif words and depth == 2 and block:
            block[-1][1].append(words)
        depth += opens - closes
        if closes and depth == 0:
            yield block
            block = []


def _facts(plugins: dict[str, tuple[Words, list[Words]]], path: str) -> Corefile:
    names, of_kubernetes = plugins["kubernetes"]
    zones = tuple(
        fold(z) for z in names if not z.lower().rstrip(".").endswith(("in-addr.arpa", "ip6.arpa"))
    )
    inner = {words[0]: words[1:] for words in of_kubernetes}
    cache_s = denial_s = None
    if "cache" in plugins:
        words, of_cache = plugins["cache"]
        both = _seconds(words[:1], None)
        bounds = {words[0]: words[2:3] for words in of_cache}  # CAPACITY [TTL] [MINTTL]
        cache_s = _seconds(bounds.get("success", []), both or _CACHE_S)
        denial_s = _seconds(bounds.get("denial", []), both or _CACHE_DENIAL_S)
    ttl_s = _seconds(inner.get("ttl", []), _KUBERNETES_TTL_S)
    return Corefile(
        path,
        zones or (CLUSTER_DOMAIN,),
        _KUBERNETES_TTL_S if ttl_s is None else ttl_s,
        (inner.get("pods") or ["disabled"])[0],
        cache_s,
        denial_s,
        tuple(plugins.get("autopath", ([], []))[0]),
        tuple(plugins.get("forward", ([], []))[0][1:]),
    )


def _seconds(words: Words, default: int | None) -> int | None:
    return int(words[0]) if words and words[0].isdecimal() and len(words[0]) < 10 else default


def read_corefile(path: str) -> Corefile:
    """Read a file that holds a Corefile; raises InputError or UsageError."""
    return parse_corefile(read_text(path), path=encodable(path))
