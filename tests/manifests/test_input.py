"""Folders that are no manifests, files that are no YAML, and what is no plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.errors import InputError
from pcapkit.manifests.documents import Unreadable, read_documents
from pcapkit.manifests.fix import fix_plan
from pcapkit.manifests.output import fix_json, fix_sarif, unified_diff
from pcapkit.manifests.tree import read_tree
from pcapkit.model.vocabulary import Safety
from tests.manifests.plans import client, in_full, plan, set_ndots, write_tree
from tests.manifests.trees import ENV, deployment


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "there are no manifests in it"),
        ({"README.md": "x"}, "there are no manifests in it"),
        ({".git/web.yaml": deployment()}, "there are no manifests in it"),
        ({"a.yaml": "a: [\n"}, "there are no manifests in it that can be used: a.yaml: line 2:"),
    ],
)
def test_a_folder_without_manifests(files: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as problem:
        read_tree(write_tree(tmp_path, files))
    assert says in str(problem.value)


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_tree(tmp_path / "none")
    (tmp_path / "web.yaml").write_text(deployment())
    with pytest.raises(InputError, match="is no folder"):
        read_tree(tmp_path / "web.yaml")


def test_files_that_cannot_be_used_are_named_and_others_go_on(tmp_path: Path) -> None:
    write_tree(tmp_path, {"web.yaml": deployment(), "tab.yaml": "a:\n\tb: c\n"})
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    (tmp_path / "deep.yaml").write_text("[" * 5000 + "]" * 5000)
    (tmp_path / "long.yaml").write_text("a: b\n" * 2_000_000)
    (tmp_path / "nul.yaml").write_bytes(b"a: \0\n")
    tree = read_tree(tmp_path)
    assert list(tree.files) == ["web.yaml"]
    notes = "\n".join(tree.notes)
    for part in (
        "tab.yaml: line 2: no YAML",
        "latin.yaml: byte 3 is no UTF-8",
        "deep.yaml: nested too deeply",
        "long.yaml: larger than 8 MiB",
        "nul.yaml: no YAML",
    ):
        assert part in notes, notes
    made = fix_plan(plan(set_ndots(2)), tree, [client()], {})
    assert "+      dnsConfig:" in unified_diff(made)


def test_aliases_do_not_multiply(tmp_path: Path) -> None:
    """Nine levels of nine aliases each are nine lists, not some hundred million."""
    lines = ["a0: &a0 [x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)
    ]
    (document,) = read_documents("\n".join(lines))
    assert document.is_shared(document.root.value[0][1])
    with pytest.raises(Unreadable):
        list(read_documents("a: *nowhere\n"))


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    (document,) = read_documents("a: &x 1\nb: &x 2\nc: *x\n")
    (_, first), (_, second), (_, alias) = document.root.value
    assert alias is second and document.is_shared(second) and not document.is_shared(first)


def test_without_a_plan_there_is_nothing_to_change(tmp_path: Path) -> None:
    tree = read_tree(write_tree(tmp_path, {"web.yaml": deployment()}))
    for one in (None, plan()):
        made = fix_plan(one, tree, [], {})
        assert not made.changes and "nothing to change" in made.notes[-1]
        assert unified_diff(made) == "" and fix_json(made, "x") and fix_sarif(made, "x")


def test_a_step_that_needs_one_left_out_is_left_out_too(tmp_path: Path) -> None:
    """Without its final dot a full name needs the ndots that the plan sets."""
    tree = read_tree(write_tree(tmp_path, {"web.yaml": deployment(ENV)}))
    steps = (
        set_ndots(2, safety=Safety.REVIEW),
        in_full("db.prod", "db.prod.svc.cluster.local"),
        in_full("redis", "redis.shop.svc.cluster.local."),
    )
    made = fix_plan(plan(*steps), tree, [client()], {})
    assert (
        "step 2 (full_service_name) is left out: it needs step 1, which is left out" in made.notes
    )
    assert "db.prod.svc" not in unified_diff(made) and "redis.shop" in unified_diff(made)
    made = fix_plan(plan(*steps), tree, [client()], {}, include_review=True)
    assert "db.prod.svc" in unified_diff(made) and "dnsConfig" in unified_diff(made)


@pytest.mark.parametrize("name", ["a.b", "c.d"])
def test_two_steps_that_disagree(name: str, tmp_path: Path) -> None:
    tree = read_tree(write_tree(tmp_path, {"web.yaml": deployment()}))
    made = fix_plan(
        plan(set_ndots(2), set_ndots(3), in_full(name, f"{name}.")), tree, [client()], {}
    )
    assert "shop/web: steps 1 and 2 want another ndots each: it gets none" in made.notes
    assert f"shop/web: in no value of web.yaml: {name}" in made.notes
    assert unified_diff(made) == ""


@pytest.mark.parametrize(
    ("elsewhere", "is_set"), [((), False), (("other.name",), False), (("DB.prod.",), True)]
)
def test_names_written_in_full_elsewhere(
    elsewhere: tuple[str, ...], is_set: bool, tmp_path: Path
) -> None:
    """A setting waits for the names that it would harm, wherever they are written."""
    tree = read_tree(write_tree(tmp_path, {"web.yaml": deployment()}))
    steps = plan(set_ndots(1, names={"db.prod": "db.prod.svc.cluster.local"}))
    made = fix_plan(steps, tree, [client()], {}, elsewhere=elsewhere)
    assert ("dnsConfig" in unified_diff(made)) == is_set
    assert is_set or "--in-full db.prod says that it is, elsewhere" in made.notes[-1]
