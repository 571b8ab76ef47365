"""The page stands by itself, says what the analysis says, and works in a browser."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from defusedxml.ElementTree import fromstring

from tests.browser import assert_needs_no_network, needs_browser, opened
from tests.report.samples import CAT, CONFUSION, COW, DOG, analysis, metrics, mistake, suspects
from tests.shared import SHARED, needs_shared
from vision.cli.main import main
from vision.errors import DataError
from vision.metrics.analysis import Analysis
from vision.report import Photo, commands_for, render_report
from vision.report.selection import NUM_SUSPECTS

PROBE = """
const set = (id, value) => {
  const select = document.getElementById(id);
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
const shown = (id) => [...document.getElementById(id + "-pictures").children]
  .filter((figure) => figure.offsetParent)
  .map((figure) => figure.querySelector("figcaption").innerText.split("\\n")[0]).join("; ");
const note = (key, value) => { document.documentElement.dataset[key] = value; };
const column = (number) => [...document.querySelectorAll("#class-table tbody tr")]
  .map((row) => row.cells[number].textContent).join(" ");
note("hash", shown("mistakes"));
set("mistakes-class", ""); set("mistakes-kind", "");
note("all", shown("mistakes"));
set("mistakes-class", "dog");
note("dog", shown("mistakes"));
note("count", document.getElementById("mistakes-count").textContent);
note("suspects", shown("suspects"));
set("suspects-class", "cow");
note("lines", [...document.querySelectorAll("#suspects-lines li:not([hidden])")]
  .map((line) => line.textContent).join("; "));
set("suspects-class", "");
set("curve-class", "cow");
note("curve", document.getElementById("curve-text").textContent);
note("on", document.querySelectorAll("#curves g.on").length);
const heads = [...document.querySelectorAll("#class-table button")];
heads.find((button) => button.textContent === "AP50").click();
note("falling", column(2));
heads.find((button) => button.textContent === "AP50").click();
note("rising", column(2));
heads.find((button) => button.textContent === "class").click();
note("names", column(0));
document.querySelectorAll("#class-table tbody td:first-child").forEach((cell, row) => {
  cell.textContent = ["10 cats", "9 cows", "dog"][row];
});
heads.find((button) => button.textContent === "class").click();
note("numbered", column(0));
document.querySelector("#matrix g[data-text] rect").dispatchEvent(
  new PointerEvent("pointerover", { bubbles: true }));
note("cell", document.getElementById("matrix-text").textContent);
note("place", location.hash);
note("back", getComputedStyle(document.body).backgroundColor);
note("wide", document.documentElement.scrollWidth);
note("broken", [...document.images].filter((image) => !image.naturalWidth).length);
"""


def photos() -> list[Photo]:
    def missing() -> np.ndarray:
        raise DataError("image c.jpg does not exist")

    grey = np.full((60, 80, 3), 120, np.uint8)
    return [
        Photo("<a>.jpg", lambda: grey, [(12.0, 12.0, 32.0, 28.0)]),
        Photo("b.jpg", lambda: grey, []),
        Photo("c.jpg", missing, []),
    ]


def made_up() -> Analysis:
    return analysis(suspects=suspects("missing box", CAT, 2) + suspects("other class", COW, 1, DOG))


@pytest.fixture(scope="module")
def text() -> str:
    commands = commands_for("W", ["--data", "<script>alert(1)</script>"], None, (320, 320))
    return render_report(made_up(), "<script>alert(2)</script>", photos(), commands)


def table(text: str, heading: str) -> dict[str, list[str]]:
    """The rows of the first table after a heading, by their first cell."""
    start = text.index(f'id="{heading}"')
    (body,) = re.findall(r"<table.*?</table>", text[start:], re.DOTALL)[:1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    return {
        row[0]: [re.sub(r"<.*?>", "", cell).strip() for cell in row[1:]] for row in cells if row
    }


def test_the_page_needs_no_network_and_escapes_names(text: str) -> None:
    assert_needs_no_network(text)
    assert "http" not in text
    assert text.count("<script") == 1
    assert "&lt;script&gt;alert(2)" in text
    assert "&lt;a&gt;.jpg" in text
    assert "<owl>" not in text


def test_numbers_are_those_of_the_analysis(text: str) -> None:
    numbers = table(text, "numbers")
    assert numbers["voc.mAP50"][:2] == ["0.767", "0.701 to 0.823"]
    assert numbers["coco.AP"][:2] == ["0.456", "0.400 to 0.500"]
    assert numbers["coco.APl"][:2] == ["0.500", ""]
    costs = {title: row[0] for title, row in table(text, "errors").items()}
    assert list(costs)[:2] == ["missed", "background"]
    assert costs == {
        "missed": "12.3",
        "background": "4.0",
        "classification": "3.0",
        "localisation": "2.0",
        "class and place": "1.0",
        "duplicate": "0.0",
        "false positives": "8.0",
        "false negatives": "14.0",
    }
    classes = table(text, "classes")
    assert classes["dog"] == ["40", "0.800", "", "0.800", "0.41", "0.90", "0.80", "0.85"]
    assert list(classes) == ["cat", "dog", "cow"]
    assert "1 class without a box here: &lt;owl&gt;." in text
    assert table(text, "sizes")["small, up to 32 px"] == ["20", "0.500", "0.60", ""]
    assert table(text, "suspects")["missing box?"][:2] == ["2", "cat (2)"]
    assert table(text, "suspects")["other class?"][:2] == ["1", "cow labelled dog (1)"]


def test_classes_of_few_boxes_are_marked() -> None:
    """Nine are few, ten are not."""
    made = analysis(metrics=metrics(boxes=[60, 10, 9, 0]))
    text = render_report(made, "few")
    assert [row[0] for row in table(text, "classes").values()] == ["60", "10", "9 few"]
    assert "few: fewer than 10 boxes" in re.sub("<[^>]*>", "", text)
    assert "fewer than 10 boxes" not in render_report(made_up(), "many")


def test_charts_are_drawn_to_scale(text: str) -> None:
    charts = {
        label: fromstring(chart)
        for chart, label in re.findall(r'(<svg[^>]*aria-label="([^"]*)".*?</svg>)', text, re.DOTALL)
    }
    (curve,) = charts["precision by recall of each class"].findall(".//g[@data-class='cow']/path")
    steps = [(0.07 * step, 0.7) for step in range(1, 11)]
    points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", curve.attrib["d"])]
    np.testing.assert_allclose(points, [(45 + 340 * x, 290 - 280 * y) for x, y in steps], atol=0.06)
    bars = charts["precision by score"].findall("rect")
    assert [float(bar.attrib["height"]) for bar in bars] == [28, 252]
    cells = charts["confusion matrix"].findall("g")
    assert len(cells) == np.count_nonzero(CONFUSION)
    shown = {
        cell.findtext("title"): rect.attrib["fill-opacity"]
        for cell in cells
        for rect in cell.findall("rect")
    }
    assert shown["50 of 60 cat objects (83%) are found"] == "0.833"
    assert shown["4 of 60 cat objects (7%) are found as dog"] == "0.067"


def test_without_images_there_are_no_pictures_and_no_links_to_them() -> None:
    text = render_report(made_up(), "detections")
    assert "<img" not in text
    assert "see them" not in text
    assert text.count("There are no pictures: name the folder of the images with --images.") == 2


def test_advice_links_only_to_kinds_that_have_pictures(text: str) -> None:
    linked = re.findall(r'href="#(?:mistakes|suspects)-kind=([a-z%20]+)[^"]*">see them', text)
    without = render_report(analysis(mistakes=[]), "detections", photos())
    assert linked == ["missed", "missed"]
    assert "see them" not in without


def test_nothing_at_all_has_a_page() -> None:
    nothing = analysis(
        metrics=metrics(boxes=[0, 0, 0, 0]),
        intervals={},
        curves=[None] * 4,
        thresholds=[None] * 4,
        confusion=np.zeros((5, 5), np.int64),
        error_costs={},
        calibration=[],
        calibration_error=None,
        mistakes=[],
        suspects=[],
    )
    text = render_report(nothing, "nothing", photos())
    assert (
        "Nothing can be measured: no labelled box in 30 images, or only difficult objects and"
        " crowds." in text
    )
    assert "No label looks wrong." in text


def test_two_hundred_pictures_and_all_suspects_take_less_than_three_megabytes() -> None:
    """Noise is the worst for JPEG, four times as large as photographs; a fifth of it is that."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (60, 80, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    faults = [mistake(kind, CAT) for kind in KINDS for _ in range(20)]
    doubts = [one for kind in DOUBTS for k in range(3) for one in suspects(kind, k, 30, k)]
    made = analysis(mistakes=faults, suspects=doubts)
    text = render_report(made, "noise", [Photo("a.jpg", lambda: noise, [])])
    assert text.count("<img") == 16 * len(KINDS) + NUM_SUSPECTS
    assert text.count("<li data-kind") == len(doubts)
    assert len(text) < 3e6


KINDS = ("missed", "background", "classification", "localisation", "both", "duplicate")
DOUBTS = ("missing box", "other class", "unfound box")


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(
    ("width", "options", "back"),
    [
        (1200, [], "rgb(255, 255, 255)"),
        (500, [], "rgb(255, 255, 255)"),
        (1200, ["--force-dark-mode"], "rgb(20, 23, 26)"),
    ],
)
def test_a_browser_shows_filters_and_sorts(
    text: str, width: int, options: list[str], back: str, tmp_path: Path
) -> None:
    """Nothing is wider than the window, and no error is on the console."""
    probed = text.replace("</body>", f"<script>{PROBE}</script></body>")
    found = opened(probed, width, tmp_path, "#mistakes-kind=missed&mistakes-class=cow", *options)
    dogs = "classification cat 0.75, labelled dog; background dog 0.75, nothing labelled"
    cats, cows = "background cat 0.75, nothing labelled", "missed cow is not found"
    forgotten = "missing box? cat 0.90, no labelled box: is one missing?"
    assert found.pop("back") == back
    assert int(found.pop("wide")) <= width
    assert found == {
        "hash": cows,
        "all": f"{dogs}; {cats}; {cows}",
        "dog": dogs,
        "count": "2 of 4 pictures",
        "suspects": f"{forgotten}; {forgotten}; other class? labelled dog, found as cow 0.90",
        "lines": "<a>.jpg: other class, cow labelled dog (0.90)".replace("<", "&lt;").replace(
            ">", "&gt;"
        ),
        "curve": "cow: 20 boxes, AP50 0.600; at score 0.51 precision is 0.90 and recall 0.80",
        "on": "1",
        "falling": "0.900 0.800 0.600",
        "rising": "0.600 0.800 0.900",
        "names": "cat cow dog",
        "numbered": "dog 10 cats 9 cows",
        "cell": "50 of 60 cat objects (83%) are found",
        "place": "#curve-class=cow&amp;mistakes-class=dog",
        "broken": "0",
    }


@pytest.mark.slow
@needs_shared
@needs_browser
def test_the_report_of_the_detector_in_the_package(tmp_path: Path) -> None:
    """Eighty photographs: pictures that can be shown, of each kind and class that are offered."""
    root = SHARED / "data" / "voc07"
    names = (root / "ImageSets" / "Main" / "val.txt").read_text(encoding="utf-8").split()
    (tmp_path / "some.txt").write_text("\n".join(names[:80]), encoding="utf-8")
    val = f"data.val={{format: voc, root: '{root}', split: '{tmp_path / 'some.txt'}'}}"
    out = tmp_path / "out"
    assert main(["eval", "--weights", "voc", val, "--report", "--out", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert f"voc.mAP50 is {metrics['voc']['mAP50']:.3f}" in page
    script = """
    const empty = [];
    for (const select of document.querySelectorAll("select[id^=mistakes], select[id^=suspects]")) {
      for (const option of select.options) {
        select.value = option.value;
        select.dispatchEvent(new Event("change"));
        const pictures = document.getElementById(select.id.split("-")[0] + "-pictures");
        if (![...pictures.children].some((figure) => !figure.hidden)) empty.push(option.value);
      }
      select.value = "";
      select.dispatchEvent(new Event("change"));
    }
    const root = document.documentElement;
    root.dataset.empty = empty.join();
    root.dataset.broken = [...document.images].filter((image) => !image.naturalWidth).length;
    root.dataset.pictures = document.images.length > 30;
    root.dataset.fits = root.scrollWidth <= innerWidth;
    """
    for width in (500, 1200):
        found = opened(
            page.replace("</body>", f"<script>{script}</script></body>"), width, tmp_path
        )
        assert found == {"empty": "", "broken": "0", "pictures": "true", "fits": "true"}
