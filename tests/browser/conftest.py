"""A real browser, without a network: Chromium as the system has it, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
HEIGHT = 900  # px of a window

#: ``with visit(path, 1000, dark=True) as page``: see :func:`visit`.
Visit = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One browser for all tests of this folder, and no longer: it keeps an event loop running."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Visit:
    """Return what opens a file at a width in px, in a window of its own.

    When it is closed, the page must have asked for nothing but itself, said nothing on its console
    and thrown nothing. ``scripts=False`` opens it as a browser does that runs none.
    """

    @contextmanager
    def open_page(
        path: Path, width: int = 1000, *, dark: bool = False, scripts: bool = True
    ) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            permissions=["clipboard-read", "clipboard-write"],
            offline=True,
        )
        complaints: list[str] = []

        def answer(route: Any) -> None:
            if route.request.url.split("#")[0] == path.as_uri():
                route.continue_()
            else:
                complaints.append(f"asks for {route.request.url}")
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
        try:
            page.goto(path.as_uri())
            yield page
            assert complaints == []
        finally:
            context.close()

    return open_page
