"""The configuration of a run: its sections, and checks that involve several of them."""

from pydantic import model_validator

from vision.config.data import DataConfig
from vision.config.model import ModelConfig
from vision.config.section import Section
from vision.config.training import AugmentConfig, LossConfig, OptimConfig, TrainConfig


class Config(Section):
    """The configuration of a run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    optim: OptimConfig = OptimConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()

    def image_size_of(self, epoch: int) -> tuple[int, int]:
        """(height, width) of the training images in an epoch; the first epoch is 0."""
        small = self.train.small
        return small.image_size if epoch < small.epochs else self.model.image_size

    @model_validator(mode="after")
    def _small_images_fit(self) -> "Config":
        small, full = self.train.small, self.model.image_size
        if not small.epochs:
            return self
        if self.model.has_fixed_priors:
            raise ValueError(
                f"train.small: preset {self.model.preset} has priors for one image size only; leave"
                " train.small out"
            )
        if small.epochs >= self.train.epochs:
            raise ValueError(
                f"train.small.epochs {small.epochs} leaves none of train.epochs"
                f" {self.train.epochs} for images of full size; set it below train.epochs"
            )
        if any(side > limit for side, limit in zip(small.image_size, full, strict=True)):
            raise ValueError(
                f"train.small.image_size {list(small.image_size)} is larger than"
                f" model.image_size {list(full)}"
            )
        return self

    @model_validator(mode="after")
    def _assignment_fits(self) -> "Config":
        if self.loss.assignment == "ssd":
            return self
        # If scores is not set, it may come from the initial weights, which are loaded later.
        is_chosen = self.model.init is None or self.model.model_fields_set & {"scores", "preset"}
        if is_chosen and self.model.score_function != "sigmoid":
            raise ValueError("loss.assignment tal needs model.scores=sigmoid")
        if self.train.accumulate > 1:
            raise ValueError("loss.assignment tal needs train.accumulate=1")
        return self
