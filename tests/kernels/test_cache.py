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
ROOT = Path(__file__).resolve().parents[2]
CAPTURE = ROOT / "captures" / "lab" / "whatif_w1_glibc_ndots5.pcap"
#: Adds names, which compiles one small kernel; prints where it is kept, and if it was found there.
#: That there is something to find is known before.
ADD = (
    "from pcapkit.kernels import interning as i, jit; before = jit.compiled_before(i._intern_one); "
    "a = i.Interner().add; assert [a(b'x'), a(b'yy'), a(b''), a(b'yy')] == [0, 1, 2, 1]; "
    "(form,) = i._intern_one.forms.values(); "
    "assert before == form.found; print(form.folder, int(form.found))"
)
#: What the command line does before it reads, and the processes that it starts for that.
ANNOUNCED = (
    "import sys; from pcapkit.cli.session import first_run; started = []; "
    "sys.addaudithook(lambda e, a: started.append(a[1]) if e == 'subprocess.Popen' else None); "
    "context = first_run(); context.__enter__(); print(started); context.__exit__(None, None, None)"
)
#: Analyses the file that is named.
ANALYZE = (
    "import sys; from pcapkit.cli.main import main; "
    "sys.argv = ['pcapkit', 'analyze', sys.argv[1], '--json']; sys.exit(main())"
)
#: The folders of kernels that have been used.
KEPT = (
    "import gc; from pcapkit.kernels.compiled import Compiled; "
    "print(*{c.folder for c in gc.get_objects() if type(c) is Compiled and c.folder})"
)
#: No folder for temporary files.
NOWHERE = "import tempfile; tempfile.tempdir = '/proc/none'; "
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

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


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
    assert hits == 0 and folder.is_relative_to(package) and list(folder.glob("*.kernel"))
    assert folder_and_hits(run(ADD, package)) == (folder, 1)


def test_templates_are_kept_with_them(package: Path) -> None:
    folder = Path(run(TEMPLATE, package))
    assert folder.is_relative_to(package) and list(folder.iterdir())
    never = "import jinja2; jinja2.Environment.compile = None; "
    assert run(never + TEMPLATE, package) == str(folder)


def test_a_template_is_compiled_where_its_folder_has_gone_or_its_form_is_cut(package: Path) -> None:
    gone = "import shutil; from pcapkit.report.html import page; "
    gone += f"shutil.rmtree(page.folder_for(page.__name__)); {TEMPLATE}"
    folder = Path(run(gone, package))
    (form,) = folder.iterdir()
    whole = form.read_bytes()
    for size in (0, 5, 30, len(whole) // 2):
        form.write_bytes(whole[:size])
        assert run(TEMPLATE, package) == str(folder) and form.read_bytes() == whole


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


def _ship(package: Path) -> Path:
    """Compile, and make of it what a release wheel brings; return the folder of one module."""
    folder, _ = folder_and_hits(run(ADD, package))
    run(TEMPLATE, package)
    shipped = package / "kernels" / "shipped"
    folder.parent.rename(shipped)
    return shipped / folder.name


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_copy_elsewhere_is_as_good(package: Path, tmp_path: Path) -> None:
    folder, _ = folder_and_hits(run(ADD, package))
    copy = tmp_path / "elsewhere" / "pcapkit"
    shutil.copytree(package, copy, copy_function=shutil.copyfile)  # all files are new
    again, hits = folder_and_hits(run(ADD, copy))
    assert hits == 1 and again == copy / folder.relative_to(package)


@needs_setpriv
def test_what_a_wheel_brings_needs_no_place_to_write(package: Path, tmp_path: Path) -> None:
    shipped = _ship(package)
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    for folder in (package, *(p for p in package.rglob("*") if p.is_dir())):
        folder.chmod(0o555)
    before = _contents(tmp_path)
    said = run(NOWHERE + ADD, package, prefix=PLAIN, HOME=str(home))
    assert folder_and_hits(said) == (shipped, 1)
    never = f"{NOWHERE}import jinja2; jinja2.Environment.compile = None; "
    assert Path(run(never + TEMPLATE, package, prefix=PLAIN, HOME=str(home))).is_relative_to(
        package
    )
    assert _contents(tmp_path) == before and not list(home.iterdir())


def test_what_a_wheel_brings_is_not_written(package: Path) -> None:
    shipped = _ship(package)
    before = _contents(shipped.parent)
    other = {"NUMBA_CPU_NAME": "nocona", "NUMBA_CPU_FEATURES": ""}
    folder, hits = folder_and_hits(run(ADD, package, **other))
    assert hits == 0 and folder.parent == package / "__pycache__" / "kernels"
    assert folder_and_hits(run(ADD, package, **other)) == (folder, 1)
    assert folder_and_hits(run(ADD, package)) == (shipped, 1)
    assert _contents(shipped.parent) == before


@needs_setpriv
def test_where_nothing_can_be_written_at_all_nothing_is_kept(package: Path, tmp_path: Path) -> None:
    package.chmod(0o555)
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    said = run(NOWHERE + ADD, package, prefix=PLAIN, HOME=str(home))
    assert said == "0"  # no folder, no hit
    assert run(NOWHERE + TEMPLATE, package, prefix=PLAIN, HOME=str(home)) == ""


@pytest.mark.parametrize(
    "other",
    [
        {"NUMBA_CPU_NAME": "nocona", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+sse4.2"},
        {"NUMBA_BOUNDSCHECK": "1"},
        {"NUMBA_OPT": "1"},
    ],
    ids=str,
)
def test_what_was_compiled_for_something_else_is_not_taken(
    package: Path, other: dict[str, str]
) -> None:
    folder, hits = folder_and_hits(run(ADD, package, **other))
    assert hits == 0 and folder_and_hits(run(ADD, package)) == (folder, 0)
    assert folder_and_hits(run(ADD, package)) == (folder, 1)


def test_the_cpu_that_is_compiled_for_is_any_of_its_kind(package: Path) -> None:
    run(ADD, package)
    any_cpu = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert folder_and_hits(run(ADD, package, **any_cpu))[1] == 1


def _not_ours(form: Path) -> None:
    os.chown(form, 65534, -1)


def _open_to_all(form: Path) -> None:
    form.parent.chmod(0o755)
    form.chmod(0o666)


def _linked(form: Path) -> None:
    form.rename(form.with_suffix(".apart"))
    form.symlink_to(form.with_suffix(".apart"))


def _no_form(form: Path) -> None:
    form.unlink()


def _other_form(form: Path) -> None:
    data = bytearray(form.read_bytes())
    data[len(data) // 2] ^= 1
    form.write_bytes(data)


def _cut(kept: float) -> Callable[[Path], None]:
    def cut(form: Path) -> None:
        form.write_bytes(form.read_bytes()[: int(kept * form.stat().st_size)])

    cut.__name__ = f"cut_at_{kept}"
    return cut


DAMAGES = [_no_form, _other_form, _open_to_all, _linked]
DAMAGES += [_cut(kept) for kept in (0, 0.001, 0.5, 0.999)]


@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(damage, id=damage.__name__) for damage in DAMAGES),
        *(pytest.param(d, id=d.__name__, marks=needs_root) for d in (_not_ours,)),
    ],
)
def test_what_does_not_fit_or_is_damaged_is_compiled_anew(
    package: Path, damage: Callable[[Path], None], compiled: Path
) -> None:
    kept = package / "__pycache__" / "kernels" / compiled.name
    shutil.copytree(compiled, kept)
    (form,) = kept.iterdir()
    damage(form)
    assert folder_and_hits(run(ADD, package)) == (kept, 0)
    assert folder_and_hits(run(ADD, package)) == (kept, 1)


@pytest.mark.parametrize("compiler", ["numba", "llvmlite"])
def test_what_another_compiler_made_is_not_taken(
    package: Path, compiler: str, compiled: Path
) -> None:
    shutil.copytree(compiled, package / "__pycache__" / "kernels" / compiled.name)
    before = "from pcapkit.kernels import interning as i, jit; "
    before += "print(jit.compiled_before(i._intern_one))"
    assert run(before, package) == "True"
    if compiler == "llvmlite":
        before = f"import llvmlite; llvmlite.__version__ = '0.1'; {before}"
    else:
        (package.parent / "numba").mkdir()
        (package.parent / "numba" / "__init__.py").touch()
        (package.parent / "numba" / "_version.py").write_text("version = '0.1'\n")
    assert run(before, package) == "False"


def _by_another(form: Path) -> None:
    kernel, _, kinds, suffix = form.name.split(".")
    form.rename(form.with_name(f"{kernel}.{'0' * 16}.{kinds}.{suffix}"))


def _foreign(shape: str) -> Callable[[Path], dict[str, str]]:
    """Make what there is into what does not fit; return what the environment adds to that."""

    def spoil(kernels: Path) -> dict[str, str]:
        if shape == "CPU":
            return {"NUMBA_CPU_NAME": "nocona", "NUMBA_CPU_FEATURES": ""}
        forms = list(kernels.glob("*/replay_groups.*.kernel"))  # some with indexes checked
        assert forms
        for form in forms:
            {"Numba": _by_another, "deleted": _no_form, "cut": _cut(0.5)}[shape](form)
        return {}

    return spoil


@pytest.mark.parametrize("shape", ["CPU", "Numba", "deleted", "cut"])
def test_a_cache_that_does_not_fit_is_announced_and_compiled_on_both_cores(
    package: Path, all_compiled: Path, shape: str
) -> None:
    kernels = package / "__pycache__" / "kernels"
    shutil.copytree(all_compiled, kernels, copy_function=shutil.copyfile)
    assert run(ANNOUNCED, package) == "[]"  # copied, it is as good
    more = _foreign(shape)(kernels)
    done = subprocess.run(
        [sys.executable, "-c", ANNOUNCED],
        env=environment(package, **more),
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.startswith("first run: compiling") and "warm_other_core" in done.stdout


def test_who_reads_a_log_waits_for_no_decoders(
    package: Path, all_compiled: Path, tmp_path: Path
) -> None:
    kernels = package / "__pycache__" / "kernels"
    shutil.copytree(all_compiled, kernels, copy_function=shutil.copyfile)
    for form in kernels.glob("*/decode_window.*.kernel"):
        form.unlink()
    log, capture = tmp_path / "dns.log", CAPTURE
    log.write_text(
        '2026-01-01T00:00:00.5Z [INFO] 10.0.0.1:5 - 6 "A IN a.example. udp 27 false 512" '
        "NOERROR qr,rd,ra 52 0.001s\n"
    )
    for read, announced, decodes in ((log, False, False), (capture, True, True)):
        done = subprocess.run(
            [sys.executable, "-c", ANALYZE, str(read)],
            env=environment(package),
            cwd=package.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("first run: compiling" in done.stderr) is announced
        assert any(kernels.glob("*/decode_window.*.kernel")) is decodes


@pytest.fixture(scope="module")
def all_compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all kernels compiled, by this package as it is installed."""
    made = tmp_path_factory.mktemp("all")
    for work in ("warm_decoding", "warm_other_core", "warm_what_if"):
        code = f"from pcapkit.pipeline.first_run import {work} as work; work(); " + KEPT
        for folder in run(code, PACKAGE).split():
            shutil.copytree(folder, made / Path(folder).name, dirs_exist_ok=True)
    return made


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one kernel that was compiled by a copy of the package elsewhere."""
    copy = tmp_path_factory.mktemp("compiled") / "pcapkit"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return folder_and_hits(run(ADD, copy))[0]


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


def _file_of_others(folder: Path) -> None:
    for path in folder.iterdir():
        os.chown(path, 65534, -1)


def _file_for_others(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o666)


def _copied(
    package: Path, tmp_path: Path, compiled: Path, where: str
) -> tuple[Path, dict[str, str]]:
    """Copy a kernel to where it is looked for; return the folder, and what that needs be set."""
    more = {"HOME": str(tmp_path / "home"), "NUMBA_CACHE_DIR": str(tmp_path / "named")}
    around = package / "kernels" / "shipped"
    if where == "named":
        around = Path(run(WHERE, package, **more)).parent
    shutil.copytree(compiled, around / compiled.name)
    return around / compiled.name, more


@pytest.mark.parametrize("where", ["named", "shipped"])
def test_what_is_ours_is_run(package: Path, tmp_path: Path, compiled: Path, where: str) -> None:
    folder, more = _copied(package, tmp_path, compiled, where)
    assert folder_and_hits(run(ADD, package, **more)) == (folder, 1)


FILES = [pytest.param(_file_of_others, marks=needs_root), _file_for_others]


@pytest.mark.parametrize("spoil", [*SPOILED, *FILES])
@pytest.mark.parametrize("where", ["named", "shipped"])
def test_what_somebody_else_may_have_written_is_not_run(
    package: Path, tmp_path: Path, compiled: Path, where: str, spoil: Callable[[Path], None]
) -> None:
    folder, more = _copied(package, tmp_path, compiled, where)
    spoil(folder)
    assert folder_and_hits(run(ADD, package, **more))[1] == 0


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


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("level", range(2))
def test_what_a_wheel_brought_is_not_read_where_somebody_else_may_write(
    package: Path, spoil: Callable[[Path], None], level: int, compiled: Path
) -> None:
    shipped = package / "kernels" / "shipped" / compiled.name
    shutil.copytree(compiled, shipped)
    where = WHERE.replace("folder_for", "shipped_folder").replace(
        "analysis.lookups.grouping", "kernels.interning"
    )
    assert run(where, package) == str(shipped)
    spoil([shipped, shipped.parent][level])
    assert run(where, package) == "None"


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
