"""The names that a stub resolver may send for one base name, in order."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.errors import UsageError
from pcapkit.names.text import dots, fold, wire_from_text
from pcapkit.resolver.models import ABANDON, ResolverModel


def candidates(
    name: str, search: Sequence[str], *, ndots: int, model: ResolverModel
) -> tuple[str, ...]:
    """Return the names a resolver would send for ``name``, in order, were all to fail.

    A final dot makes the name absolute. Raises UsageError where it is no domain name.
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
        if _fits(f"{base}.{suffix}" if suffix != "." else base):
            listed.append(f"{base}.{suffix}" if suffix != "." else ".")
        elif model.on_too_long == ABANDON:
            break
    if dots(base) > 0 and not model.searches_dotted:
        return as_is
    if not model.tries_as_is:
        return tuple(listed)
    if dots(base) >= model.effective_ndots(ndots):
        return (*as_is, *listed) if model.searches_after_as_is else as_is
    return (*listed, *as_is) if model.as_is_after_list or not listed else tuple(listed)


def _fits(name: str) -> bool:
    try:
        wire_from_text(name)
    except ValueError:
        return False
    return True
