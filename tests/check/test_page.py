"""The page stands by itself, shows what was found, and a browser has nothing to complain of."""

import re
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring

from tests.browser import assert_needs_no_network, needs_browser, opened
from tests.check import corpus
from tests.check.test_check import read
from vision.check import Priors, check_data, render_page, scan_data
from vision.model import prior_boxes


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page") / "<script>alert(1)</script>"
    splits = read(corpus.faulty(root).write())
    priors = Priors(prior_boxes([(10, 10), (5, 5)]), (320, 320), 0.5)
    report = check_data(splits, scan_data(splits), priors=priors)
    file = root.parent / "check.html"
    file.write_text(render_page(report, splits, root.name), encoding="utf-8")
    return file


def test_the_page_needs_no_network_and_escapes_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert_needs_no_network(text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_each_finding_is_shown_with_its_pictures(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    sections = re.findall(r"<section.*?</section>", text, re.DOTALL)
    for section in sections:
        fromstring(re.sub(r"<(img[^>]*)>", r"<\1/>", section))
    by_kind = {re.findall(r"</b>(.*?):", section)[0]: section for section in sections}
    pictures = {kind: section.count("<img") for kind, section in by_kind.items()}
    assert pictures["box without area"] == pictures["box beyond the border"] == 2
    assert pictures["same image in two splits"] == 4
    assert pictures["missing image"] == 0
    assert by_kind["missing image"].count("<li>") == 2
    assert pictures["similar class names"] == 0
    assert "&#39;Cat&#39; (4 boxes)" in by_kind["similar class names"]


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("width", [1200, 360])
def test_a_browser_shows_the_page_without_errors(page: Path, width: int, tmp_path: Path) -> None:
    """Nothing is wider than the window: a bitmap as wide as it shows all."""
    script = (
        "<script>document.documentElement.dataset.wide = document.documentElement.scrollWidth;"
        "document.documentElement.dataset.broken ="
        " [...document.images].filter(image => !image.naturalWidth).length</script></body>"
    )
    probed = page.read_text(encoding="utf-8").replace("</body>", script)
    found = opened(probed, width, tmp_path)
    assert found["broken"] == "0"
    assert int(found["wide"]) <= max(width, 500)  # Chromium's windows are not narrower than 500.
