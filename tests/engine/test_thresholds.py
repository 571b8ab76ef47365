"""Best thresholds: what is stored keeps the detections that an evaluation counted."""

from hypothesis import given
from hypothesis import strategies as st

from tests.report.samples import analysis
from vision.engine import best_thresholds
from vision.metrics.analysis import OperatingPoint


@given(st.floats(0, 1))
def test_a_score_exceeds_its_own_threshold_by_little(score: float) -> None:
    """A detector keeps what exceeds a threshold, an evaluation what reaches it."""
    points = [OperatingPoint(score, 1.0, 1.0, 1.0), None, None, None]
    stored = best_thresholds(analysis(thresholds=points))
    assert stored.keys() == {"cat"}
    assert score == stored["cat"] == 0 or stored["cat"] < score
    assert score - stored["cat"] < 1.01e-4
    assert 0 <= stored["cat"] <= 1
