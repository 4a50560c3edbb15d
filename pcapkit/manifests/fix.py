"""A plan on manifests: which of its steps become which edits of which files, and why not others.

What is ``unsafe`` is never touched, ``review`` only where the caller asks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pcapkit.cluster.nameservers import UNKNOWN, Nameservers
from pcapkit.manifests.edits import FileChange, Fixer
from pcapkit.manifests.matching import Matcher
from pcapkit.manifests.tree import Tree
from pcapkit.model.clients import Client
from pcapkit.model.plans import Plan, Step
from pcapkit.model.vocabulary import Safety
from pcapkit.names.text import is_host_name

#: Codes of steps that write a name in full.
_NAMES = ("use_fqdn", "full_service_name")
_MOST_NDOTS = 15
OPTION = "--include-review"


@dataclass(frozen=True)
class Fix:
    """A plan with the places of its steps (None: there is none), the files that change, notes."""

    plan: Plan | None
    changes: tuple[FileChange, ...]
    notes: tuple[str, ...]


def fix_plan(
    plan: Plan | None,
    tree: Tree,
    clients: Sequence[Client],
    asked: Mapping[str, frozenset[str]],
    *,
    known: Sequence[Client] | None = None,
    nameservers: Nameservers = UNKNOWN,
    include_review: bool = False,
    elsewhere: Collection[str] = (),
) -> Fix:
    """Return what a plan changes in a folder of manifests.

    ``clients`` are those that the plan was made for, ``known`` the same in the same order, where
    more is known of them now; ``asked`` maps the address of a client to the names that it asked
    for; ``nameservers`` are those that their pods have; ``elsewhere`` are names that the caller
    writes in full where no manifest has them.
    """
    notes = list(tree.notes)
    if plan is None or not plan.steps:
        return Fix(plan, (), (*notes, "the analysis has no such plan: there is nothing to change"))
    if plan.safety is Safety.UNSAFE:
        return Fix(plan, (), (*notes, "the plan is unsafe as a whole: nothing is changed"))
    if plan.steps_in_all > len(plan.steps):
        notes.append(
            f"the analysis lists the first {len(plan.steps)} of the plan's {plan.steps_in_all} "
            "steps: the others are not looked at"
        )
    steps = list(_usable(plan, include_review, notes))
    if not steps:
        return Fix(plan, (), tuple(notes))
    done_elsewhere = frozenset(name.lower().rstrip(".") for name in elsewhere)
    exact: set[str] = set()
    while True:
        said = list(notes)
        fixer = Fixer(tree, Matcher(tree, clients, asked, known), said, done_elsewhere, nameservers)
        fixer.want(steps)
        fixer.settle()
        fixer.edit()
        if not (odd := set(fixer.odd_files()) - exact):
            break
        exact |= odd
        tree = tree.exactly(odd)
        notes += [note for note in tree.notes if note not in notes]
    changes = fixer.changes()
    done = [replace(s, places=tuple(fixer.places.get(s.number, ()))) for s in plan.steps]
    return Fix(replace(plan, steps=tuple(done)), changes, tuple(dict.fromkeys(said)))


def _usable(plan: Plan, include_review: bool, notes: list[str]) -> Iterator[Step]:
    """Yield the steps that may be taken, and note why others are not."""
    kept: list[Step] = []
    left: list[Step] = []
    reviews = 0
    for step in plan.steps:
        why = _why_not(step, include_review)
        if not why and not step.final_dot and step.code in _NAMES:
            needed = [
                s for s in left if s.code == "set_ndots" and set(s.subjects) & set(step.subjects)
            ]
            if needed:
                why = f"it needs step {needed[0].number}, which is left out"
        if why:
            left.append(step)
            reviews += why.startswith("it is review")
            notes.append(f"step {step.number} ({step.code}) is left out: {why}")
        else:
            kept.append(step)
    if plan.steps and not kept and reviews == len(plan.steps):
        reasons = list(dict.fromkeys(r for s in left for r in s.reasons))
        because = f" ({'; '.join(reasons[:2])})" if reasons else ""
        notes[-len(left) :] = [
            f"every step of this plan is review{because}: nothing is changed; {OPTION} takes "
            "such steps too"
        ]
    yield from kept


def _why_not(step: Step, include_review: bool) -> str:
    if step.safety is Safety.UNSAFE:
        return "it is unsafe"
    if step.code == "set_ndots":
        if step.ndots is None or not 0 <= step.ndots <= _MOST_NDOTS:
            return "it names no ndots"
        texts = [*step.names, *step.names.values()]
    elif step.code in _NAMES:
        if not step.name or not step.fqdn:
            return "it names no name"
        texts = [step.name, step.fqdn]
    elif step.code == "drop_suffix":
        if not step.suffixes:
            return "it names no suffix"
        texts = list(step.suffixes)
    else:
        return "it is no edit of a workload's manifest"
    if not all(is_host_name(text) for text in texts):
        return "it has a name that is no host name, and nothing is written for it"
    if step.safety is Safety.REVIEW and not include_review:
        return f"it is review; {OPTION} takes it"
    return ""
