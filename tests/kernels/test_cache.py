"""Compiled kernels between runs: where they are kept, and when they no longer count."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pcapkit

PACKAGE = Path(pcapkit.__file__).parent
#: Adds a name, which compiles one small kernel; prints where it is kept, and if it was found there.
ADD = (
    "from pcapkit.kernels import interning as i; i.Interner().add(b'x'); s = i._intern_one.stats; "
    "print(s.cache_path, sum(s.cache_hits.values()))"
)
WHERE = (
    "from pcapkit.kernels.cache import folder_for; "
    "print(folder_for('pcapkit.analysis.lookups.grouping'))"
)
#: Renders a template; prints where its compiled form is kept.
TEMPLATE = (
    "from pcapkit.report.html.page import environment as e; "
    "e().get_template('picture.html').render(); "
    "print(e().bytecode_cache.directory)"
)
#: Asks for the folder of every module in many threads at once, each of which leaves a file there;
#: prints how many files are missing afterwards.
CROWD = """
import sys, threading
from pathlib import Path
from pcapkit.kernels.cache import folder_for
package, threads = Path(sys.argv[1]), 8
modules = [".".join(p.relative_to(package.parent).with_suffix("").parts)
           for p in sorted(package.rglob("[a-z]*.py"))]
together = threading.Barrier(threads, timeout=10)
def begin(number):
    for module in modules:
        together.wait()
        Path(folder_for(module), str(number)).touch()
started = [threading.Thread(target=begin, args=(n,)) for n in range(threads)]
for thread in started:
    thread.start()
for thread in started:
    thread.join()
print(sum(threads - len(list(Path(folder_for(m)).iterdir())) for m in modules))
"""

#: Root reads and writes everything, unless it is started without that privilege.
PLAIN = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
needs_setpriv = pytest.mark.skipif(
    bool(PLAIN) and shutil.which("setpriv") is None, reason="setpriv is not installed"
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, without anything compiled."""
    copy = tmp_path / "site" / "pcapkit"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def environment(package: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    path = str(package.parent)
    return kept | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | more


def run(code: str, package: Path, *, prefix: tuple[str, ...] = (), **more: str) -> str:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code],
        env=environment(package, **more),
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def folder_and_hits(answer: str) -> tuple[Path, int]:
    folder, hits = answer.rsplit(" ", 1)
    return Path(folder), int(hits)


def test_kernels_are_kept_beside_the_package(package: Path) -> None:
    folder, hits = folder_and_hits(run(ADD, package))
    assert hits == 0 and folder.is_relative_to(package) and list(folder.glob("*.nbi"))
    assert folder_and_hits(run(ADD, package)) == (folder, 1)


def test_templates_are_kept_with_them(package: Path) -> None:
    folder = Path(run(TEMPLATE, package))
    assert folder.is_relative_to(package) and list(folder.iterdir())
    never = "import jinja2; jinja2.Environment.compile = None; "
    assert run(never + TEMPLATE, package) == str(folder)


def test_a_template_is_compiled_where_its_folder_has_gone(package: Path) -> None:
    gone = "import shutil; from pcapkit.report.html.page import environment as e; "
    gone += "shutil.rmtree(e().bytecode_cache.directory); "
    assert not Path(run(gone + TEMPLATE, package)).exists()


def test_a_change_in_what_a_kernel_is_made_of_makes_it_anew(package: Path) -> None:
    elsewhere = WHERE.replace("analysis.lookups.grouping", "kernels.interning")
    before, apart = Path(run(WHERE, package)), run(elsewhere, package)
    with (package / "analysis" / "lookups" / "state.py").open("a") as helpers:
        helpers.write("\nNEW = 1\n")
    after = Path(run(WHERE, package))
    assert after != before and not before.exists()  # nothing is left behind by older versions
    assert run(elsewhere, package) == apart


@needs_setpriv
def test_a_read_only_package_uses_the_folder_of_the_user(package: Path, tmp_path: Path) -> None:
    package.chmod(0o555)
    own = {"HOME": str(tmp_path / "home")}
    folder, _ = folder_and_hits(run(ADD, package, prefix=PLAIN, **own))
    assert folder.is_relative_to(tmp_path / "home" / ".cache" / "pcapkit")
    assert folder_and_hits(run(ADD, package, prefix=PLAIN, **own)) == (folder, 1)
    own["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    folder, _ = folder_and_hits(run(ADD, package, prefix=PLAIN, **own))
    assert folder.is_relative_to(tmp_path / "cache" / "pcapkit")


@needs_setpriv
def test_nothing_is_left_where_nothing_may_be_kept(package: Path, tmp_path: Path) -> None:
    package.chmod(0o555)
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir(mode=0o555)
    temporary.mkdir()
    child = f"import subprocess, sys; {ADD}; subprocess.run([sys.executable, '-c', sys.argv[0]])"
    child = child.replace("sys.argv[0]", repr(ADD)) + "; sys.stdout.flush()"
    said = run(child, package, prefix=PLAIN, HOME=str(home), TMPDIR=str(temporary)).splitlines()
    (folder, _), (again, hits) = sorted(map(folder_and_hits, said), key=lambda item: item[1])
    assert folder == again and hits == 1  # the processes that it starts share its folder
    assert folder.is_relative_to(temporary) and not list(temporary.iterdir())
    command = f"{ADD}; import sys; sys.argv = ['pcapkit', '--version']; "
    command += "from pcapkit.cli.main import main; main()"
    run(command, package, prefix=PLAIN, HOME=str(home), TMPDIR=str(temporary))
    assert not list(temporary.iterdir())


def test_a_named_folder_beats_all_others(package: Path, tmp_path: Path) -> None:
    folder, _ = folder_and_hits(run(ADD, package, NUMBA_CACHE_DIR=str(tmp_path / "named")))
    assert folder.is_relative_to(tmp_path / "named")


def _other_user(folder: Path) -> None:
    os.chown(folder, 65534, -1)


def _any_user(folder: Path) -> None:
    folder.chmod(0o777)


def _group(folder: Path) -> None:
    folder.chmod(0o775)


def _link(folder: Path) -> None:
    apart = folder.with_name(f"{folder.name}-apart")
    folder.rename(apart)
    folder.symlink_to(apart)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
SPOILED = [pytest.param(_other_user, marks=needs_root), _any_user, _group, _link]


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("level", range(3))
def test_nothing_is_read_from_where_somebody_else_may_write(
    package: Path, tmp_path: Path, spoil: Callable[[Path], None], level: int
) -> None:
    named = tmp_path / "named"
    own = {"NUMBA_CACHE_DIR": str(named), "HOME": str(tmp_path / "home")}
    before = Path(run(WHERE, package, **own))
    assert before.parents[1] == named
    spoil([named, before.parent, before][level])
    assert Path(run(WHERE, package, **own)).is_relative_to(tmp_path / "home")
    assert before.exists()  # nor is anything removed there


@pytest.mark.parametrize("spoil", SPOILED[:-1])
def test_nothing_is_read_from_where_somebody_else_may_put_another_folder(
    package: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    around = tmp_path / "around"
    own = {"NUMBA_CACHE_DIR": str(around / "named"), "HOME": str(around / "home")}
    own["TMPDIR"] = str(tmp_path)
    before = Path(run(WHERE, package, **own))
    assert before.is_relative_to(around)
    spoil(around)
    after = Path(run(WHERE, package, **own))
    assert after.parents[2] == tmp_path and not after.exists()  # it went with its process


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("level", range(3))
def test_the_package_is_no_better_a_place_than_its_own_folder(
    package: Path, tmp_path: Path, spoil: Callable[[Path], None], level: int
) -> None:
    own = {"HOME": str(tmp_path / "home")}
    before = Path(run(WHERE, package, **own))
    assert before.is_relative_to(package)
    spoil([before, before.parent, before.parent.parent][level])
    assert Path(run(WHERE, package, **own)).is_relative_to(tmp_path / "home")


def test_who_may_change_the_package_may_write_what_is_compiled_of_it(package: Path) -> None:
    package.chmod(0o775)  # as with a umask of 002
    before = Path(run(WHERE, package))
    for folder in (before.parent, before.parent.parent):
        folder.chmod(0o775)
    assert Path(run(WHERE, package)) == before


def test_what_is_compiled_is_not_left_for_others_to_change(package: Path, tmp_path: Path) -> None:
    own = {"NUMBA_CACHE_DIR": str(tmp_path / "named")}
    folder, _ = folder_and_hits(run(f"import os; os.umask(0); {ADD}", package, **own))
    way = [folder, *folder.parents]
    way = way[: way.index(tmp_path)]
    assert any(not step.stat().st_mode & 0o011 for step in way)  # nobody else comes that far
    assert not any(step.stat().st_mode & 0o022 for step in way[1:])
    assert folder_and_hits(run(ADD, package, **own)) == (folder, 1)


def test_two_first_runs_at_once_do_not_hinder_each_other(package: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ADD],
            env=environment(package),
            cwd=package.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        said, problem = process.communicate()
        assert process.returncode == 0 and said and not problem
    assert folder_and_hits(run(ADD, package))[1] == 1


def test_a_first_run_removes_nothing_of_another_one(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CROWD, str(package)],
        env=environment(package),
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "" and done.stdout == "0\n"


def test_kernels_of_others_are_kept_where_they_were(package: Path) -> None:
    code = "import numba, pcapkit.kernels.interning; print(repr(numba.config.CACHE_DIR))"
    assert run(code, package) == "''"
