"""``pcapkit explain``: What a code means."""

from __future__ import annotations

import click


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what a waste class, recommendation or other CODE means, why, and what to do."""
    from pcapkit.cli.manual import explain as find_entry
    from pcapkit.cli.manual import render_all, render_entry

    text = "\n".join(map(render_entry, find_entry(code))) if code else render_all()
    click.echo(text, nl=False)
