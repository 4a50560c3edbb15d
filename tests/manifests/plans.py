"""Plans, clients and folders of manifests, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pcapkit.cluster.nameservers import Nameservers
from pcapkit.model.clients import Client, DnsPolicy, Ndots, ResolverGuess
from pcapkit.model.plans import Coverage, Load, Plan, PlanKind, Step
from pcapkit.model.vocabulary import Safety, Source

WEB = "shop/web"
SERVER = Nameservers(("10.96.0.10",))
DB = {"db.prod": "db.prod.svc.cluster.local"}


def step(
    code: str,
    *subjects: str,
    ndots: int | None = None,
    name: str | None = None,
    fqdn: str | None = None,
    names: Mapping[str, str] | None = None,
    safety: Safety = Safety.SAFE,
    reasons: tuple[str, ...] = (),
    number: int = 0,
    suffixes: tuple[str, ...] = (),
) -> Step:
    """Return a step; its number comes from its plan."""
    final_dot = fqdn is not None and fqdn.endswith(".")
    return Step(
        number, code, subjects or (WEB,), ndots, name, fqdn, final_dot, names or {}, 1, 10, 90, 9,
        9, 0.1, 0.01, 12, safety, reasons, (), suffixes,
    )  # fmt: skip


def set_ndots(ndots: int, *subjects: str, **more: object) -> Step:
    """Return a step that sets ndots."""
    return step("set_ndots", *subjects, ndots=ndots, **more)  # type: ignore[arg-type]


def drop(suffixes: tuple[str, ...], *subjects: str, **more: object) -> Step:
    """Return a step that takes suffixes out of search lists."""
    more = {"safety": Safety.REVIEW, **more}
    return step("drop_suffix", *subjects, suffixes=suffixes, **more)  # type: ignore[arg-type]


def in_full(name: str, fqdn: str, *subjects: str, **more: object) -> Step:
    """Return a step that writes a name in full."""
    code = "full_service_name" if ".svc." in fqdn else "use_fqdn"
    return step(code, *subjects, name=name, fqdn=fqdn, **more)  # type: ignore[arg-type]


def plan(*steps: Step, subject: str | None = None, kind: PlanKind = PlanKind.BEST) -> Plan:
    """Return a plan of these steps, numbered from 1."""
    from dataclasses import replace

    numbered = tuple(replace(s, number=n) for n, s in enumerate(steps, 1))
    load = Load(100, 50, 40, 1.0, 20)
    safety = Safety.SAFE if all(s.safety is Safety.SAFE for s in steps) else Safety.REVIEW
    return Plan(
        subject, kind, ("10.0.0.1",), load, load, len(steps), len(steps), 10, 0.1, 0.2, safety, (),
        0, Coverage(100, 10, 3600.0), numbered, (), {}, {}, len(steps),
    )  # fmt: skip


def client(
    namespace: str | None = "shop",
    workload: str | None = "web",
    kind: str | None = "Deployment",
    *,
    address: str = "10.0.0.1",
    pod: str | None = None,
    search: tuple[str, ...] = (),
    ndots: int = 5,
    policy: str | None = None,
) -> Client:
    """Return a client."""
    return Client(
        address, None, None, pod, namespace, workload, kind, search, Source.OBSERVED,
        Ndots(ndots, ndots, ndots, Source.OBSERVED), ResolverGuess("glibc", 0.9, ()), 100, 100, 50,
        0.5, DnsPolicy(policy, ()),
    )  # fmt: skip


def write_tree(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, byte for byte."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return folder
