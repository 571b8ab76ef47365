"""The configuration of a run: pydantic models, and loading them from YAML files and overrides.

Keys have the names of the models' attributes; in an override they are dotted: ``train.epochs=50``.
"""

from vision.config.data import (
    AutoSource,
    CocoSource,
    DataConfig,
    DataSource,
    DataSources,
    SyntheticSource,
    VocSource,
    auto_sources,
)
from vision.config.files import (
    change_post_process,
    config_from_dict,
    dump_config,
    find_config,
    load_config,
    merge,
    shipped_configs,
)
from vision.config.model import PRESETS, WIDTH_MULTS, ModelConfig, PostProcessConfig, PriorsConfig
from vision.config.overrides import name_data
from vision.config.renamed import rename_keys
from vision.config.run import Config
from vision.config.training import AugmentConfig, LossConfig, OptimConfig

__all__ = [
    "PRESETS",
    "WIDTH_MULTS",
    "AugmentConfig",
    "AutoSource",
    "CocoSource",
    "Config",
    "DataConfig",
    "DataSource",
    "DataSources",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PostProcessConfig",
    "PriorsConfig",
    "SyntheticSource",
    "VocSource",
    "auto_sources",
    "change_post_process",
    "config_from_dict",
    "dump_config",
    "find_config",
    "load_config",
    "merge",
    "name_data",
    "rename_keys",
    "shipped_configs",
]
