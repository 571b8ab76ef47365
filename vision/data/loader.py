"""From records to batches, the same whatever the number of workers."""

# N batch

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import NamedTuple

import cv2
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from vision.data.transforms import Augment, seeded
from vision.errors import DataError
from vision.formats.records import Record
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
        image_size: (height, width) to resize to, or what tells it of an epoch.
        augment: What to do before, if anything.
        seed: With epoch and index, it decides what augmentation does.
        classes: Names to keep boxes of, if not all of ``names``.
    """

    def __init__(
        self,
        records: Sequence[Record],
        names: Sequence[str],
        image_size: tuple[int, int] | Callable[[int], tuple[int, int]],
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
        size = self.image_size(epoch) if callable(self.image_size) else self.image_size
        return Sample(torch.from_numpy(resize(image, size)), target)

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[Sample] | DataError:
        """The samples of a batch, for `DataLoader`; or what hindered them, for the loader to raise.

        Raised in a worker process, it would come with that process's traceback as its message.
        """
        try:
            return [self[key] for key in keys]
        except DataError as error:
            return error


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of all indices in an order that seed and epoch decide, each index with its epoch.

    Of several processes each gets its share of each batch. A last batch with less than two images
    for each of ``num_shares`` parts is left out, since BatchNorm cannot normalise a single one;
    over the epochs every image has its turn.

    Args:
        length: Of the data set.
        batch_size: Indices of a batch, over all processes.
        seed: Decides the order, with the epoch.
        rank: Of this process.
        world_size: Number of processes.
        num_shares: Parts that a batch is cut into, over all processes.

    Attributes:
        epoch: The one that iteration goes through.
        start: Batches of it that are passed over: those done before an interruption.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        num_shares: int = 1,
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0
        full, rest = divmod(length, batch_size)
        self._num_batches = full + (rest >= 2 * num_shares)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self._num_batches

    def sizes(self) -> list[int]:
        """Images of each batch of an epoch, over all processes."""
        size = self.batch_size
        return [min(size, self.length - size * number) for number in range(len(self))]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        with seeded(self.seed, self.epoch):
            order = torch.randperm(self.length).tolist()
        for number in range(self.start, len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(self.epoch, index) for index in batch[self.rank :: self.world_size]]


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
    batches: EpochSampler | int,
    workers: int,
    *,
    pin_memory: bool = False,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Sample]:
    """Batches of a data set.

    Args:
        dataset: What to read.
        batches: A sampler, for training; or their size, to go through the data set in order.
        workers: Processes that read.
        pin_memory: Whether batches lie in page-locked memory.
        rank: Of this process; it matters without a sampler.
        world_size: Number of processes, each of which reads every ``world_size``-th image.
    """
    sampler: EpochSampler | BatchSampler
    if isinstance(batches, int):
        sampler = BatchSampler(range(rank, len(dataset), world_size), batches, drop_last=False)
    else:
        sampler = batches
    return _Loader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_collate_or_pass,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        persistent_workers=workers > 0 and isinstance(batches, EpochSampler),
    )


def _start_worker(_: int) -> None:
    """One thread a worker: there are as many workers as the user wants cores for.

    Ctrl-C and a cluster's SIGTERM reach the workers too; they go when the main process lets them,
    or ends them with a SIGTERM of its own, as Python does with those left when it leaves.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS can't tell who sent a signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _leave_with(parent: int) -> None:
    """Wait for ``parent``'s SIGTERM and end this process; others' are passed over."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(os.EX_OK)  # PyTorch makes an error of anything else.
