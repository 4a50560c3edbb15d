"""A fix as JSON and SARIF, and written: whole files, and none that changed meanwhile."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pcapkit.manifests.fix import Fix, fix_plan
from pcapkit.manifests.output import fix_json, fix_sarif, unified_diff, write_fix
from pcapkit.manifests.tree import read_tree
from tests.manifests.plans import client, in_full, plan, set_ndots, write_tree
from tests.manifests.test_trees import CASES, fixed
from tests.manifests.trees import ENV, KUSTOMIZE, deployment


def closed(required: str = "", **properties: Any) -> dict[str, Any]:
    """Return an object that has these properties and no others, as SARIF's schema closes all."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def listed(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item}


TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = closed("text", text=TEXT)
#: The parts of SARIF 2.1.0 (OASIS, sections 3.13, 3.14, 3.18 to 3.20, 3.27 to 3.30) in use here.
SARIF = closed(
    "version runs",
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs=listed(
        closed(
            "tool",
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            tool=closed(
                "driver",
                driver=closed(
                    "name",
                    name=TEXT,
                    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
                    informationUri=TEXT,
                    rules=listed(closed("id", id=TEXT, shortDescription=MESSAGE)),
                ),
            ),
            invocations=listed(
                closed(
                    "executionSuccessful",
                    executionSuccessful={"type": "boolean"},
                    toolExecutionNotifications=listed(
                        closed("message", level=LEVEL, message=MESSAGE)
                    ),
                )
            ),
            results=listed(
                closed(
                    "message",
                    ruleId=TEXT,
                    ruleIndex={"type": "integer", "minimum": -1},
                    level=LEVEL,
                    message=MESSAGE,
                    locations=listed(
                        closed(
                            physicalLocation=closed(
                                artifactLocation=closed(
                                    uri={"type": "string", "pattern": r"^[\w.~%/:-]+$"}
                                ),
                                region=closed(startLine=COUNT, startColumn=COUNT, endColumn=COUNT),
                            )
                        )
                    ),
                )
            ),
        )
    ),
)


def results(log: str) -> Iterator[tuple[str, str, int, int, str]]:
    """Yield rule, level, line, column and file of each result."""
    values = json.loads(log)
    jsonschema.validate(values, SARIF)
    (run,) = values["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        (location,) = result["locations"]
        where = location["physicalLocation"]
        region = where["region"]
        at = region["startLine"], region["startColumn"]
        yield result["ruleId"], result["level"], *at, where["artifactLocation"]["uri"]


@pytest.mark.parametrize("name", CASES)
def test_sarif_is_valid_and_points_into_the_files(name: str, tmp_path: Path) -> None:
    folder = write_tree(tmp_path, CASES[name].files)
    made = fixed(CASES[name], folder)
    assert made.plan is not None
    places = [place for step in made.plan.steps for place in step.places]
    found = list(results(fix_sarif(made, "my manifests/x")))
    assert len(found) == len(places)
    for (_, level, line, column, uri), place in zip(found, places, strict=True):
        assert uri == f"my%20manifests/x/{place.file}"
        assert (level == "note") == (place.after is None)
        text = (folder / place.file).read_bytes().decode().split("\n")
        assert line <= len(text) and column <= len(text[line - 1]) + 1
        if place.kind != "dnsConfig":
            assert text[line - 1][column - 1 :].startswith(place.before)
    if unified_diff(made):
        assert any(place.after is not None for place in places)


def test_sarif_of_an_absolute_folder(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, CASES["plain"].files)
    (found,) = results(fix_sarif(fixed(CASES["plain"], folder), str(folder)))
    assert found == ("set_ndots", "warning", 9, 1, (folder / "web.yaml").as_uri())


def test_json_has_the_plan_with_its_places(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, CASES["names"].files)
    made = fixed(CASES["names"], folder)
    values = json.loads(fix_json(made, "x"))
    assert values["schema"] == "pcapkit.fix/1"
    assert values["diff"] == unified_diff(made) and values["notes"] == list(made.notes)
    assert values["files"] == [{"path": "web.yaml", "new": False}]
    places = [p for step in values["plan"]["steps"] for p in step["places"]]
    assert {
        "file": "web.yaml",
        "line": 18,
        "column": 23,
        "kind": "env",
        "before": "db.prod",
        "after": "db.prod.svc.cluster.local.",
    } in places
    assert [p["after"] for p in places if p["before"] == "redis" and p["line"] == 14] == [None]


# ---- writing ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "api.yaml": deployment(ENV, name="api"),
        "web.yaml": deployment(),
        "kust/kustomization.yaml": "namespace: kust\nresources: [../base]\n",
        "base/kustomization.yaml": "resources: [db.yaml]\n",
        "base/db.yaml": deployment(name="db", namespace=None),
    }
    return write_tree(tmp_path / "deploy", files)


def made_for(folder: Path) -> Fix:
    clients = [client(), client(workload="api"), client("kust", "db")]
    steps = plan(
        set_ndots(2, "shop/web", "shop/api", "kust/db"),
        in_full("db.prod", "db.prod.svc.", "shop/api"),
    )
    return fix_plan(steps, read_tree(folder), clients, {})


def test_writing_keeps_permissions_and_leaves_nothing_else(folder: Path) -> None:
    (folder / "web.yaml").chmod(0o640)
    written, refused = write_fix(made_for(folder), folder)
    assert not refused
    assert {p.relative_to(folder).as_posix() for p in written} == {
        "api.yaml",
        "web.yaml",
        "kust/kustomization.yaml",
        "kust/dns-db.yaml",
    }
    assert stat.S_IMODE((folder / "web.yaml").stat().st_mode) == 0o640
    assert not list(folder.rglob(".*"))


def test_a_file_that_changed_since_it_was_read_is_left(folder: Path) -> None:
    made = made_for(folder)
    late = (folder / "web.yaml").read_bytes() + b"# late\n"
    (folder / "web.yaml").write_bytes(late)
    written, refused = write_fix(made, folder)
    assert (folder / "web.yaml").read_bytes() == late
    assert refused == [f"{folder / 'web.yaml'}: has changed since it was read; left as it is"]
    assert folder / "api.yaml" in written


def test_a_patch_is_not_written_without_the_kustomization_that_names_it(folder: Path) -> None:
    made = made_for(folder)
    (folder / "kust/kustomization.yaml").write_text("resources: []\n")
    _, refused = write_fix(made, folder)
    assert len(refused) == 2 and not (folder / "kust/dns-db.yaml").exists()


def test_a_kustomization_is_not_written_without_its_patch(folder: Path) -> None:
    made = made_for(folder)
    (folder / "kust/dns-db.yaml").write_text("mine\n")
    before = (folder / "kust/kustomization.yaml").read_bytes()
    _, refused = write_fix(made, folder)
    assert len(refused) == 2 and (folder / "kust/dns-db.yaml").read_text() == "mine\n"
    assert (folder / "kust/kustomization.yaml").read_bytes() == before


def test_a_read_only_file_is_left_and_named(folder: Path) -> None:
    (folder / "web.yaml").chmod(0o444)
    before = (folder / "web.yaml").read_bytes()
    _, refused = write_fix(made_for(folder), folder)
    assert refused == [f"{folder / 'web.yaml'}: is read-only; left as it is"]
    assert (folder / "web.yaml").read_bytes() == before


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(deployment(name="out"))
    elsewhere = write_tree(tmp_path / "elsewhere", {"in.yaml": deployment(name="in")})
    os.symlink(outside, folder / "out.yaml")
    os.symlink(elsewhere, folder / "far")
    os.symlink(folder / "web.yaml", folder / "again.yaml")
    tree = read_tree(folder)
    assert not {"out.yaml", "again.yaml", "far/in.yaml"} & set(tree.files)
    assert [n for n in tree.notes if "symbolic link out of the folder" in n] == [
        f"{folder / name}: a symbolic link out of the folder, which is not followed"
        for name in ("far", "out.yaml")
    ]
    made = made_for(folder)
    (folder / "web.yaml").unlink()
    os.symlink(outside, folder / "web.yaml")
    _, refused = write_fix(made, folder)
    assert any("has become a symbolic link" in why for why in refused)
    assert outside.read_text() == deployment(name="out")


def test_a_second_patch_gets_another_name(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {**KUSTOMIZE, "overlays/shop/dns-web.yaml": "kind: Mine\n"})
    made = fix_plan(plan(set_ndots(2)), read_tree(folder), [client()], {})
    assert [c.path for c in made.changes] == [
        "overlays/shop/dns-web-2.yaml",
        "overlays/shop/kustomization.yaml",
    ]


def test_odd_file_names_stay_one_line_of_a_diff(tmp_path: Path) -> None:
    folder = write_tree(
        tmp_path, {'a "b" \\c.yaml': deployment(), "x\n+++ b.yaml": deployment(name="api")}
    )
    made = fix_plan(plan(set_ndots(2, "shop/web", "shop/api")), read_tree(folder), [client()], {})
    lines = unified_diff(made).splitlines()
    assert lines[:2] == ['--- "a/a \\"b\\" \\\\c.yaml"', '+++ "b/a \\"b\\" \\\\c.yaml"']
    assert any("characters that no diff can hold" in note for note in made.notes)
