"""Load batches from records; they depend on seed and epoch, not on the number of workers."""

# H, W: height and width of a sample

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
    """An image at the network's size; the target's boxes are in pixels of ``target.size``."""

    image: UInt8[Tensor, "H W 3"]
    target: Target


class DetectionDataset(Dataset[Sample]):
    """A data set whose images are read, augmented and resized on access.

    Args:
        records: The images and their objects.
        names: Class names in label order; boxes with other names are left out.
        image_size: (height, width) to resize to, or a function that returns it for an epoch.
        augment: Augmentation, which also resizes; None only resizes.
        seed: Seed of the augmentation, combined with epoch and index.
        classes: The names whose boxes are kept; None keeps those of all ``names``.
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
        """Load the sample of an index, or of (epoch, index); an index alone means epoch 0.

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
        """Load the samples of a batch; an error is returned, for `Loader` to raise.

        If a worker process raised it, PyTorch would put the worker's traceback into its message.
        """
        try:
            return [self[key] for key in keys]
        except DataError as error:
            return error


def collate(samples: Sequence[Sample]) -> Batch:
    """Combine samples into a batch, whose images are in channels-last memory format.

    In a worker process, the images are stacked in memory shared with the main process.
    """
    images = default_collate([sample.image for sample in samples]).permute(0, 3, 1, 2)
    targets = [sample.target for sample in samples]
    return Batch(images, targets, pack_targets(targets))


def _collate_unless_error(samples: list[Sample] | DataError) -> Batch | DataError:
    return samples if isinstance(samples, DataError) else collate(samples)


class Loader(DataLoader[Sample]):
    """A loader of batches, which raises the errors that its workers return."""

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
    """Create a loader for a data set.

    Args:
        dataset: The data set.
        batches: A sampler, for training; or the batch size, to read the data set once in order,
            each of several processes every ``world_size``-th image.
        workers: Number of worker processes that read images; 0 reads in this process.
        pin_memory: Whether to put batches into page-locked memory.
        rank: Index of this process among ``world_size``; only used with a batch size.
        world_size: Number of processes; only used with a batch size.
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
    """Limit a worker to one thread, and leave the handling of signals to the main process.

    Ctrl-C, a closed terminal's SIGHUP and a cluster's SIGTERM are sent to workers too. A worker
    must ignore them, and end only when the main process closes its loader or sends SIGTERM itself,
    as Python does at exit.
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
    """End this process on SIGTERM from the process ``parent``; ignore it from other senders."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(os.EX_OK)  # PyTorch reports any other code as an error.
