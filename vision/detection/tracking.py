"""Tracking: an object has the same number in all frames of a video."""

# n detections in a frame, C classes

from typing import final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from vision.detections import Detections
from vision.extras import require_package
from vision.interop import to_supervision

LOW_SCORE = 0.1
"""Lowest score of a detection that continues a track, as in ByteTrack's paper."""


@final
class Tracker:
    """ByteTrack over the frames of one video, from the package ``trackers``.

    Detections above their class's threshold start tracks and continue them; weaker detections only
    continue them. A track is confirmed by a second frame, and survives one second without a
    detection. Boxes are matched across classes.

    Source: Zhang et al., ByteTrack: Multi-Object Tracking by Associating Every Detection Box, 2022.

    Args:
        fps: Number of frames per second that `update` is called with.
        thresholds: The score of each class above which a detection counts without a track.

    Raises:
        ConfigError: If ``trackers`` is not installed.
    """

    def __init__(self, fps: float, thresholds: Float32[Tensor, "C"]) -> None:
        trackers = require_package("trackers", "track")
        self._thresholds = thresholds
        # `update` sets the confidence to 1 or 0: above or below the class's threshold.
        self._tracker = trackers.ByteTrackTracker(
            frame_rate=fps, track_activation_threshold=0.5, high_conf_det_threshold=0.5
        )

    def update(self, detections: Detections, seconds: float) -> tuple[Detections, list[int | None]]:
        """Track the detections of the next frame.

        Args:
            detections: All detections with scores above `LOW_SCORE`.
            seconds: The time of the frame, which must be later than the previous frame's.

        Returns:
            The detections that are in a track or above their threshold, and the number of each
            one's track, from 1; None for an object in its first frame.
        """
        is_sure = detections.scores > self._thresholds[detections.labels]
        given = to_supervision(detections)
        given.confidence = is_sure.float().numpy()
        given.data["index"] = np.arange(len(detections))
        found = self._tracker.update(given, timestamp=seconds)
        tracks = torch.zeros(len(detections), dtype=torch.int64)
        if len(found):
            tracks[torch.as_tensor(found.data["index"])] = torch.as_tensor(found.tracker_id) + 1
        kept = is_sure | (tracks > 0)
        return detections[kept], [track or None for track in tracks[kept].tolist()]
