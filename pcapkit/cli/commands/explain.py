"""``pcapkit explain``: What a code means."""

from __future__ import annotations

import click


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a waste class, recommendation or other CODE means, why, and what to do.

    The code limits lists every limit, with what happens beyond it.
    """
    from pcapkit.cli.manual import explain as find_entry
    from pcapkit.cli.manual import render_all, render_entry, render_limits

    if code and code.strip().lower() == "limits":
        click.echo(render_limits(), nl=False)
        return
    text = "\n".join(map(render_entry, find_entry(code))) if code else render_all()
    click.echo(text, nl=False)
