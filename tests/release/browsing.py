"""A real browser for the tests of pages: Chromium, offline, with everything it does on record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from shared import ROOT

ARGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
AXE = ROOT / ".ci" / "node_modules" / "axe-core" / "axe.min.js"


def chromium() -> str:
    """Return Chromium's path: the system's, or the one INEGNUM_CHROMIUM names."""
    found = os.environ.get("INEGNUM_CHROMIUM") or shutil.which("chromium")
    if not found:
        raise FileNotFoundError(
            "Chromium is needed by tests marked `browser`: install the chromium package "
            "or set INEGNUM_CHROMIUM"
        )
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium and stop it."""
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium(), args=list(ARGS))
        yield started
        started.close()


@dataclass
class Visit:
    """A page being looked at, and what went wrong or left it so far."""

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def visit(started: Browser, file: Path, *, width: int = 1280, script: bool = True) -> Visit:
    """Open a file in a fresh context and record console errors and outside requests."""
    context = started.new_context(
        viewport={"width": width, "height": 800}, java_script_enabled=script
    )
    seen = Visit(context.new_page())
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on(
        "console",
        lambda message: seen.errors.append(message.text) if message.type == "error" else None,
    )
    seen.page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else seen.outside.append(request.url)
        ),
    )
    seen.page.goto(file.as_uri())
    return seen


def axe_violations(page: Page) -> list[str]:
    """Return serious and critical accessibility violations found by axe."""
    if not AXE.is_file():
        raise FileNotFoundError(
            f"{AXE} is needed: run `npm install --prefix .ci --no-package-lock`"
        )
    page.evaluate(AXE.read_text("utf-8"))
    result: dict[str, Any] = page.evaluate("async () => await axe.run(document)")
    return [
        f"{violation['id']}: {node['target']} {node['html'][:120]}"
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:5]
    ]


def overflows(page: Page) -> bool:
    """Say whether the page is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
