"""A plan on manifests: which of its steps become which edits of which files, and why not others.

What is ``unsafe`` is never touched, ``review`` only where the caller asks for it. A setting that
obliges names to be written in full is held back unless each of them is rewritten with it: else the
names would be harmed. What several workloads read is changed only where all of them want it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pcapkit.manifests.dns_config import Change, options_of, set_ndots
from pcapkit.manifests.documents import Document, Edit, Unreadable, applied, pairs, read_documents
from pcapkit.manifests.kustomize import Deployed, check_inline, patch_entries, patch_text
from pcapkit.manifests.matching import ChartUse, Matcher, Target, Use
from pcapkit.manifests.names import Found, Text, find_names, texts_of_values
from pcapkit.manifests.objects import Object
from pcapkit.manifests.tree import SourceFile, Tree
from pcapkit.model.clients import Client
from pcapkit.model.plans import Place, Plan, Step
from pcapkit.model.vocabulary import Safety
from pcapkit.names.text import is_host_name
from pcapkit.words import some

#: Codes of steps that write a name in full.
_NAMES = ("use_fqdn", "full_service_name")
_MOST_NDOTS = 15
OPTION = "--include-review"
IN_FULL = "--in-full"


@dataclass(frozen=True)
class FileChange:
    """One file as it was read (None: there is none yet) and as it is to be."""

    path: str
    before: bytes | None = field(repr=False)
    after: bytes = field(repr=False)


@dataclass(frozen=True)
class Fix:
    """A plan with the places of its steps (None: there is none), the files that change, notes."""

    plan: Plan | None
    changes: tuple[FileChange, ...]
    notes: tuple[str, ...]


@dataclass
class _Wish:
    """What one workload is to get: an ndots, names to write in full, and for which steps."""

    ndots: int | None = None
    ndots_step: int = 0
    torn: bool = False  # steps want another ndots each
    obliged: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    step_of: dict[str, int] = field(default_factory=dict)

    def in_full(self, *, held: bool) -> dict[str, str]:
        """Return all names to write in full; without those of a setting that is held back."""
        return dict(self.names) if held else self.names | self.obliged

    def number(self, name: str) -> int:
        """Return the number of the step that a name is of."""
        return self.step_of.get(name, self.ndots_step)


@dataclass
class _Site:
    """One manifest (or chart, or patch of an overlay), and what its uses wish of it."""

    target: Target
    wishes: dict[Use, _Wish] = field(default_factory=dict)
    wish: _Wish = field(default_factory=_Wish)
    held: bool = False
    options: list[tuple[str, str | None]] = field(default_factory=list)  # of a new patch
    variables: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Whose it is, in words."""
        return ", ".join(str(use) for use in sorted(self.wishes))


def fix_plan(
    plan: Plan | None,
    tree: Tree,
    clients: Sequence[Client],
    asked: Mapping[str, frozenset[str]],
    *,
    known: Sequence[Client] | None = None,
    include_review: bool = False,
    elsewhere: Collection[str] = (),
) -> Fix:
    """Return what a plan changes in a folder of manifests.

    ``clients`` are those that the plan was made for, ``known`` the same in the same order, where
    more is known of them now; ``asked`` maps the address of a client to the names that it asked
    for; ``elsewhere`` are names that the caller writes in full where no manifest has them.
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
    fixer = _Fixer(tree, Matcher(tree, clients, asked, known), notes, done_elsewhere)
    fixer.want(steps)
    fixer.settle()
    fixer.edit()
    changes = fixer.changes()
    done = [replace(s, places=tuple(fixer.places.get(s.number, ()))) for s in plan.steps]
    return Fix(replace(plan, steps=tuple(done)), changes, tuple(dict.fromkeys(notes)))


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
        return (
            "a shorter search list needs dnsPolicy None with nameservers, list and ndots written "
            "out, or another resolv.conf on the node: the patches of the report's plan have it"
        )
    else:
        return "it is no edit of a workload's manifest"
    if not all(is_host_name(text) for text in texts):
        return "it has a name that is no host name, and nothing is written for it"
    if step.safety is Safety.REVIEW and not include_review:
        return f"it is review; {OPTION} takes it"
    return ""


class _Fixer:
    """Collects what is wished of each manifest, settles it, and makes the edits."""

    def __init__(
        self, tree: Tree, matcher: Matcher, notes: list[str], elsewhere: frozenset[str]
    ) -> None:
        self._tree = tree
        self._elsewhere = elsewhere
        self._matcher = matcher
        self._notes = notes
        self._sites: dict[tuple[str, int], _Site] = {}
        self._edits: dict[str, dict[tuple[int, int], Edit]] = defaultdict(dict)
        self._new: dict[str, str] = {}
        self.places: dict[int, list[Place]] = defaultdict(list)

    # ---- wishes ---------------------------------------------------------------------------------

    def want(self, steps: Iterable[Step]) -> None:
        """Find the manifest of each subject, and collect what the steps want of it."""
        seen: set[str] = set()
        for step in steps:
            for subject in step.subjects:
                for match in self._matcher.subject(subject):
                    if match.note and match.note not in seen:
                        seen.add(match.note)
                        self._notes.append(match.note)
                    if match.target is not None:
                        site = self._site(match.target)
                        self._add(site.wishes.setdefault(match.use, _Wish()), step, match.use)

    def _site(self, target: Target) -> _Site:
        if isinstance(target, ChartUse):
            key = f"chart {target.chart.folder}", 0
        else:
            overlay = target.overlay.file.path if target.overlay else ""
            key = overlay, id(target.source.node)
        return self._sites.setdefault(key, _Site(target))

    def _add(self, wish: _Wish, step: Step, use: Use) -> None:
        if step.code == "set_ndots":
            if wish.ndots is not None and wish.ndots != step.ndots:
                wish.torn = True
                self._notes.append(
                    f"{use}: steps {wish.ndots_step} and {step.number} want another ndots each: "
                    "it gets none"
                )
                return
            wish.ndots, wish.ndots_step = step.ndots, wish.ndots_step or step.number
            wish.obliged |= {name.lower().rstrip("."): full for name, full in step.names.items()}
        else:
            assert step.name and step.fqdn
            name = step.name.lower().rstrip(".")
            wish.names[name] = step.fqdn
            wish.step_of[name] = step.number

    # ---- agreement ------------------------------------------------------------------------------

    def settle(self) -> None:
        """Take of each manifest what all who deploy it want; hold back what would harm names."""
        for use in self._matcher.uses:
            target = self._matcher.workload(use).target
            if target is not None:
                site = self._site(target)
                site.wishes.setdefault(use, _Wish())
        for wish in (w for s in self._sites.values() for w in s.wishes.values() if w.torn):
            wish.ndots, wish.obliged = None, {}
        self._sites = {k: s for k, s in self._sites.items() if _any_wish(s)}
        for site in self._sites.values():
            site.wish = self._agreed(site)
        changed = True
        while changed:
            changed = False
            for site in self._sites.values():
                if site.wish.obliged and not site.held and (why := self._harmed(site)):
                    site.held = changed = True
                    self._notes.append(
                        f"{site.title}: ndots {site.wish.ndots} (step {site.wish.ndots_step}) is "
                        f"held back: {why}"
                    )

    def _agreed(self, site: _Site) -> _Wish:
        wishes = list(site.wishes.values())
        first = next(w for w in wishes if w.ndots is not None or w.names)
        if len(wishes) == 1:
            return first
        out = _Wish()
        where = _where(site.target)
        if any(w.ndots is not None for w in wishes):
            first = next(w for w in wishes if w.ndots is not None)
            if all((w.ndots, w.obliged) == (first.ndots, first.obliged) for w in wishes):
                out.ndots, out.ndots_step = first.ndots, first.ndots_step
                out.obliged = first.obliged
            else:
                self._notes.append(
                    f"{where} deploys {site.title}, which want another ndots each: it gets none"
                )
        for name in sorted({n for w in wishes for n in w.names}):
            fulls = {w.names.get(name) for w in wishes}
            if len(fulls) == 1:
                (full,) = fulls
                assert full is not None
                out.names[name] = full
                out.step_of[name] = next(w.step_of[name] for w in wishes if name in w.step_of)
            else:
                self._notes.append(
                    f"{where} deploys {site.title}: {name} is written in full in none of them, "
                    "because the full name is that of one of them"
                )
        return out

    def _harmed(self, site: _Site) -> str:
        """Return why the names that a setting obliges cannot all be written in full."""
        found: dict[str, list[Found]] = defaultdict(list)
        for one in self._found(site, site.wish.in_full(held=False)):
            found[one.name].append(one)
        for name in sorted(set(site.wish.obliged) - self._elsewhere):
            said = f"({IN_FULL} {name} says that it is, elsewhere)"
            if not found[name]:
                return f"{name} must be written in full with it, and stands in no value here {said}"
            if listed := [f for f in found[name] if f.edit is None]:
                place = _place(listed[0])
                return (
                    f"{name} must be written in full with it, and stands in {place.file}:"
                    f"{place.line} where it is not changed: {listed[0].why} {said}"
                )
        return ""

    # ---- names ----------------------------------------------------------------------------------

    def _found(self, site: _Site, names: Mapping[str, str]) -> Iterator[Found]:
        """Yield where names stand in a manifest, with their edits where there are any."""
        if not names:
            return
        target = site.target
        if isinstance(target, ChartUse):
            if target.chart.values is not None:
                for text in texts_of_values(target.chart.values):
                    yield from find_names(text, names)
            return
        often = self._matcher.times_deployed(target.source) > 1
        for text, source in self._matcher.texts(target):
            for found in find_names(text, names):
                why = ""
                if source.kind == "ConfigMap":
                    why = self._shared(source, found, target)
                elif often and source is target.source:
                    if target.overlay is None or text.container is None:
                        why = "its manifest is deployed more than once"
                yield replace(found, edit=None, why=why) if found.edit and why else found

    def _shared(self, config_map: Object, found: Found, target: Deployed) -> str:
        """Return why a ConfigMap cannot be changed for one of its readers."""
        if self._matcher.times_deployed(config_map) > 1:
            return "its manifest is deployed more than once"
        for reader in self._matcher.readers(config_map):
            if reader.source.node is target.source.node:
                continue
            sites = [
                s
                for s in self._sites.values()
                if isinstance(s.target, Deployed) and s.target.source.node is reader.source.node
            ]
            wanted = [s.wish.in_full(held=s.held).get(found.name) for s in sites]
            if wanted != [found.after]:
                return f"{reader.source.kind} {reader.name} reads it too"
        return ""

    # ---- edits ----------------------------------------------------------------------------------

    def edit(self) -> None:
        """Make the edits of all manifests, and the places of all steps."""
        for site in self._sites.values():
            wish = site.wish
            if wish.ndots is not None and not site.held:
                try:
                    self._set_ndots(site, wish.ndots)
                except Unreadable as problem:
                    site.held = True
                    self._notes.append(
                        f"{site.title}: {_where(site.target)}: {problem}; ndots {wish.ndots} is to "
                        "be set by hand"
                    )
            why = f"it needs ndots {wish.ndots}, which is not set" if site.held else ""
            seen = set()
            for found in self._found(site, wish.obliged | wish.names):
                seen.add(found.name)
                alone = found.name in wish.names and found.after.endswith(".")
                if found.edit is not None and why and not alone:
                    found = replace(found, edit=None, why=why)
                self._add_place(site, found)
            if missing := set(wish.names) - seen:
                self._notes.append(
                    f"{site.title}: in no value of {_where(site.target)}: {some(sorted(missing))}"
                )
        self._add_patches()

    def _add_place(self, site: _Site, found: Found) -> None:
        place = _place(found)
        listed = self.places[site.wish.number(found.name)]
        if place in listed:
            return
        listed.append(place)
        container = found.text.container
        if found.edit is not None:
            if container is not None and self._by_patch(site, found):
                site.variables.setdefault(container, {})[found.text.key] = found.after
            else:
                self._add_edit(found.text.file, found.edit)
        else:
            self._notes.append(
                f"listed: {place.file}:{place.line}:{place.column}: {found.name} in "
                f"{place.kind}{' ' + found.text.key if found.text.key else ''} is not changed"
                + (f" ({found.why})" if found.why else "")
            )

    def _set_ndots(self, site: _Site, ndots: int) -> None:
        target = site.target
        if isinstance(target, ChartUse):
            change = target.chart.set_ndots(target.templates, ndots)
            if change is not None and target.chart.values is not None:
                self._add_change(site, target.chart.values, change)
            elif change is None:
                self._already(site, ndots)
            return
        if target.overlay is not None:
            self._patch(site, target, ndots)
            return
        spec = target.source.pod_spec
        if spec is None or not pairs(spec[1]):
            raise Unreadable("there is no pod's spec")
        change = set_ndots(target.source.document, *spec, ndots)
        if change is None:
            self._already(site, ndots)
        else:
            self._add_change(site, target.source.file, change)
            if target.source.kind in ("Pod", "Job", "ReplicaSet"):
                self._notes.append(
                    f"{site.title}: a {target.source.kind} that exists keeps its pods' settings: "
                    "it must be created again"
                )

    def _by_patch(self, site: _Site, found: Found) -> bool:
        """Is this variable set by a patch of the overlay, not where it is written?"""
        target = site.target
        return (
            isinstance(target, Deployed)
            and target.overlay is not None
            and found.text.document is target.source.document
        )

    def _patch(self, site: _Site, target: Deployed, ndots: int) -> None:
        """Set ndots by a patch of an overlay: one that is there, or a new one."""
        assert target.overlay is not None
        check_inline(target)
        spec = target.source.pod_spec
        base = options_of(spec[1] if spec else None)
        for patch in self._matcher.kustomizations.patches_of(target):
            found = patch.pod_spec
            if found is not None and options_of(found[1]):
                change = set_ndots(patch.document, *found, ndots)
                if change is None:
                    self._already(site, ndots)
                else:
                    self._add_change(site, patch.file, change)
                return
        if ("ndots", str(ndots)) in base:
            self._already(site, ndots)
            return
        kept = [(name, value) for name, value in base if name != "ndots"]
        site.options = [*kept, ("ndots", str(ndots))]
        patch_entries(target.overlay, [(target, "")])  # raises where none can be named

    def _add_patches(self) -> None:
        """Add patches to overlays: their files, and their entries."""
        wanted: dict[str, list[tuple[_Site, Deployed]]] = defaultdict(list)
        for site in self._sites.values():
            target = site.target
            if isinstance(target, Deployed) and target.overlay is not None:
                if site.options or site.variables:
                    wanted[target.overlay.file.path].append((site, target))
        for path, sites in wanted.items():
            overlay = sites[0][1].overlay
            assert overlay is not None
            folder = "" if overlay.folder == "." else f"{overlay.folder}/"
            texts: dict[str, str] = {}
            for site, one in sites:
                name = self._free(f"{folder}dns-{one.seen_name}", texts)
                newline = overlay.document.newline
                texts[name] = patch_text(one, site.options, site.variables, newline)
            named = [
                (one, name.removeprefix(folder))
                for (_, one), name in zip(sites, texts, strict=True)
            ]
            try:
                edit = patch_entries(overlay, named)
            except Unreadable as problem:
                who = ", ".join(site.title for site, _ in sites)
                self._notes.append(f"{who}: {path}: {problem}; it gets no patch")
                continue
            self._new |= texts
            self._add_edit(overlay.file, edit)
            line, column = overlay.document.place(min(edit.start, len(overlay.document.text) - 1))
            for (site, _), name in zip(sites, texts, strict=True):
                if site.options:
                    said = f"ndots: {site.wish.ndots} ({name})"
                    self.places[site.wish.ndots_step].append(
                        Place(path, line, column, "dnsConfig", "", said)
                    )

    def _free(self, stem: str, taken: Collection[str]) -> str:
        """Return a path that no file has, and that is not taken."""
        number = 1
        while True:
            path = f"{stem}{'' if number == 1 else f'-{number}'}.yaml"
            if path not in self._tree.files and path not in taken:
                if not (self._tree.folder / path).exists():
                    return path
            number += 1

    def _already(self, site: _Site, ndots: int) -> None:
        self._notes.append(f"{site.title}: ndots {ndots} is set in {_where(site.target)} already")

    def _add_change(self, site: _Site, file: SourceFile, change: Change) -> None:
        line, column = _document(file).place(change.start)
        place = Place(file.path, line, column, "dnsConfig", change.before, change.after)
        self.places[site.wish.ndots_step].append(place)
        self._add_edit(file, change.edit)

    def _add_edit(self, file: SourceFile, edit: Edit) -> None:
        self._edits[file.path][edit.start, edit.end] = edit

    def changes(self) -> tuple[FileChange, ...]:
        """Return the files that change, by path. What would no longer parse is left as it is."""
        out = []
        for path, edits in self._edits.items():
            file = self._tree.files[path]
            after = applied(file.text, list(edits.values()))
            try:
                list(read_documents(after))
            except Unreadable as problem:
                self._notes.append(f"{path}: left as it is: its edit would not parse ({problem})")
                continue
            if after != file.text:
                out.append(FileChange(path, file.data, after.encode("utf-8")))
        out += [FileChange(path, None, text.encode()) for path, text in self._new.items()]
        return tuple(sorted(out, key=lambda change: change.path))


def _any_wish(site: _Site) -> bool:
    return any(w.ndots is not None or w.names for w in site.wishes.values())


def _document(file: SourceFile) -> Document:
    return file.documents[0]


def _where(target: Target) -> str:
    if isinstance(target, ChartUse):
        folder = "" if target.chart.folder == "." else f"{target.chart.folder}/"
        return f"{folder}values.yaml" if target.chart.values else f"{folder}Chart.yaml"
    return target.overlay.file.path if target.overlay else target.source.file.path


def _place(found: Found) -> Place:
    text: Text = found.text
    line, column = text.document.place(found.start)
    after = found.after if found.edit is not None else None
    return Place(text.file.path, line, column, text.kind, found.before, after)
