"""Maps of codes: two numbers for each, from principal components or t-SNE. They are made in a thread of their own."""

import threading
from collections.abc import Callable, Iterable
from typing import Any, final

import torch

from genrev_cli.errors import UsageError
from genrev_cli.latents.directions import principal_components
from genrev_cli.memory import require_room_for_algebra
from genrev_cli.seeds import derive
from genrev_cli.shapes import Codes

PCA, TSNE = "pca", "tsne"
KINDS = (PCA, TSNE)


@final
class Maps:
    """codes: starts a pass over the codes of the map, in blocks (k, d)."""

    def __init__(self, codes: Callable[[], Iterable[Codes]], seed: int) -> None:
        self._codes, self._seed = codes, seed
        self._found: dict[str, torch.Tensor] = {}
        self._gathered: Codes | None = None
        self._plane: tuple[torch.Tensor, torch.Tensor] | None = None
        self._threads: dict[str, threading.Thread] = {}
        self._failed: dict[str, str] = {}
        self._starting, self._gathering, self.done, self.ended = threading.Lock(), threading.Lock(), 0, threading.Event()

    def ask(self, kind: str) -> dict[str, Any] | None:
        """Return a map as JSON: points [x, y], and share, what part of the variance a plane holds. None while it is being made.

        The first call starts the work. Raises UsageError for another kind, and where the work failed.
        """
        if kind not in KINDS:
            raise UsageError(f"map: choose {' or '.join(KINDS)}")
        if kind in self._failed:
            raise UsageError(self._failed[kind])
        if kind in self._found:
            return {"kind": kind, "points": [[round(x, 3), round(y, 3)] for x, y in self._found[kind].tolist()]}
        with self._starting:
            if kind not in self._threads:
                self._threads[kind] = threading.Thread(target=self._try, args=(kind,), daemon=True)
                self._threads[kind].start()
        return None

    def wait(self, kind: str) -> dict[str, Any]:
        """Return a map when it is ready."""
        self.ask(kind)
        self._threads[kind].join()
        found = self.ask(kind)
        assert found is not None
        return found

    def close(self) -> None:
        """Let threads that read codes end."""
        self.ended.set()

    def on_plane(self, x: float, y: float) -> Codes:
        """Return the code of a point of the plane of principal components, m + x·v₁ + y·v₂, (1, d)."""
        if self._plane is None:
            raise UsageError("the map is not ready yet; wait a moment")
        mean, components = self._plane
        return (mean + torch.tensor([x, y]) @ components)[None]

    def _try(self, kind: str) -> None:
        try:
            self._make(kind)
        except Exception as error:  # whatever it is, the page must be told instead of waiting for ever
            self._failed[kind] = f"the map could not be made: {error}"

    def _make(self, kind: str) -> None:
        codes = self._all_codes()
        if codes is None:
            return
        if kind == PCA:
            self._found[kind] = self._on_components(codes)
        else:
            from sklearn.manifold import TSNE as Embedding

            require_room_for_algebra()
            perplexity = min(30.0, (len(codes) - 1) / 3)
            made = Embedding(init="pca", perplexity=perplexity, random_state=derive(self._seed, TSNE) % 2**32).fit_transform(codes.numpy())
            self._found[kind] = torch.from_numpy(made)

    def _all_codes(self) -> Codes | None:
        """Return the codes of the map, (N, d); None if the page has been closed meanwhile."""
        with self._gathering:
            if self._gathered is None:
                parts = []
                for block in self._codes():
                    if self.ended.is_set():
                        return None
                    parts.append(block)
                    self.done += len(block)
                self._gathered = torch.cat(parts)
            return self._gathered

    def _on_components(self, codes: Codes) -> torch.Tensor:
        mean = codes.double().mean(0)
        generator = torch.Generator().manual_seed(derive(self._seed, PCA))
        count = min(2, codes.shape[1])
        vectors, _ = principal_components(lambda: [codes], mean, count, samples=len(codes), generator=generator)
        if count == 1:
            vectors = torch.cat([vectors, torch.zeros_like(vectors)])
        self._plane = mean.float(), vectors.float()
        return ((codes.double() - mean) @ vectors.T).float()
