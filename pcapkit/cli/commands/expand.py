"""``pcapkit expand``: What a stub resolver would send."""

from __future__ import annotations

import click


@click.command()
@click.argument("name")
@click.option(
    "--search",
    multiple=True,
    metavar="SUFFIX",
    help="A search suffix; repeat in order.  [default: a pod's in namespace 'default']",
)
@click.option("--resolv-conf", metavar="FILE", help="Take search list and ndots from a file.")
@click.option("--ndots", type=click.IntRange(0, 15), metavar="N", help="[default: 5]")
@click.option(
    "--resolver",
    default="glibc",
    show_default=True,
    metavar="MODEL",
    help="glibc, musl, go, c-ares, hickory, dnsjava, grpc, jndi ...; a release as glibc@2.25.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def expand(
    name: str,
    search: tuple[str, ...],
    resolv_conf: str | None,
    ndots: int | None,
    resolver: str,
    as_json: bool,
) -> None:
    """Show what a stub resolver would send for NAME, in order, and what each ndots costs."""
    from pcapkit.cluster.conventions import KUBERNETES_NDOTS, KUBERNETES_SEARCH
    from pcapkit.pipeline.options import read_resolv_conf, search_list
    from pcapkit.resolver.expand import expand as run
    from pcapkit.resolver.expand import expansion_json, render_expansion

    search = search_list(search)
    suffixes: tuple[str, ...] = search or KUBERNETES_SEARCH
    servers: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    if resolv_conf is not None:
        config = read_resolv_conf(resolv_conf)
        suffixes = search or config.search
        servers, settings = config.nameservers, config.options
        ndots = config.ndots_in_force if ndots is None else ndots
    walk = run(
        name,
        search=suffixes,
        ndots=KUBERNETES_NDOTS if ndots is None else ndots,
        resolver=resolver,
        nameservers=servers,
        options=settings,
    )
    click.echo(expansion_json(walk) if as_json else render_expansion(walk), nl=False)
