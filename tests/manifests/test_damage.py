"""Damaged manifests: nothing breaks, and what is written still parses to what was there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapkit.errors import InputError
from pcapkit.manifests.fix import fix_plan
from pcapkit.manifests.output import unified_diff
from pcapkit.manifests.tree import read_tree
from tests.manifests.plans import plan, write_tree
from tests.manifests.test_trees import CASES, without_dns

PIECES = ["\n", " ", "- ", ": ", "{", "}", "[", "]", "'", '"', "#", "&a ", "*a", "<<: ", "|", "\t"]
DAMAGE = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 3),
    st.sampled_from([*PIECES, "{{", "\0", "\x85", "\u2028", "? ", "---\n", "!!map ", "null", ""]),
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(CASES)), hits=st.lists(DAMAGE, min_size=1, max_size=4))
def test_damage_breaks_nothing(name: str, hits: list[tuple[float, int, str]]) -> None:
    case = CASES[name]
    files = dict(case.files)
    for where, cut, piece in hits:
        path = sorted(files)[int(where * len(files))]
        text = files[path]
        at = int(where * len(text))
        files[path] = text[:at] + piece + text[at + cut :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            tree = read_tree(write_tree(Path(folder), files))
        except InputError:
            return
        made = fix_plan(
            plan(*case.steps), tree, case.clients, case.asked or {}, include_review=True
        )
    assert isinstance(unified_diff(made), str)
    for change in made.changes:
        if change.before is not None:
            try:
                old = list(map(without_dns, yaml.safe_load_all(change.before)))
            except yaml.YAMLError:  # ruamel.yaml reads more than PyYAML: YAML 1.2
                continue
            new = list(map(without_dns, yaml.safe_load_all(change.after)))
            assert new == old, (files[change.path], unified_diff(made))
