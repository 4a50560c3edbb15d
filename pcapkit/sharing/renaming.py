"""Names and addresses of what was collected, replaced by pseudonyms before anything is read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePath

from pcapkit.addresses import address_text, ip_or_none, packed_name
from pcapkit.errors import UsageError
from pcapkit.kernels.interning import Interner
from pcapkit.names.text import CUT_LABEL, UNKNOWN_NAME, wire_labels
from pcapkit.pipeline.collect import Collected
from pcapkit.pipeline.options import Options
from pcapkit.sharing.addresses import Addresses
from pcapkit.sharing.key import key_in
from pcapkit.sharing.names import Names
from pcapkit.sharing.permutations import digest

_ADDRESS = re.compile(r"[0-9a-fA-F]*[.:][0-9a-fA-F.:]+")
#: What the user says of names and clients would be in the words of the original.
_NAMING = ("search", "resolv_confs", "cluster_domains", "corefile", "pods", "clients")


class Pseudonymizer:
    """Renames all that was collected, by the key in a file, which is made where it is not there."""

    def __init__(self, path: str) -> None:
        self.key, self.is_new = key_in(Path(path))
        self._addresses = Addresses(self.key)
        self._names = Names(self.key, self._addresses)

    def __call__(self, collected: Collected) -> None:
        """Give ``collected`` pseudonyms; ids stay, names of pods and containers are dropped."""
        interners = collected.interners
        interners.names = self._renamed(interners.names)
        addresses = Interner()
        for packed in interners.addresses:
            addresses.add(self._address(packed))
        interners.addresses = addresses
        interners.owners.clear()
        collected.pods.clear()
        collected.warnings[:] = [_ADDRESS.sub(self._in_text, w) for w in collected.warnings]
        collected.captures[:] = [replace(c, path=PurePath(c.path).name) for c in collected.captures]

    def _address(self, packed: bytes) -> bytes:
        if ip_or_none(packed) is None:
            return packed_name("host-" + digest(self.key.labels, b"client", packed, 6).hex())
        return self._addresses.ip(packed)

    def _in_text(self, found: re.Match[str]) -> str:
        text = found[0].rstrip(".:")
        address = ip_or_none(text)
        if address is None:
            return found[0]
        return address_text(self._addresses.ip(address.packed)) + found[0][len(text) :]

    def _renamed(self, names: Interner) -> Interner:
        out = Interner()
        for number, wire in enumerate(names):
            new = self._name(wire)
            if out.add(new) != number:  # it differed in case alone, where there are no letters now
                new = next(v for v in _cases(new) if out.add(v) == number)
        return out

    def _name(self, wire: bytes) -> bytes:
        if wire == UNKNOWN_NAME:
            return wire
        labels = wire_labels(wire)
        is_cut = bool(labels) and labels[-1].endswith(CUT_LABEL)
        if is_cut:
            labels[-1] = labels[-1].removesuffix(CUT_LABEL)
        begun = [label for label in labels if label]
        mapped = self._names.labels([label.lower() for label in begun]).mapped
        mapped = [_as_cased(old, new) for old, new in zip(begun, mapped, strict=True)]
        if is_cut:
            if len(begun) < len(labels):
                mapped.append(b"")
            mapped[-1] += CUT_LABEL
        return b"".join(bytes([len(label)]) + label for label in mapped) + b"\0"


def _as_cased(old: bytes, new: bytes) -> bytes:
    if len(old) != len(new) or old.islower():
        return new
    pairs = zip(old, new, strict=True)
    return bytes(n - 32 if 65 <= o <= 90 and 97 <= n <= 122 else n for o, n in pairs)


def _cases(name: bytes) -> list[bytes]:
    places = [k for k, byte in enumerate(name) if 65 <= byte & 0xDF <= 90][:12]
    out = []
    for chosen in range(1, 1 << len(places)):
        variant = bytearray(name)
        for bit, place in enumerate(places):
            if chosen >> bit & 1:
                variant[place] ^= 32
        out.append(bytes(variant))
    return out


def pseudonymizer(path: str | None, options: Options) -> Pseudonymizer | None:
    """Return what renames, None where no key is named; UsageError beside options with names."""
    if path is None:
        return None
    unset = Options()
    if any(getattr(options, name) != getattr(unset, name) for name in _NAMING):
        raise UsageError(
            "--pseudonymize: leave out the options that name pods, clients, suffixes and zones"
        )
    return Pseudonymizer(path)
