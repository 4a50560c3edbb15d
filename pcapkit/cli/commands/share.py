"""``pcapkit share``: a capture with pseudonyms instead of names and addresses."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pcapkit.cli.options import limit_option, options_of
from pcapkit.cli.output import check_inputs, check_output, print_path, say_wrapped
from pcapkit.errors import UsageError

_VISIBLE = (
    "pseudonymous, not anonymous: still visible are times, sizes, how often each name is asked, by "
    "whom, and what comes back; how many labels there are, and how long; public suffixes and "
    "cluster words; the class of each address and which addresses share a prefix"
)


@click.command()
@click.argument("capture", metavar="CAPTURE")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="The capture to write, as pcap or pcapng."
)
@click.option(
    "--key",
    "key_file",
    metavar="FILE",
    help="The key of the pseudonyms; made where it is not there. By default FILE.key beside -o.",
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    type=click.IntRange(1, 65535),
    help="Read DNS on this port too.",
)
@limit_option
def share(
    capture: str, output: str, key_file: str | None, ports: tuple[int, ...], limits: tuple[str, ...]
) -> None:
    """Write a packet capture with pseudonyms instead of names and addresses.

    Its analysis is that of CAPTURE, with other names. The same key gives the same pseudonyms, and
    whoever has it can tell who they are: keep it.
    """
    target = Path(output)
    if capture != "-" and target.exists() and os.path.samefile(capture, target):
        raise UsageError("--output: it is the capture itself")
    check_output(str(target.parent))
    options = options_of({"ports": ports, "limits": limits}, ())
    check_inputs((capture,), options.limits)
    from pcapkit.sharing.key import Key, key_in
    from pcapkit.sharing.share import share as run

    path = Path(key_file) if key_file is not None else target.with_name(target.name + ".key")
    is_new = False

    def take_key() -> Key:
        nonlocal is_new
        key, is_new = key_in(path)
        return key

    shared = run(capture, target, take_key, options.ports | {53}, options.limits)
    print_path(target)
    if is_new:
        say_wrapped(f"key: {path} (new, for you alone: whoever has it can undo the pseudonyms)")
    say_wrapped(f"kept: {', '.join(shared.kept_addresses) or 'no address'}; public suffixes")
    dropped = [
        "comments, names of interfaces and hosts",
        _many(shared.payloads_left_out, "payload that is no DNS", "payloads that are no DNS"),
        _many(shared.options_dropped, "EDNS option", "EDNS options"),
        _many(shared.records_blanked, "record blanked", "records blanked"),
        _many(shared.messages_blanked, "message blanked in part", "messages blanked in part"),
        _many(shared.parts_blanked, "fragment or segment blanked", "fragments or segments blanked"),
        _many(
            shared.unread_link_types, "packet of another link type", "packets of other link types"
        ),
    ]
    say_wrapped(f"dropped: {', '.join(d for d in dropped if d)}")
    if shared.damage:
        say_wrapped(f"warning: {shared.damage}")
    say_wrapped(_VISIBLE)


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}" if count else ""
