"""Writing pages."""

import os
from pathlib import Path

from vision.report.write import write_page


def test_a_page_can_name_files_that_are_not_utf8(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", os.fsdecode(b"<p>caf\xe9.jpg</p>"))
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "<p>caf\\udce9.jpg</p>"
