"""The order of training images: batches of indices that depend on seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Yield batches of (epoch, index), in an order that depends on seed and epoch alone.

    With several processes, each gets a part of every batch. The last batch is left out if it has
    fewer than two images for each of ``num_parts`` parts, because BatchNorm cannot normalise a
    single image; the images left out differ from epoch to epoch.

    Args:
        length: Number of images in the data set.
        batch_size: Number of images per batch, over all processes.
        seed: Seed of the order, combined with the epoch.
        rank: Index of this process among ``world_size`` processes.
        world_size: Number of processes.
        num_parts: Number of parts that each batch is divided into, over all processes.

    Attributes:
        epoch: The epoch of the next iteration, from 0.
        start: Number of batches to skip in that epoch, which a run had trained before it stopped.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        num_parts: int = 1,
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.num_parts = num_parts
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        """Number of batches in a complete epoch, skipped ones included."""
        full, rest = divmod(self.length, self.batch_size)
        return full + (rest >= 2 * self.num_parts)

    def sizes(self) -> list[int]:
        """Number of images in each batch of an epoch, over all processes."""
        size = self.batch_size
        return [min(size, self.length - size * number) for number in range(len(self))]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> 1))
        order = torch.randperm(self.length, generator=generator).tolist()
        for number in range(self.start, len(self)):
            batch = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(self.epoch, index) for index in batch[self.rank :: self.world_size]]
