"""Finding images and videos, reading videos frame by frame, and writing both.

OpenCV's BGR and (width, height) do not leave this package.
"""

from vision.media.files import write_image
from vision.media.frames import read_frames
from vision.media.inputs import VIDEO_SUFFIXES, MediaInput, find_images, find_inputs
from vision.media.video_reader import VideoReader
from vision.media.video_writer import VideoWriter
from vision.media.window import Window

__all__ = [
    "VIDEO_SUFFIXES",
    "MediaInput",
    "VideoReader",
    "VideoWriter",
    "Window",
    "find_images",
    "find_inputs",
    "read_frames",
    "write_image",
]
