"""The commands about data sets, for `vision.cli.commands`."""

from pathlib import Path

import vision.cli.arguments as common
from vision.choices import DOWNLOADS, WRITTEN_FORMATS
from vision.cli.parser import Command, Parser


def _priors(parser: Parser) -> None:
    common.add_configured_data(parser)
    common.add_overrides(parser, "data.train.root=VOC2007")


def _download(parser: Parser) -> None:
    parser.add_argument("name", choices=DOWNLOADS, help="the data set")
    text = "folder for the data set; voc2007 needs 2 GB of free space, voc2012 5 GB, coco2017 43 GB"
    parser.add_argument("--root", type=Path, required=True, metavar="FOLDER", help=text)


def _convert_data(parser: Parser) -> None:
    text = "a folder of labelled images, in any layout that train --data takes"
    parser.add_argument("data", type=Path, metavar="IN", help=text)
    text = "the format to write"
    parser.add_argument("--to", choices=WRITTEN_FORMATS, required=True, help=text)
    text = "folder to write, which must be empty or not exist"
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help=text)


def _check(parser: Parser) -> None:
    common.add_configured_data(parser)
    common.add_overrides(parser, "data.train.root=MINE")
    text = "folder for check.html, with a picture of each fault, and check.json (default: none)"
    common.add_out(parser, None, text)
    text = "new folder for a repaired copy in COCO's layout (default: none)"
    parser.add_argument("--fix", type=Path, metavar="FOLDER", help=text)


def _init(parser: Parser) -> None:
    text = "folder for the configuration, train.yaml"
    parser.add_argument("folder", type=Path, metavar="DIR", help=text)
    text = "folder of images and annotations (default: DIR itself)"
    parser.add_argument("--data", metavar="FOLDER", help=text)
    common.add_overwrite(parser)


DATA_COMMANDS = {
    "init": Command(
        "write a commented configuration for your data, to start from",
        "init birds --data MINE",
        _init,
    ),
    "check": Command(
        "find faults in a data set, show them, and repair them in a copy",
        "check --data MINE --out report --fix MINE-repaired",
        _check,
        has_json=True,
    ),
    "convert-data": Command(
        "write a folder of labelled images in another format",
        "convert-data MINE --to coco --out MINE_COCO",
        _convert_data,
    ),
    "priors": Command(
        "fit the scales of the prior boxes to a data set",
        "priors --data MINE",
        _priors,
    ),
    "download": Command(
        "download VOC 2007, VOC 2012 or COCO 2017", "download voc2007 --root VOC2007", _download
    ),
}
