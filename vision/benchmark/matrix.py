"""The support matrix of the docs: PyTorch and each backend that writes files, as measured."""

from collections.abc import Sequence

from vision.benchmark.candidates import Candidate
from vision.benchmark.report import Row, markdown
from vision.export import ExportSpec
from vision.runtime import graph_backends

HEADS = ["runtime", "precision", "forms", "MB", "image ms", "voc.mAP50", "coco.AP"]
HEADS += ["form `decoded` against PyTorch"]
NOT_RUN = ["-"] * 4 + ["not run"]


def support_matrix(candidates: Sequence[Candidate], rows: Sequence[Row]) -> str:
    """A table in Markdown: forms, size, time, average precision and agreement with PyTorch.

    The rows of PyTorch, with which the files are compared, come first.

    Args:
        candidates: The candidates that were measured.
        rows: Their measurements, which are matched by name.
    """
    by_name = {row.name: row for row in rows}
    lines = [HEADS]
    for one in candidates:
        if one.options.backend == "torch":
            title = "PyTorch, eager" if one.is_plain else "PyTorch"
            values = ["", "", *_times_and_metrics(by_name[one.name]), "PyTorch itself"]
            lines.append([title, one.options.precision or "fp32", *values])
    measured = {
        (one.options.backend, one.options.precision): _measured(one, by_name[one.name])
        for one in candidates
        if one.agreement is not None
    }
    for name, backend in graph_backends().items():
        for precision in backend.file_precisions:
            forms = ", ".join(ExportSpec(name, precision=precision).forms)
            values = measured.get((name, precision), NOT_RUN)
            lines.append([backend.title, precision, forms, *values])
    return markdown(lines)


def _measured(candidate: Candidate, row: Row) -> list[str]:
    """The cells of an exported graph: size, milliseconds, metrics and agreement."""
    agreement = candidate.agreement
    assert agreement is not None
    proof = (
        f"{agreement.num_images} images, {agreement.num_detections} detections: scores"
        f" {agreement.score_error:.0e}, boxes {agreement.box_error:.0e} px,"
        f" {agreement.num_unmatched} unmatched"
    )
    return [f"{candidate.num_bytes / 1e6:.1f}", *_times_and_metrics(row), proof]


def _times_and_metrics(row: Row) -> list[str]:
    metrics = ["-" if one is None else f"{one:.4f}" for one in (row.voc_map50, row.coco_ap)]
    return [f"{row.detect_ms:.1f}", *metrics]
