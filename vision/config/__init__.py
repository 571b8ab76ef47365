"""The configuration of a run: checked models, and the YAML files that fill them."""

from vision.config.files import (
    config_from_dict,
    dump_config,
    find_config,
    load_config,
    shipped_configs,
)
from vision.config.models import (
    WIDTH_MULTS,
    AugmentConfig,
    CocoSource,
    Config,
    DataConfig,
    DataSource,
    LossConfig,
    ModelConfig,
    OptimConfig,
    PostProcessConfig,
    PriorsConfig,
    Source,
    SyntheticSource,
    TrainConfig,
    VocSource,
)

__all__ = [
    "WIDTH_MULTS",
    "AugmentConfig",
    "CocoSource",
    "Config",
    "DataConfig",
    "DataSource",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PostProcessConfig",
    "PriorsConfig",
    "Source",
    "SyntheticSource",
    "TrainConfig",
    "VocSource",
    "config_from_dict",
    "dump_config",
    "find_config",
    "load_config",
    "shipped_configs",
]
