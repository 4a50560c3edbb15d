#!/usr/bin/env python3
"""A stand-in for kubectl: it plays what a cluster answers, from a folder, and notes what is asked.

The shell that 'exec' would run in a container runs here, with a tcpdump that prints a capture.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

PLAY = Path(os.environ["PLAY"])
RULES = json.loads((PLAY / "rules.json").read_text())


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)


def main():
    given = sys.argv[1:]
    with (PLAY / "asked").open("a") as out:
        out.write(json.dumps(given) + "\n")
    words = " ".join(given)
    for part, text in RULES.get("refuse", {}).items():
        if part in words:
            fail(text)
    if given[:2] == ["get", "pod"]:
        pod = json.loads((PLAY / "pod.json").read_text())
        made = PLAY / "debugger"
        if made.exists():
            state = RULES.get("debugger", {"running": {}})
            pod["status"]["ephemeralContainerStatuses"] = [
                {"name": made.read_text(), "state": state}
            ]
        print(json.dumps(pod))
    elif given[:2] == ["get", "pods,services"]:
        print((PLAY / "pods.json").read_text())
    elif given[0] == "debug":
        (PLAY / "debugger").write_text(given[given.index("-c") + 1])
        (PLAY / "profile").write_text(Path(given[given.index("--custom") + 1]).read_text())
    elif given[0] == "apply":
        (PLAY / "manifest").write_text(Path(given[given.index("-f") + 1]).read_text())
    elif given[0] == "exec":
        command = given[given.index("--") + 1 :]
        if command[0] == "cat":
            print((PLAY / "resolv.conf").read_text())
        elif command[0] == "sh":
            sys.exit(
                subprocess.run(
                    command, env=os.environ | {"PATH": f"{PLAY}:/bin:/usr/bin"}
                ).returncode
            )
    elif given[0] not in ("wait", "delete"):
        fail(f"error: unknown command {given}")


main()
