"""Writing a page that detects in a browser, in a folder with all the files that it needs."""

from pathlib import Path

from vision.atomic import replacing, temporary_folder
from vision.choices import Form, Precision
from vision.data.fetch import Archive, fetch
from vision.data.unpack import unpack
from vision.errors import ConfigError, WeightsError
from vision.export.write import ExportSpec
from vision.pages import render
from vision.runtime import get_graph_backend

RUNTIME = Archive(
    "https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz",
    "7677e2cac4b2d0a14154aef901cdab13",
    33_106_585,
)
"""ONNX Runtime for browsers, an npm package."""
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""The files of the package that a page needs; others run graphs on WebGL and WebGPU."""
PAGE = "index.html"


def page_spec(form: Form | None, precision: Precision) -> ExportSpec:
    """The specification of a page's graph.

    Args:
        form: ``nms``, the only one that there is; None means the same.
        precision: ``fp32`` or ``fp16``.

    Raises:
        ConfigError: If form or precision is another one.
    """
    for what, value, known in (
        ("form", form or "nms", ("nms",)),
        ("precision", precision, ("fp32", "fp16")),
    ):
        if value not in known:
            raise ConfigError(f"{what} {value} is not for a page; take {' or '.join(known)}")
    return ExportSpec("onnx", "nms", precision)


def add_runtime(folder: Path) -> None:
    """Put the files of ONNX Runtime into a folder, from an archive there or from npm's server.

    Args:
        folder: The folder, which is created if it does not exist. If it has the files already,
            they are kept. The archive is removed once it is unpacked.

    Raises:
        WeightsError: If the folder cannot be written.
        DataError: If the network fails, or the archive is damaged.
    """
    if all((folder / name).is_file() for name in RUNTIME_FILES):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        archive = fetch(RUNTIME, folder)
        with temporary_folder(folder) as work:
            unpack([archive], "package/dist", RUNTIME_FILES, work / "dist")
            for name in RUNTIME_FILES:
                (work / "dist" / name).replace(folder / name)
        for left in (archive, archive.with_name(f"{archive.name}.version")):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written: {error.strerror or error}") from error


def write_page(graph: Path) -> Path:
    """Write the page of a graph beside it.

    Args:
        graph: An ONNX file of the form ``nms``.

    Returns:
        The path of the page.

    Raises:
        WeightsError: If the graph cannot be read, or the page cannot be written.
    """
    metadata = get_graph_backend("onnx").read_metadata(graph)
    model = metadata.config.model
    settings = {
        "graph": graph.name,
        "runtime": RUNTIME_FILES,
        "package": RUNTIME.url,
        "names": metadata.names,
        "size": model.image_size,
        "threshold": model.postprocess.score_threshold,
    }
    text = render(Path(__file__).with_name("web.html"), settings=settings)
    page = graph.with_name(PAGE)
    try:
        with replacing(page) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WeightsError(f"{page} cannot be written: {error.strerror or error}") from error
    return page
