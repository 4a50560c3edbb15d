"""Build the documentation's site: ``python docs/site/make_site.py FOLDER``.

The pages of ``docs/`` and those that the code makes are put together in ``build/docs``, with every
file of the repository that they link to below ``repository/``; Zensical makes the site of them. A
link that leads nowhere, and anything that a page would load from elsewhere, ends the build.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import reference_pages
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
#: Where the rest of the repository is, on the site.
ELSEWHERE = Path("repository")
#: What is a page, or stands on one.
KINDS = {".md", ".ipynb", ".png", ".svg", ".css", ".js"}
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def put_together(folder: Path, pages: Iterable[str]) -> None:
    """Write the source of the site: ``docs/``, and further pages that the navigation names."""
    made = reference_pages.pages()
    waiting = [p for p in sorted(DOCS.rglob("*")) if p.suffix in KINDS and p.is_file()]
    named = [Path(page) for page in sorted(pages) if Path(page).is_relative_to(ELSEWHERE)]
    waiting += [ROOT / page.relative_to(ELSEWHERE) for page in named]
    done = set(waiting)

    def also(path: Path) -> None:
        if path not in done and not path.is_relative_to(DOCS):
            done.add(path)
            waiting.append(path)

    while waiting:
        path = waiting.pop()
        target = folder / place_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            target.with_suffix(".md").write_text(listing(path, also))
        elif path.suffix == ".md":
            target.write_text(relinked(path, made, also))
        else:
            shutil.copyfile(path, target)
            if path.suffix == ".ipynb":
                target.with_suffix(".md").write_text(notebook(path))
    for name, text in made.items():
        assert not (folder / name).exists(), f"docs/{name} is made, and written by hand"
        (folder / name).write_text(text)
    for name, command, context in reference_pages.commands():
        page = folder / "reference" / "commands" / f"{name}.md"
        page.write_text(page.read_text() + reference_pages.options_section(command, context))
    page = folder / "reference" / "commands" / "index.md"
    page.write_text(page.read_text() + reference_pages.commands_lists())


def place_of(path: Path) -> Path:
    """Return where a file of the repository is in the source of the site."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS)
    return ELSEWHERE / path.relative_to(ROOT)


def relinked(path: Path, made: dict[str, str], also: Callable[[Path], None]) -> str:
    """Return a page with its links to files of the repository as the site has them."""

    def changed(link: re.Match[str]) -> str:
        before, target, after = link.groups()
        linked = Path(os.path.normpath(path.parent / target))
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        if linked.is_relative_to(DOCS) and linked.relative_to(DOCS).as_posix() in made:
            place = linked.relative_to(DOCS)
        elif linked.exists():
            also(linked)
            place = place_of(linked)
            if linked.is_dir() or linked.suffix == ".ipynb":
                place = place.with_suffix(".md")
        else:
            return link[0]  # the build will say so
        return f"{before}{os.path.relpath(place, place_of(path).parent)}{after}"

    return _LINK.sub(changed, path.read_text("utf-8"))


def listing(folder: Path, also: Callable[[Path], None]) -> str:
    """Return a page for a folder that a page links to."""
    lines = [f"# {folder.relative_to(ROOT)}\n"]
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        also(path)
        lines.append(f"- [{path.name}]({folder.name}/{path.name})")
    return "\n".join(lines) + "\n"


def notebook(path: Path) -> str:
    """Return the cells of a notebook as a page."""
    parts = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    parts.insert(1, f"This page as a notebook: [{path.name}]({path.name}){{ download }}.")
    return "\n\n".join(parts) + "\n"


class _Loads(HTMLParser):
    """What a page links to, and what it loads without being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.loads.append(given.get("href") or "")
        self.loads.append(given.get("src") or "")


def complaints(site: Path) -> list[str]:
    """Return what is wrong with the links of a site that was built."""
    found = []
    for page in sorted(site.rglob("*.html")):
        if page.is_relative_to(site / ELSEWHERE / "reports"):
            continue  # a report, which has its own tests
        seen = _Loads()
        seen.feed(page.read_text("utf-8"))
        for url in filter(None, [*seen.links, *seen.loads]):
            split, where = urlsplit(url), page.relative_to(site)
            if split.scheme or split.netloc:
                if url in seen.loads and split.scheme != "data":
                    found.append(f"{where}: loads {url}")
            elif split.path and not split.path.startswith("/"):
                if not (page.parent / unquote(split.path)).exists():
                    found.append(f"{where}: {url} leads nowhere")
    return found


def pages_of(nav: object) -> set[str]:
    """Return the pages that the navigation names."""
    if isinstance(nav, str):
        return {nav}
    inner = nav.values() if isinstance(nav, dict) else nav
    return set().union(*(pages_of(part) for part in inner))  # type: ignore[attr-defined]


def warnings(printed: str) -> list[str]:
    """Return what Zensical says, without the drawings around it: a line each, with its place."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed)
    found = re.findall(r"^Warning: (.*)\n.*\[ (\S+) \]", plain, re.MULTILINE)
    return [f"{place}: {what}" for what, place in found] or plain.splitlines()


def build(site: Path) -> list[str]:
    """Write the site to a folder; return what is wrong with it."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    with tempfile.TemporaryDirectory(prefix="pcapkit-docs-") as folder:
        work = Path(folder)
        named = pages_of(settings["nav"])
        put_together(work / "docs", named)
        missing = {p for p in named if not (work / "docs" / p).exists()}
        if missing:
            return [f"mkdocs.yml: no page {p}" for p in sorted(missing)]
        settings |= {"docs_dir": "docs", "site_dir": "site"}
        (work / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
            cwd=work,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return warnings(done.stdout + done.stderr)
        wrong = complaints(work / "site")
        if not wrong:
            shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(work / "site", site)
    return wrong


if __name__ == "__main__":
    wrong = build(Path(sys.argv[1]))
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(bool(wrong))
