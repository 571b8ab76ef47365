"""The commands about data sets, for `vision.cli.commands`."""

from pathlib import Path

import vision.cli.arguments as common
from vision.choices import DOWNLOADS
from vision.cli.parser import Command, Parser


def _priors(parser: Parser) -> None:
    parser.add_argument("--config", required=True, metavar="FILE", help=common.CONFIG)
    common.add_overrides(parser, "data.train.root=VOC2007")


def _download(parser: Parser) -> None:
    parser.add_argument("name", choices=DOWNLOADS, help="the data set")
    text = "folder that becomes the data set's root, on a disk with 2, 5 or 43 GB to spare"
    parser.add_argument("--root", type=Path, required=True, metavar="FOLDER", help=text)


DATA_COMMANDS = {
    "priors": Command(
        "fit the scales of the prior boxes to a data set",
        "priors --config bccd data.train.root=BCCD",
        _priors,
    ),
    "download": Command(
        "load VOC 2007, VOC 2012 or COCO 2017", "download voc2007 --root VOC2007", _download
    ),
}
