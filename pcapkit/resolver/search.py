"""The names that a stub resolver may send for one base name, in order."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.errors import UsageError
from pcapkit.names.text import dots, fold, wire_from_text
from pcapkit.resolver.models import ABANDON, ROOT_FAILS, ResolverModel


def candidates(
    name: str, search: Sequence[str], *, ndots: int, model: ResolverModel
) -> tuple[str, ...]:
    """Return the names a resolver would send for ``name``, in order, were all to fail.

    A final dot makes the name absolute. A list entry ``.`` is the name as is at that place; it is
    not asked again where it was (glibc's ``root_on_list``; for others that is a retry). Raises
    UsageError where ``name`` is no domain name.
    """
    try:
        wire_from_text(name)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    base = fold(name)
    never = bool(model.never_asked) and base.endswith(f".{model.never_asked}")
    if never and not model.searches_never_asked:
        return ()
    as_is = () if never else (base,)
    if name.endswith(".") or not model.searches:
        return as_is
    listed: list[str] = []
    for suffix in model.effective_search(search):
        if suffix == ".":
            listed += (".",) if model.root_suffix == ROOT_FAILS else as_is
        elif _fits(f"{base}.{suffix}"):
            listed.append(f"{base}.{suffix}")
        elif model.on_too_long == ABANDON:
            break
    if dots(base) > 0 and not model.searches_dotted:
        return as_is
    if not model.tries_as_is:
        return _once(listed)
    if dots(base) >= model.effective_ndots(ndots):
        return _once((*as_is, *listed)) if model.searches_after_as_is else as_is
    return _once((*listed, *as_is)) if model.as_is_after_list or not listed else _once(listed)


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _fits(name: str) -> bool:
    try:
        wire_from_text(name)
    except ValueError:
        return False
    return True
