"""Take the screenshots of the documentation from a release: ``python docs/screenshots.py RELEASE``.

Needs Chromium (INEGNUM_CHROMIUM or on the path), playwright and pillow.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from inegnum.release.report import build_report
from inegnum.release.site import publish

IMAGES = Path(__file__).resolve().parent / "images"
TALLEST = 1000  # pixels: what a reader of the documentation looks at
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def shoot(page: Page, name: str, file: Path, selector: str, *, width: int) -> None:
    """Photograph one part of a page in 64 colours, which is enough for flat drawings."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(file.as_uri())
    target = IMAGES / f"{name}.png"
    page.locator(selector).first.screenshot(path=target)
    image = Image.open(target).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, TALLEST)))
    image.quantize(64).save(target, optimize=True)


def main(release: Path) -> None:
    """Build the pages in a temporary folder and photograph them."""
    IMAGES.mkdir(exist_ok=True)
    executable = os.environ.get("INEGNUM_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        folder = Path(temporary)
        report = build_report(release, language="fr", out=folder / "report.html")
        site = publish(release, out=folder / "site", languages=["fr", "en"])
        started = driver.chromium.launch(executable_path=executable, args=ARGS)
        page = started.new_page()
        shoot(page, "report-cards", report, "#key .cards", width=1200)
        shoot(page, "report-map", report, ".block:not([hidden]) .two", width=1200)
        shoot(page, "report-telephone", report, ".block:not([hidden]) .two", width=360)
        sheet = sorted((site / "fr" / "communes").glob("*.html"))[0]
        preferred = site / "fr" / "communes" / "33249.html"
        shoot(page, "commune", preferred if preferred.exists() else sheet, "main", width=1100)
        shoot(page, "who", preferred if preferred.exists() else sheet, "#who", width=1100)
        shoot(page, "supply", site / "fr" / "supply.html", "figure:visible", width=1100)
        started.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
