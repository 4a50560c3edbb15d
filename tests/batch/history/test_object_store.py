"""A history on object storage: a real S3 server, through the commands."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.cli.test_cli import GLIBC, run
from tests.servers import s3_server

pytest.importorskip("duckdb")
pytest.importorskip("s3fs")


def test_audits_keep_their_history_in_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "store/bucket").mkdir(parents=True)
    url = "s3://bucket/team/audits"
    with s3_server(tmp_path / "store") as environment:
        for _ in range(2):  # the second time it is there already
            audit = ("audit", GLIBC, "-o", str(tmp_path / "out"), "--format", "json", "-q")
            done = run(*audit, "--history", url, **environment)
            assert done.returncode == 0, done.stderr
        files = [p for p in (tmp_path / "store").rglob("*") if p.is_file()]
        assert [p.suffix for p in files] == [".parquet"]
        assert files[0].parent.parent == tmp_path / "store/bucket/team/audits/history/v1"
        (files[0].parent / "torn.parquet").write_bytes(files[0].read_bytes()[:-9])
        query = "select path, queries, wasted_queries from captures"
        done = run("sql", query, "--history", url, "--format", "csv", **environment)
        assert done.returncode == 0, done.stderr
        (row,) = csv.DictReader(io.StringIO(done.stdout.decode()))
        assert row["queries"] == "242" and row["path"].endswith(Path(GLIBC).name)
        assert b"torn.parquet" in done.stderr
        missing = run("sql", query, "--history", "s3://elsewhere/x", **environment)
        assert missing.returncode == 2 and b"s3://elsewhere/x" in missing.stderr
        assert environment["AWS_SECRET_ACCESS_KEY"].encode() not in missing.stderr
    assert not (tmp_path / "out/history").exists()
