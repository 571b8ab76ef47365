"""Synthetic scenes for a first run without a download: coloured shapes on textured backgrounds."""

from vision.data.synthetic.dataset import read_synthetic
from vision.data.synthetic.layout import make_layout
from vision.data.synthetic.outlines import SHAPES
from vision.data.synthetic.rendering import render_scene

__all__ = ["SHAPES", "make_layout", "read_synthetic", "render_scene"]
