"""Labels that everybody knows: which stay, and which are exchanged among their like.

What stays says nothing of who captured: short top-level domains (``com``, ``co``, ``de``),
Kubernetes' own words, and those of the DNS. Long top-level domains are names of firms too
(``google``, ``baidu``), so each becomes another one of its length; so do other words of public
suffixes (``kawasaki`` of ``kawasaki.jp``), but where they are one.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from pcapkit.cluster.conventions import CLUSTER_DOMAIN, SERVICES
from pcapkit.names.top_level import icann_rules

#: Words of clusters, of the reverse trees and of hosts.
CONSTANTS = frozenset(
    word.encode()
    for word in (SERVICES, "pod", *CLUSTER_DOMAIN.split("."), "localhost", "in-addr", "ip6", "arpa")
)
#: Top-level domains that were there before everybody could have one (RFC 1591, 2606, 3071).
_OLD = frozenset((b"arpa", b"info", b"name", b"aero", b"coop", b"jobs", b"mobi", b"asia"))
#: Labels with an underscore that are protocols or of the DNS itself (RFC 8552).
UNDERSCORED = frozenset(
    b"_tcp _udp _sctp _dccp _tls _quic _dns _dnssec _dmarc _domainkey _acme-challenge _spf _msdcs "
    b"_sites _smimecert _openpgpkey _ldap _kerberos _kpasswd _gc _dns-sd _grpclb _grpc_config "
    b"_mta-sts _report _adsp _caldavs _xmpp-client _xmpp-server _sip _sips _mongodb".split()
)
#: Behind these, a label with an underscore is the name of a service (RFC 2782).
PROTOCOLS = (b"_tcp", b"_udp", b"_sctp", b"_dccp")
_SHORT = (2, 3)


class Words(NamedTuple):
    """The labels of public suffixes."""

    kept: frozenset[bytes]
    long_tlds: frozenset[bytes]
    long_words: frozenset[bytes]  # of public suffixes of several labels, no top-level domains
    suffixes: frozenset[tuple[bytes, ...]]  # of several labels, and what such ones end in


@cache
def words() -> Words:
    """Return the labels of the public suffix list's registries, sorted out."""
    rules = [tuple(label.encode("ascii") for label in rule) for rule in icann_rules()]
    tlds = {rule[0] for rule in rules if len(rule) == 1}
    tlds |= {rule[-1] for rule in rules}
    inner = {label for rule in rules for label in rule[:-1] if not label.isdigit()}
    kept = {w for w in tlds if len(w) in _SHORT} | (_OLD & tlds)
    kept |= {w for w in tlds if w.startswith(b"xn--")} | CONSTANTS
    suffixes = {rule[k:] for rule in rules for k in range(len(rule) - 1)}
    return Words(
        frozenset(kept), frozenset(tlds - kept), frozenset(inner - tlds - kept), frozenset(suffixes)
    )
