"""From records to batches, which depend on seed and epoch, not on the number of workers."""

# H and W the height and width of a sample

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, default_collate

from vision.data.sampler import EpochSampler
from vision.data.transforms import Augment
from vision.errors import DataError
from vision.formats.records import Record
from vision.images import resize
from vision.structures import Batch, Target, pack_targets


class Sample(NamedTuple):
    """An image at the network's size; its target is in pixels of an image of ``target.size``."""

    image: UInt8[Tensor, "H W 3"]
    target: Target


class DetectionDataset(Dataset[Sample]):
    """Images that are read, augmented and resized on access.

    Args:
        records: The images and their objects.
        names: Class names in label order; boxes with other names are left out.
        image_size: (height, width) to resize to, or a function that gives it for an epoch.
        augment: Augmentation, which resizes too; if there is none, images are resized only.
        seed: Seed of augmentation, together with epoch and index.
        classes: Names whose boxes are kept, if not all of ``names``.
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
            DataError: If the image cannot be read, or its size has changed.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        image, target = self.records[index].load(), self.targets[index]
        size = self.image_size(epoch) if callable(self.image_size) else self.image_size
        if self.augment is None:
            image = resize(image, size)
        else:
            rng = np.random.default_rng((self.seed, epoch, index))
            image, target = self.augment(image, target, size, rng)
        return Sample(torch.from_numpy(image), target)

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[Sample] | DataError:
        """The samples of a batch; or the error, for `Loader` to raise.

        Raised in a worker process, its message would become that process's traceback.
        """
        try:
            return [self[key] for key in keys]
        except DataError as error:
            return error


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples as a batch, whose images are in channels-last memory format, as they were read.

    In a worker process the images are stacked in memory that the main process shares.
    """
    images = default_collate([sample.image for sample in samples]).permute(0, 3, 1, 2)
    targets = [sample.target for sample in samples]
    return Batch(images, targets, pack_targets(targets))


def _collate_unless_error(samples: list[Sample] | DataError) -> Batch | DataError:
    return samples if isinstance(samples, DataError) else collate(samples)


class Loader(DataLoader[Sample]):
    """Batches of a data set; what its processes cannot read is raised here."""

    dataset: DetectionDataset

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
) -> Loader:
    """Batches of a data set.

    Args:
        dataset: The data set.
        batches: A sampler, for training; or the batch size, to go through the data set in order:
            then each process reads every ``world_size``-th image.
        workers: Number of worker processes that read images; 0 reads in this process.
        pin_memory: Whether batches are put into page-locked memory.
        rank: Index of this process, without a sampler.
        world_size: Number of processes, without a sampler.
    """
    sampler: EpochSampler | BatchSampler
    if isinstance(batches, EpochSampler):
        sampler = batches
    else:
        sampler = BatchSampler(range(rank, len(dataset), world_size), batches, drop_last=False)
    return Loader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_collate_unless_error,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        persistent_workers=workers > 0 and isinstance(batches, EpochSampler),
    )


def _start_worker(_: int) -> None:
    """Limit a worker to one thread, and leave reacting to signals to the main process.

    Ctrl-C, a closed terminal's SIGHUP and a cluster's SIGTERM reach workers too, but a worker ends
    only when the main process closes its loader or sends SIGTERM itself, as Python does at its
    exit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):  # Windows has none.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # macOS cannot tell who sent a signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_exit_on_sigterm_of, args=(os.getppid(),), daemon=True).start()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _exit_on_sigterm_of(parent: int) -> None:
    """Wait for a SIGTERM from ``parent`` and end this process; from others it is ignored."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(os.EX_OK)  # PyTorch reports any other code as an error.
