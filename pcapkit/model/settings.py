"""What a what-if changes: a setting as a record, and as the text that it has in JSON and tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Change(StrEnum):
    """What a setting changes; the value is its word in the setting's text."""

    NOTHING = "in-force"
    NDOTS = "ndots"
    FQDN = "fqdn"  # names are written with their final dots: all, or the so many that cost most
    FQDN_NDOTS = "fqdn+ndots"  # another ndots, and the names that it harms with their final dots
    CLUSTER_FQDN = "cluster-names-in-full"
    NO_AAAA = "no-aaaa"
    AUTOPATH = "autopath"
    CACHE = "cache"
    DROP = "drop"  # a suffix is taken out of the search list


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of resolvers, or of the cluster's DNS.

    ``ndots`` is the value of NDOTS and FQDN_NDOTS, ``names`` how many names FQDN is for (None:
    all), ``suffix`` the one that DROP takes out, in presentation form.
    """

    change: Change
    ndots: int | None = None
    names: int | None = None
    suffix: str | None = None

    @property
    def is_ndots(self) -> bool:
        """Is another ndots all that it changes?"""
        return self.change is Change.NDOTS

    @property
    def is_fqdn_of_all(self) -> bool:
        """Is every name written with its final dot?"""
        return self.change is Change.FQDN and self.names is None

    def __str__(self) -> str:
        values = (self.ndots, self.names, self.suffix)
        value = next((v for v in values if v is not None), None)
        return self.change.value if value is None else f"{self.change.value}:{value}"

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Read a setting's text; raises ValueError where it is none."""
        word, colon, value = text.partition(":")
        change = Change(word)
        if change is Change.DROP and colon:
            return cls(change, suffix=value)
        if change in (Change.NDOTS, Change.FQDN_NDOTS):
            return cls(change, ndots=int(value))
        if change is Change.FQDN and colon:
            return cls(change, names=int(value))
        if colon or change is Change.DROP:
            raise ValueError(f"no setting: {text!r}")
        return cls(change)
