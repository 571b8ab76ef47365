"""What the charts show: the matrix without empty classes, and curves of few points."""

import numpy as np

from tests.report.samples import CONFUSION, NAMES
from vision.metrics.analysis import Curve
from vision.report.charts import MAX_POINTS, confusion_matrix, curve_points


def test_the_matrix_leaves_classes_out_that_nothing_is_in() -> None:
    empty = np.zeros((6, 6), np.int64)
    kept = [0, 1, 2, 4, 5]
    empty[np.ix_(kept, kept)] = CONFUSION
    matrix = confusion_matrix(empty, [*NAMES[:3], "emu", NAMES[3]])
    assert matrix.rows == [*NAMES, "background"]
    assert matrix.columns == [*NAMES, "missed"]
    shown = np.zeros((5, 5), np.int64)
    for cell in matrix.cells:
        shown[cell.row, cell.column] = cell.number
    np.testing.assert_array_equal(shown, CONFUSION)


def test_cells_are_fractions_of_their_row_and_say_so() -> None:
    cells = {
        (cell.row, cell.column): cell for cell in confusion_matrix(np.array(CONFUSION), NAMES).cells
    }
    assert cells[0, 0].is_right
    assert cells[0, 0].text == "50 of 60 cat objects (83%) are found"
    assert cells[0, 1].fraction == 4 / 60
    assert not cells[0, 1].is_right
    assert cells[0, 1].text == "4 of 60 cat objects (7%) are found as dog"
    assert cells[2, 4].text == "5 of 20 cow objects (25%) are missed"
    assert cells[4, 1].text == "5 of 9 detections that match no object are of class dog"


def test_the_worst_confusions_are_between_classes() -> None:
    worst = confusion_matrix(np.array(CONFUSION), NAMES).worst(5)
    assert [(cell.row, cell.column) for cell in worst] == [(0, 1), (1, 0)]


def test_a_curve_has_its_points_where_the_recall_grows() -> None:
    recall = np.array([0.0, 0.25, 0.5, 0.5, 0.5, 0.75])
    precision = np.array([0.0, 0.5, 2 / 3, 0.5, 0.4, 0.5])
    points = curve_points(Curve(np.linspace(1, 0, 6), precision, recall))
    assert points == [(0.25, 0.5), (0.5, 2 / 3), (0.75, 0.5)]


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    steps = np.arange(1, 1001) / 1000
    points = curve_points(Curve(1 - steps, 1 - steps / 2, steps))
    assert len(points) == MAX_POINTS
    assert (points[0], points[-1]) == ((0.001, 0.9995), (1.0, 0.5))
    nothing = np.zeros(0)
    assert curve_points(Curve(nothing, nothing, nothing)) == []
