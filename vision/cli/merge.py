"""``ssdlite merge``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vision.choices import RESULTS
from vision.cli.detected import SOME_FAILED
from vision.cli.options import claimed
from vision.cli.terminal import CommandResult, Step, step
from vision.detection import merge_shards, read_shards
from vision.errors import DataError
from vision.rows import describe_counts


def run(options: argparse.Namespace) -> CommandResult:
    """Check that the shards have each input exactly once, and write their joint results."""
    out: Path = options.out
    if out.resolve() in {folder.resolve() for folder in options.shards}:
        raise DataError(f"--out {out} is one of the shards; name another folder")
    shards = read_shards(options.shards)
    files = [out / RESULTS[kind] for kind in shards.results]
    with claimed(files, overwrite=options.overwrite):
        merged = merge_shards(shards, out)
    found, inputs = describe_counts(merged.objects), describe_counts(merged.inputs, "no image")
    folders = describe_counts({"shard": len(shards.folders)})
    print(f"{found} in {inputs} of {folders}; results are in {out}")
    if merged.missing:
        print(
            f"{describe_counts({'input': len(merged.missing)})} failed in their shards (first:"
            f" {merged.missing[0]}); continue those shards with --resume, and merge again"
        )
    values = {
        "out": out,
        "files": files,
        "inputs": merged.inputs,
        "objects": merged.objects.total(),
        "classes": merged.objects,
        "failures": merged.missing,
    }
    return CommandResult(SOME_FAILED if merged.missing else 0, values, _steps(files))


def _steps(files: Sequence[Path]) -> list[Step]:
    """The next step: evaluate the results, if they are in COCO's format."""
    coco = [file for file in files if file.name == RESULTS["coco"]]
    words = ("--annotations", "INSTANCES.json", "--out", "eval")
    why = "Measure how good they are:"
    return [step("eval", "--detections", file, *words, why=why) for file in coco]
