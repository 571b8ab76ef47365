"""From records to batches, the same whatever the number of workers."""

# N batch

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vision.data.records import Record
from vision.data.transforms import Augment, seeded
from vision.errors import DataError
from vision.images import resize
from vision.structures import Batch, Target

__all__ = ["DetectionDataset", "EpochSampler", "Sample", "collate", "make_loader"]


class Sample(NamedTuple):
    """An image at the network's size, and what it shows in the pixels of ``target.size``."""

    image: UInt8[Tensor, "H W 3"]
    target: Target


class DetectionDataset(Dataset[Sample]):
    """Images read, augmented and resized when asked for.

    Args:
        records: What to read.
        names: Class names in label order; boxes of other names are left out.
        image_size: (height, width) to resize to.
        augment: What to do before, if anything.
        seed: With epoch and index, it decides what augmentation does.
        classes: Names to keep boxes of, if not all of ``names``.
    """

    def __init__(
        self,
        records: Sequence[Record],
        names: Sequence[str],
        image_size: tuple[int, int],
        augment: Augment | None = None,
        seed: int = 0,
        classes: Sequence[str] | None = None,
    ) -> None:
        kept = names if classes is None else classes
        labels = {name: label for label, name in enumerate(names) if name in kept}
        self.records = records
        self.targets = [record.target(labels) for record in records]
        self.image_size = image_size
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """The sample of an index, or of (epoch, index).

        Raises:
            DataError: If the image cannot be read, or is no longer of the size it had.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        record, target = self.records[index], self.targets[index]
        image = record.read()
        if image.shape[:2] != target.size:
            raise DataError(
                f"image {record.image_id} has the size {image.shape[:2]}, not {target.size} as"
                " when the data were listed; was it changed meanwhile?"
            )
        if self.augment is not None:
            with seeded(self.seed, epoch, index):
                image, target = self.augment(image, target)
        return Sample(torch.from_numpy(resize(image, self.image_size)), target)

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[Sample] | DataError:
        """The samples of a batch, for `DataLoader`; or what hindered them, for the loader to raise.

        Raised in a worker process, it would come with that process's traceback as its message.
        """
        try:
            return [self[key] for key in keys]
        except DataError as error:
            return error


class EpochSampler(Sampler[tuple[int, int]]):
    """All indices in an order that seed and epoch decide, each with its epoch."""

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        with seeded(self.seed, self.epoch):
            order = torch.randperm(self.length).tolist()
        return iter([(self.epoch, index) for index in order])


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples as a batch; images lie channels last in memory, as they were read."""
    images = torch.stack([sample.image for sample in samples]).permute(0, 3, 1, 2)
    return Batch(images, [sample.target for sample in samples])


def _collate_or_pass(samples: list[Sample] | DataError) -> Batch | DataError:
    return samples if isinstance(samples, DataError) else collate(samples)


class _Loader(DataLoader[Sample]):
    """A loader of a `DetectionDataset`, which raises here what went wrong in a worker."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, DataError):
                raise batch
            yield batch


def make_loader(
    dataset: DetectionDataset,
    batch_size: int,
    workers: int,
    *,
    sampler: EpochSampler | None = None,
    pin_memory: bool = False,
) -> DataLoader[Sample]:
    """Batches of a data set, in order without a sampler.

    With a sampler (training) a last batch of one image is left out, since BatchNorm cannot
    normalise it; over the epochs every image has its turn.
    """
    return _Loader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_collate_or_pass,
        pin_memory=pin_memory,
        drop_last=sampler is not None and len(dataset) % batch_size == 1,
        worker_init_fn=_start_worker,
        persistent_workers=workers > 0 and sampler is not None,
    )


def _start_worker(_: int) -> None:
    """One thread a worker: there are as many workers as the user wants cores for them."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
