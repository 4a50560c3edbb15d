"""A fix as a unified diff, as JSON, as SARIF 2.1.0 (OASIS), and written to the files."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from pcapkit.files import files_at_once
from pcapkit.manifests.edits import FileChange
from pcapkit.manifests.fix import Fix
from pcapkit.model.plans import Place, Step
from pcapkit.model.vocabulary import Safety
from pcapkit.version import __version__

SCHEMA = "pcapkit.fix/1"
_SARIF = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_RULES = {
    "set_ndots": "Set ndots in the pods' dnsConfig.",
    "use_fqdn": "Write an external name with its final dot.",
    "drop_suffix": "Take suffixes that never answer anything out of the search list.",
    "full_service_name": "Write a service of another namespace in full.",
}


def render_fix(fix: Fix, folder: str, form: str) -> str:
    """Return a fix in one of ``FIX_FORMATS``."""
    if form == "diff":
        return unified_diff(fix)
    return fix_json(fix, folder) if form == "json" else fix_sarif(fix, folder)


# ---- a diff -----------------------------------------------------------------------------------


def unified_diff(fix: Fix) -> str:
    """Return one diff of all files, as ``patch -p1`` and ``git apply`` take it in the folder."""
    return "".join(line for change in fix.changes for line in _diff(change))


def _diff(change: FileChange) -> Iterator[str]:
    before = _lines((change.before or b"").decode("utf-8"))
    after = _lines(change.after.decode("utf-8"))
    old = "/dev/null" if change.before is None else _shown(f"a/{change.path}")
    for line in difflib.unified_diff(before, after, old, _shown(f"b/{change.path}")):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+\Z", text)


def _shown(path: str) -> str:
    """Return a path as diffs write it: quoted where it is not plain (git's core.quotePath)."""
    if path.isprintable() and not set(path) & set('"\\'):
        return f"{path}\t" if " " in path else path
    return json.dumps(path)


# ---- JSON -------------------------------------------------------------------------------------


def fix_json(fix: Fix, folder: str) -> str:
    """Return a fix as JSON text, schema ``pcapkit.fix/1``."""
    files = [{"path": c.path, "new": c.before is None} for c in fix.changes]
    values = {
        "schema": SCHEMA,
        "manifests": folder,
        "plan": None if fix.plan is None else asdict(fix.plan),
        "files": files,
        "notes": list(fix.notes),
        "diff": unified_diff(fix),
    }
    return json.dumps(values, indent=2) + "\n"


# ---- SARIF ------------------------------------------------------------------------------------


def fix_sarif(fix: Fix, folder: str) -> str:
    """Return a fix as a SARIF log: a result for each place, ``note`` where it is only listed.

    Paths go out from where the command runs, as ``folder`` does; they are no absolute ones, so
    that a code host finds the files in its own copy.
    """
    used = [s for s in (fix.plan.steps if fix.plan else ()) if s.places]
    codes = sorted({s.code for s in used})
    rules = [{"id": code, "shortDescription": {"text": _RULES.get(code, code)}} for code in codes]
    results = [
        _result(step, codes.index(step.code), place, folder)
        for step in used
        for place in step.places
    ]
    driver = {
        "name": "pcapkit",
        "semanticVersion": __version__,
        "informationUri": "https://pypi.org/project/pcapkit-dns/",
        "rules": rules,
    }
    run: dict[str, object] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    if fix.notes:
        said = [{"level": "note", "message": {"text": note}} for note in fix.notes]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": said}]
    log = {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2) + "\n"


def _result(step: Step, rule: int, place: Place, folder: str) -> dict[str, object]:
    changed = place.after is not None
    safe = "safe" if step.safety is Safety.SAFE else step.safety.value
    if step.code == "set_ndots" and place.kind == "dnsConfig":
        said = f"Set ndots to {step.ndots} (step {step.number}, {safe})."
    elif step.code == "drop_suffix":
        gone = " and ".join(step.suffixes)
        said = f"Take {gone} out of the search list (step {step.number}, {safe})."
    elif changed:
        said = f"Write {place.after} instead of {place.before} (step {step.number}, {safe})."
    else:
        said = f"{place.before} stands here and is not changed (step {step.number}, {safe})."
    region: dict[str, int] = {"startLine": place.line, "startColumn": place.column}
    if place.kind != "dnsConfig" and "\n" not in place.before:
        region["endColumn"] = place.column + len(place.before)
    location = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(folder, place.file)},
            "region": region,
        }
    }
    return {
        "ruleId": step.code,
        "ruleIndex": rule,
        "level": "warning" if changed else "note",
        "message": {"text": said},
        "locations": [location],
    }


def _uri(folder: str, path: str) -> str:
    joined = os.path.normpath(os.path.join(folder, path))
    if os.path.isabs(joined):
        return Path(joined).as_uri()
    return quote(Path(joined).as_posix())


# ---- files ------------------------------------------------------------------------------------


def write_fix(fix: Fix, folder: Path) -> tuple[list[Path], list[str]]:
    """Write the files that change, all at once; return those written, and why others not.

    A file that is no longer as it was read, that has become a link, or that may not be written is
    left as it is. Where one file of several cannot be written, those that need each other (a patch
    and the kustomization that names it) are left too. Raises InputError, and changes nothing, where
    the disk is full.
    """
    refused = [(c, why) for c in fix.changes if (why := _refusal(c, folder))]
    said = [f"{folder / c.path}: {why}; left as it is" for c, why in refused]
    left = {c.path for c, _ in refused}
    apart = {os.path.dirname(c.path) for c in fix.changes if c.before is None} & {
        os.path.dirname(path) for path in left
    }
    written = []
    with files_at_once(str(folder)) as begin:
        for change in fix.changes:
            path = folder / change.path
            if change.path in left:
                continue
            if os.path.dirname(change.path) in apart:
                said.append(f"{path}: left as it is: a file beside it that it needs was refused")
                continue
            mode = None if change.before is None else stat.S_IMODE(path.stat().st_mode)
            begin(path, mode).write(change.after)
            written.append(path)
    return written, said


def _refusal(change: FileChange, folder: Path) -> str:
    path = folder / change.path
    inside = Path(os.path.realpath(folder))
    if not Path(os.path.realpath(path.parent)).is_relative_to(inside) or path.is_symlink():
        return "has become a symbolic link since it was read"
    if path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK):
        return "lies in a folder that is read-only"
    if change.before is None:
        return "has come into being since the folder was read" if os.path.lexists(path) else ""
    try:
        now = path.read_bytes()
        writable = path.stat().st_mode & 0o222 and os.access(path, os.W_OK)
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"
    if now != change.before:
        return "has changed since it was read"
    return "" if writable else "is read-only"
