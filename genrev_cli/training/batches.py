"""Batches as a pure function of (seed, step), of images or codes. Images stay on the device if they fit; else they are read ahead."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch

from genrev_cli.errors import FileError, lacks_memory
from genrev_cli.files.hdf5 import require_uncut
from genrev_cli.files.hdf5_open import open_hdf5
from genrev_cli.files.images import ImageSet, read_rows
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes, Images, Labels, Pixels, to_float
from genrev_cli.training import distributed
from genrev_cli.transfers import to_device


class Order:
    """An endless shuffled stream of row numbers, with one permutation per epoch. A batch may reach into the next epoch.

    So no row is dropped, and a set may be smaller than a batch.
    """

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self._permutation = lru_cache(2)(lambda epoch: self._shuffle(seed, epoch))

    def _shuffle(self, seed: int, epoch: int) -> torch.Tensor:
        return torch.randperm(self.rows, generator=torch.Generator().manual_seed(derive(seed, "epoch", epoch)))

    def __call__(self, start: int, count: int) -> torch.Tensor:
        """Return positions start … start + count − 1 of the stream, (count,) int64."""
        parts = []
        while count:
            epoch, offset = divmod(start, self.rows)
            part = self._permutation(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(parts)


class Stream(Protocol):
    """The batches of a training loop. batch: rows per step over all processes."""

    batch: int
    device: torch.device

    def __call__(self, step: int) -> tuple[torch.Tensor, Labels]:
        """Return this process's share of the batch of step `step`, counted from 0, on the device."""
        ...


class CodeBatches:
    """Batches of codes (n, d) with labels (n,), which stay on their device. batch: codes per step."""

    def __init__(self, codes: Codes, labels: Labels, *, batch: int, seed: int) -> None:
        self.batch, self.device = batch, codes.device
        self._codes, self._labels, self._order = codes, labels, Order(len(codes), seed)

    def __call__(self, step: int) -> tuple[Codes, Labels]:
        """Return the batch of step `step`, counted from 0: (B, d), (B,)."""
        chosen = to_device(self._order(step * self.batch, self.batch), self.device)
        return self._codes[chosen], self._labels[chosen]


class Batches:
    """Batches of one split.

    batch: rows per step over all processes. resident_megabytes: a split up to this size is kept on the device, as uint8.
    """

    def __init__(self, images: ImageSet, split: str, *, batch: int, seed: int, device: torch.device, resident_megabytes: int) -> None:
        self.rows = images.rows(split)
        self.device = device
        self.batch = batch
        self._order = Order(len(self.rows), seed)
        self._labels = torch.from_numpy(images.labels[self.rows])
        self._images = images
        self._resident: Pixels | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, Future[tuple[Pixels, Labels]]] | None = None
        if len(self.rows) * int(np.prod(images.image_shape)) <= resident_megabytes * 2**20:
            self._resident = torch.from_numpy(images.read(self.rows)).to(device)
            self._labels = self._labels.to(device)
        else:
            self._file = open_hdf5(images.path)
            self._reader = ThreadPoolExecutor(1)

    def __len__(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._reader:
            self._reader.shutdown(cancel_futures=True)
            self._file.close()

    def __call__(self, step: int) -> tuple[Images, Labels]:
        """Return this process's share of the batch of step `step`, counted from 0: (B, C, H, W) in [0, 1] and (B,), on the device."""
        if self._resident is not None:
            chosen = to_device(self._chosen(step), self.device)
            return to_float(self._resident[chosen]), self._labels[chosen]
        assert self._reader is not None
        pixels, labels = self._ahead[1].result() if self._ahead and self._ahead[0] == step else self._read(step)
        self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        return to_float(to_device(pixels, self.device)), to_device(labels, self.device)

    def passes(self, batch: int) -> Iterator[tuple[Images, Labels]]:
        """Yield every image and its label once, in file order: (≤ batch, C, H, W) in [0, 1] and (≤ batch,), on the device."""
        for start in range(0, len(self.rows), batch):
            part = slice(start, start + batch)
            if self._resident is not None:
                yield to_float(self._resident[part]), self._labels[part]
            else:
                pixels = torch.from_numpy(self._images.read(self.rows[part]))
                yield to_float(to_device(pixels, self.device)), to_device(self._labels[part], self.device)

    def _chosen(self, step: int) -> torch.Tensor:
        return distributed.shard(self._order(step * self.batch, self.batch))

    def _read(self, step: int) -> tuple[Pixels, Labels]:
        chosen = self._chosen(step)
        try:
            pixels = torch.from_numpy(read_rows(self._file["images"], self.rows[chosen.numpy()]))
            require_uncut(self._file)
        except OSError as error:  # a Fletcher-32 mismatch, or a truncated file
            if lacks_memory(error):
                raise
            raise FileError(f"{self._images.path}: damaged: a part of it cannot be read; make the file again ({error})") from error
        labels = self._labels[chosen]
        if self.device.type == "cuda":  # in this thread, so that no step waits for the copy
            return pixels.pin_memory(), labels.pin_memory()
        return pixels, labels
