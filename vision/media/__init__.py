"""Finding images and videos, reading videos frame by frame, and writing both.

Outside this package images are RGB and sizes (height, width), unlike in OpenCV.
"""

from vision.media.files import VIDEO_SUFFIXES, comparable, write_image
from vision.media.frames import read_frames
from vision.media.h264 import has_h264
from vision.media.inputs import MediaInput, find_images, find_inputs, image_input
from vision.media.remote import read_remote
from vision.media.video_reader import Frame, VideoReader
from vision.media.video_writer import VideoWriter
from vision.media.window import Window

__all__ = [
    "VIDEO_SUFFIXES",
    "Frame",
    "MediaInput",
    "VideoReader",
    "VideoWriter",
    "Window",
    "comparable",
    "find_images",
    "find_inputs",
    "has_h264",
    "image_input",
    "read_frames",
    "read_remote",
    "write_image",
]
