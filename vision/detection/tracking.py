"""Tracks: the same number for the same object in all frames of a video."""

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
    """ByteTrack over the frames of one video, by the package ``trackers``.

    Detections above their class's threshold begin tracks and continue them; those below continue
    them only. A track is confirmed by a second frame, and lives for a second without a
    detection. Boxes are compared across classes.

    Source: Zhang et al., ByteTrack: Multi-Object Tracking by Associating Every Detection Box, 2022.

    Args:
        fps: Frames per second of those that are given.
        thresholds: The score of each class above which a detection counts by itself.

    Raises:
        ConfigError: If ``trackers`` is not installed.
    """

    def __init__(self, fps: float, thresholds: Float32[Tensor, "C"]) -> None:
        trackers = require_package("trackers", "track")
        self._thresholds = thresholds
        # The confidence that `update` gives is 1 or 0: above or below the class's threshold.
        self._tracker = trackers.ByteTrackTracker(
            frame_rate=fps, track_activation_threshold=0.5, high_conf_det_threshold=0.5
        )

    def update(self, detections: Detections, seconds: float) -> tuple[Detections, list[int | None]]:
        """The detections of the next frame that count, and the track of each.

        Args:
            detections: Those from `LOW_SCORE` on.
            seconds: The frame's time, later than that of the frame before.

        Returns:
            The detections that are in a track or above their threshold, and their tracks, numbered
            from 1; None for an object in its first frame.
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
