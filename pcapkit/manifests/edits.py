"""What the steps of a plan change in manifests: collected, settled, and made into edits.

A setting that obliges names to be written in full is held back unless each of them is rewritten
with it: else the names would be harmed. What several workloads read is changed only where all of
them want it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pcapkit.cluster.nameservers import Nameservers
from pcapkit.manifests.dns_config import Change, Wanted, options_of, set_dns
from pcapkit.manifests.documents import (
    Document,
    Edit,
    Unreadable,
    applied,
    get,
    is_readable,
    pairs,
    stands_alike,
)
from pcapkit.manifests.kustomize import Deployed, check_inline, patch_entries, patch_text
from pcapkit.manifests.matching import ChartUse, Matcher, Target, Use
from pcapkit.manifests.names import Found, Text, find_names, texts_of_values
from pcapkit.manifests.objects import Object
from pcapkit.manifests.search_list import NONE, Declared, PodsNow, pods_now, shortened
from pcapkit.manifests.tree import SourceFile, Tree
from pcapkit.model.plans import Place, Step
from pcapkit.words import some

IN_FULL = "--in-full"


@dataclass(frozen=True)
class FileChange:
    """One file as it was read (None: there is none yet) and as it is to be."""

    path: str
    before: bytes | None = field(repr=False)
    after: bytes = field(repr=False)


@dataclass
class _Wish:
    """What one workload is to get: an ndots, a shorter list, names in full, and for which steps.

    ``now`` is what its pods have, where its search list is to be without ``suffixes``.
    """

    ndots: int | None = None
    ndots_step: int = 0
    torn: bool = False  # steps want another ndots each
    obliged: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    step_of: dict[str, int] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    list_step: int = 0
    now: PodsNow = PodsNow()

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
    patch: Wanted = Wanted()  # what a new patch of an overlay sets
    variables: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Whose it is, in words."""
        return ", ".join(str(use) for use in sorted(self.wishes))


class Fixer:
    """Collects what is wished of each manifest, settles it, and makes the edits."""

    def __init__(
        self,
        tree: Tree,
        matcher: Matcher,
        notes: list[str],
        elsewhere: frozenset[str],
        nameservers: Nameservers,
    ) -> None:
        self._tree = tree
        self._elsewhere = elsewhere
        self._matcher = matcher
        self._notes = notes
        self._nameservers = nameservers
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
                        wish = site.wishes.setdefault(match.use, _Wish())
                        if step.code == "drop_suffix":
                            wish.suffixes += step.suffixes
                            wish.list_step = wish.list_step or step.number
                            wish.now = pods_now(match.clients, self._nameservers)
                        else:
                            self._add(wish, step, match.use)

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
        first = next(w for w in wishes if _wishes(w))
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
        if any(w.suffixes for w in wishes):
            first = next(w for w in wishes if w.suffixes)
            if all((w.suffixes, w.now) == (first.suffixes, first.now) for w in wishes):
                out.suffixes, out.list_step, out.now = first.suffixes, first.list_step, first.now
            else:
                self._notes.append(
                    f"{where} deploys {site.title}, which have or want another search list each: "
                    "it stays as it is"
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
            wanted = Wanted(None if site.held else wish.ndots)
            if not wish.suffixes or not self._shorten(site, wanted):
                self._set_ndots(site, wanted)
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

    def _set_ndots(self, site: _Site, wanted: Wanted) -> None:
        """Set ndots alone, where it is wanted."""
        if wanted.ndots is None:
            return
        try:
            self._set_dns(site, wanted)
        except Unreadable as problem:
            site.held = True
            self._notes.append(
                f"{site.title}: {_where(site.target)}: {problem}; ndots {wanted.ndots} is to be "
                "set by hand"
            )

    def _shorten(self, site: _Site, wanted: Wanted) -> bool:
        """Make the search list shorter, and set ndots with it; say whether anything was done."""
        wish, where = site.wish, _where(site.target)
        gone = " and ".join(wish.suffixes)
        try:
            declared, space = self._declared(site), self._namespace(site.target)
            shorter = shortened(declared, wish.now, wish.suffixes, wanted.ndots, space)
            if shorter is None:
                self._notes.append(f"{site.title}: {gone} is in no list of {where}")
                return False
            self._set_dns(site, shorter)
        except Unreadable as problem:
            self._notes.append(
                f"{site.title}: {where}: {problem}; {gone} (step {wish.list_step}) is not taken "
                "out of the search list"
            )
            return False
        if shorter.policy == NONE:
            self._notes.append(
                f"{site.title}: dnsPolicy None takes nothing from the cluster: compare "
                f"nameservers, searches and options of {where} with /etc/resolv.conf of a pod"
            )
        return True

    def _namespace(self, target: Target) -> str | None:
        """Return the namespace that a manifest is deployed to; None where it may be several."""
        if isinstance(target, ChartUse):
            return None
        often = target.overlay is None and self._matcher.times_deployed(target.source) > 1
        return None if often else target.namespace

    def _declared(self, site: _Site) -> Declared:
        """Return what a manifest says of its pods' DNS; raises Unreadable."""
        target = site.target
        if isinstance(target, ChartUse):
            return target.chart.declared(target.templates)
        patches = []
        if target.overlay is not None:
            check_inline(target, ("dnsConfig", "dnsPolicy", "hostNetwork"))
            patches = self._matcher.kustomizations.patches_of(target)
        specs = (one.pod_spec for one in (target.source, *patches))
        return Declared.of([spec[1] if spec else None for spec in specs])

    def _set_dns(self, site: _Site, wanted: Wanted) -> None:
        """Give a manifest what is wanted of its pods' DNS; raises Unreadable."""
        target = site.target
        if isinstance(target, ChartUse):
            place = target.chart.place(target.templates)
            assert target.chart.values is not None
            self._add_changes(site, target.chart.values, set_dns(*place, wanted))
            return
        if target.overlay is not None:
            self._patch(site, target, wanted)
            return
        spec = target.source.pod_spec
        if spec is None or not pairs(spec[1]):
            raise Unreadable("there is no pod's spec")
        changes = set_dns(target.source.document, *spec, wanted)
        self._add_changes(site, target.source.file, changes)
        if changes and target.source.kind in ("Pod", "Job", "ReplicaSet"):
            self._notes.append(
                f"{site.title}: a {target.source.kind} that exists keeps its pods' settings: it "
                "must be created again"
            )

    def _by_patch(self, site: _Site, found: Found) -> bool:
        """Is this variable set by a patch of the overlay, not where it is written?"""
        target = site.target
        return (
            isinstance(target, Deployed)
            and target.overlay is not None
            and found.text.document is target.source.document
        )

    def _patch(self, site: _Site, target: Deployed, wanted: Wanted) -> None:
        """Set what is wanted by a patch of an overlay: one that is there, or a new one."""
        assert target.overlay is not None
        check_inline(target, ("dnsConfig",))
        spec = target.source.pod_spec
        options = options_of(spec[1] if spec else None)
        place = None
        for patch in self._matcher.kustomizations.patches_of(target):
            found = patch.pod_spec
            if found is None:
                continue
            if of_patch := options_of(found[1]):
                options = of_patch
            if wanted.has_list:
                is_own = patch.name in (target.seen_name, target.source.name)
                if is_own and (get(found[1], "dnsConfig") or get(found[1], "dnsPolicy")):
                    place = patch, found
            elif of_patch and place is None:
                place = patch, found
        others = tuple((name, value) for name, value in options if name != "ndots")
        wanted = replace(wanted, options=others)
        if place is not None:
            patch, found = place
            self._add_changes(site, patch.file, set_dns(patch.document, *found, wanted))
            return
        if ("ndots", str(wanted.ndots)) in options:
            self._already(site, wanted.ndots)
            wanted = replace(wanted, ndots=None, options=())
        if wanted != Wanted():
            patch_entries(target.overlay, [(target, "")])  # raises where none can be named
        site.patch = wanted

    def _add_patches(self) -> None:
        """Add patches to overlays: their files, and their entries."""
        wanted: dict[str, list[tuple[_Site, Deployed]]] = defaultdict(list)
        for site in self._sites.values():
            target = site.target
            if isinstance(target, Deployed) and target.overlay is not None:
                if site.patch != Wanted() or site.variables:
                    wanted[target.overlay.file.path].append((site, target))
        for path, sites in wanted.items():
            overlay = sites[0][1].overlay
            assert overlay is not None
            folder = "" if overlay.folder == "." else f"{overlay.folder}/"
            texts: dict[str, str] = {}
            for site, one in sites:
                name = self._free(f"{folder}dns-{one.seen_name}", texts)
                newline = overlay.document.newline
                texts[name] = patch_text(one, site.patch, site.variables, newline)
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
                for number, said in _of_steps(site):
                    place = Place(path, line, column, "dnsConfig", "", f"{said} ({name})")
                    self.places[number].append(place)

    def _free(self, stem: str, taken: Collection[str]) -> str:
        """Return a path that no file has, and that is not taken."""
        number = 1
        while True:
            path = f"{stem}{'' if number == 1 else f'-{number}'}.yaml"
            if path not in self._tree.files and path not in taken:
                if not (self._tree.folder / path).exists():
                    return path
            number += 1

    def _already(self, site: _Site, ndots: int | None) -> None:
        if ndots is not None and ndots == site.wish.ndots:
            where = _where(site.target)
            self._notes.append(f"{site.title}: ndots {ndots} is set in {where} already")

    def _add_changes(self, site: _Site, file: SourceFile, changes: Sequence[Change]) -> None:
        if site.wish.ndots is not None and not site.held and all(c.of_list for c in changes):
            self._already(site, site.wish.ndots)
        for change in changes:
            if not change.of_list and site.wish.ndots is None:
                continue  # what a shorter list has to write out
            line, column = _document(file).place(change.start)
            place = Place(file.path, line, column, "dnsConfig", change.before, change.after)
            listed = self.places[site.wish.list_step if change.of_list else site.wish.ndots_step]
            if place not in listed:
                listed.append(place)
        for edit in dict.fromkeys(e for change in changes for e in change.edits):
            self._add_edit(file, edit)

    def _add_edit(self, file: SourceFile, edit: Edit) -> None:
        self._edits[file.path][edit.start, edit.end] = edit

    def odd_files(self) -> list[str]:
        """Return the files with edits in documents that do not stand where the composer says."""
        odd = []
        for path, edits in self._edits.items():
            for document in self._tree.files[path].documents:
                begin, end = document.root.start_mark.index, document.root.end_mark.index
                touched = any(begin <= e.end and e.start <= end for e in edits.values())
                if touched and not stands_alike(document):
                    odd.append(path)
                    break
        return odd

    def changes(self) -> tuple[FileChange, ...]:
        """Return the files that change, by path. What would no longer parse is left as it is."""
        out = []
        for path, edits in self._edits.items():
            file = self._tree.files[path]
            after = applied(file.text, list(edits.values()))
            if not is_readable(after):
                self._notes.append(f"{path}: left as it is: its edit would not parse")
                continue
            if after != file.text:
                out.append(FileChange(path, file.data, after.encode("utf-8")))
        out += [FileChange(path, None, text.encode()) for path, text in self._new.items()]
        return tuple(sorted(out, key=lambda change: change.path))


def _any_wish(site: _Site) -> bool:
    return any(_wishes(w) for w in site.wishes.values())


def _wishes(wish: _Wish) -> bool:
    return wish.ndots is not None or bool(wish.names) or bool(wish.suffixes)


def _of_steps(site: _Site) -> Iterator[tuple[int, str]]:
    """Yield the steps that a new patch is of, and what it sets for each."""
    if site.patch.has_list:
        yield site.wish.list_step, site.patch.said()
    if site.patch.ndots is not None and site.wish.ndots is not None:
        yield site.wish.ndots_step, f"ndots: {site.patch.ndots}"


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
