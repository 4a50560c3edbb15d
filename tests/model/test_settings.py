"""A setting has one text, from which the same setting is read."""

from __future__ import annotations

import pytest

from pcapkit.model.settings import Change, Setting

TEXTS = {
    "in-force": Setting(Change.NOTHING),
    "ndots:0": Setting(Change.NDOTS, 0),
    "ndots:15": Setting(Change.NDOTS, 15),
    "fqdn": Setting(Change.FQDN),
    "fqdn:10": Setting(Change.FQDN, names=10),
    "fqdn+ndots:2": Setting(Change.FQDN_NDOTS, 2),
    "cluster-names-in-full": Setting(Change.CLUSTER_FQDN),
    "no-aaaa": Setting(Change.NO_AAAA),
    "autopath": Setting(Change.AUTOPATH),
    "cache": Setting(Change.CACHE),
    "drop:a:b.example": Setting(Change.DROP, suffix="a:b.example"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_setting_is_written_as_it_is_read(text: str) -> None:
    assert Setting.parse(text) == TEXTS[text]
    assert str(TEXTS[text]) == text


def test_every_change_has_a_text() -> None:
    assert {s.change for s in TEXTS.values()} == set(Change)


@pytest.mark.parametrize("text", ["", "ndots", "ndots:", "ndots:x", "fqdn:", "drop", "cache:1"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Setting.parse(text)
