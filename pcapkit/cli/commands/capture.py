"""``pcapkit capture``: From a pod to its report, by kubectl."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcapkit.cli.options import (
    options_of,
    output_options,
    parse_formats,
    parse_seconds,
    reading_options,
)
from pcapkit.cli.output import check_output, print_path, say
from pcapkit.cli.reports import report_on
from pcapkit.cli.session import first_interrupt
from pcapkit.errors import UsageError

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.pipeline.hooks import Hooks


@click.command()
@click.argument("pod", metavar="pod/NAME")
@click.option("-n", "--namespace", default="default", show_default=True, metavar="NAMESPACE")
@click.option(
    "-c", "--container", metavar="NAME", help="Of several in the pod; by default the first."
)
@click.option(
    "--for", "time", default="10m", show_default=True, metavar="TIME", help="Such as 90s."
)
@click.option(
    "--via",
    type=click.Choice(["exec", "debug", "node"]),
    help="Where tcpdump runs; by default in the pod if its image has it, else beside it.",
)
@click.option("--image", metavar="IMAGE", help="Of the debug container, with tcpdump in it.")
@click.option("--context", metavar="NAME", help="kubectl's context.")
@click.option("--kubeconfig", metavar="FILE", help="kubectl's configuration.")
@click.option("--dry-run", is_flag=True, help="Print the commands, and run none.")
@output_options("html,png,json")
@reading_options
def capture(
    pod: str,
    namespace: str,
    container: str | None,
    time: str,
    via: str | None,
    image: str | None,
    context: str | None,
    kubeconfig: str | None,
    dry_run: bool,
    output: str,
    formats: str,
    quiet: bool,
    verbose: bool,
    **values: object,
) -> None:
    """Capture a pod's DNS with kubectl, and write its report.

    tcpdump runs in the pod where its image has it, else in a debug container beside it (NET_RAW
    alone), or, with --via node, in a pod on its node. The pod's resolv.conf and the list of pods
    are read as well. The capture stays beside the report. Ctrl-C ends the capture early.
    """
    from pcapkit.capturing import ways
    from pcapkit.capturing.kubectl import Kubectl
    from pcapkit.capturing.pod import Pod, checked, find_pod, pod_name
    from pcapkit.capturing.session import capture as run

    wanted, options = parse_formats(formats), options_of(values, ())
    name, seconds = pod_name(pod), parse_seconds(time, "--for")
    checked(namespace, "namespace")
    kubectl, way = Kubectl(context, kubeconfig), None if via is None else ways.Via(via)
    own = f"pcapkit-{secrets.token_hex(4)}"
    if dry_run:
        shown = Pod(namespace, name, "NODE", (container or "CONTAINER",), ("POD-ADDRESS",))
        wish = ways.Wish(shown, shown.containers[0], seconds, image or ways.DEFAULT_IMAGE, own)
        click.echo("\n".join(ways.dry_run(kubectl, wish, way)))
        return
    check_output(output)
    found = find_pod(kubectl, namespace, name)
    if container is not None and container not in found.containers:
        known = ", ".join(found.containers)
        raise UsageError(f"{found.title} has no container {container!r}: it has {known}")
    chosen = container or found.containers[0]
    wish = ways.Wish(found, chosen, seconds, image or ways.DEFAULT_IMAGE, own)
    from pcapkit.files import whole_file

    path = Path(output) / f"{namespace}-{name}.pcap"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as out:
        learned = run(kubectl, wish, way, out, say, first_interrupt)
    if learned.resolv_conf is not None and not options.resolv_confs:
        options = replace(options, resolv_confs=((None, learned.resolv_conf),))
    if learned.pods is not None and not options.pods.path:
        options = replace(options, pods=learned.pods)

    def read(hooks: Hooks) -> Analysis:
        from pcapkit.pipeline.analyze import analyze

        return analyze(path, options=options, hooks=hooks)

    report_on(read, output, wanted, options=options, quiet=quiet, verbose=verbose)
    print_path(path)
