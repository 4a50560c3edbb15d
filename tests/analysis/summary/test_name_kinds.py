"""What sort of name a lookup asked for is told by what answered, not by how the name is spelt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.analysis.talk import LIST, SERVICES, Talk


@pytest.mark.parametrize(
    "name",
    [
        "1web.shop",  # a service may start with a digit (KEP-5311)
        "10-244-1-7.shop",
        "eu-west-1a.web.shop",  # a part of a headless service (CoreDNS 1.14.7, pull 8388)
        "_http._tcp.web.shop",
    ],
)
def test_every_form_of_a_service_is_of_the_cluster(name: str, tmp_path: Path) -> None:
    talk = Talk()
    talk.walk(0, name, ends_at=LIST.index(SERVICES))
    talk.walk(5000, "api.example.com")
    kinds = {n.base_name: n.kind for n in talk.analyze(tmp_path).name_rows}
    assert kinds == {name: "cluster", "api.example.com": "external"}
