"""Detection in folders, videos and streams, as a resumable pipeline."""

from vision.choices import FOLDERS, RESULTS
from vision.detection.bulk import BulkDetector
from vision.detection.coco_ids import CocoIds
from vision.detection.counting import parse_region
from vision.detection.image_files import check_file_names
from vision.detection.images import Outcomes
from vision.detection.journal import Journal
from vision.detection.merge import merge_shards, read_shards
from vision.detection.pipeline import ordered_map
from vision.detection.ray_cluster import check_reachable, outcomes_on_ray
from vision.detection.runner import detect_sources
from vision.detection.settings import (
    Report,
    Settings,
    check_complete,
    check_folders_are_new,
    check_inputs_stay,
    check_results_stay,
)
from vision.detection.shards import (
    Shard,
    ShardRecord,
    digest_weights,
    parse_shard,
    write_record,
)

__all__ = [
    "FOLDERS",
    "RESULTS",
    "BulkDetector",
    "CocoIds",
    "Journal",
    "Outcomes",
    "Report",
    "Settings",
    "Shard",
    "ShardRecord",
    "check_complete",
    "check_file_names",
    "check_folders_are_new",
    "check_inputs_stay",
    "check_reachable",
    "check_results_stay",
    "detect_sources",
    "digest_weights",
    "merge_shards",
    "ordered_map",
    "outcomes_on_ray",
    "parse_region",
    "parse_shard",
    "read_shards",
    "write_record",
]
