"""How the product of a chunk is computed: the method, its precision and its error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from sharpness._errors import InvalidInputError
from sharpness._torch import culprits
from sharpness._torch.frozen import math_attention
from sharpness._torch.parameters import Layout
from sharpness._torch.point import Chunk, Point
from sharpness._torch.precision import candidates, coarsest
from sharpness._torch.products import PRODUCTS, Kind, Method, Parts, difference

Requested = Literal["auto", "forward-over-reverse", "double-backward", "finite-differences"]

# Steps of finite differences, relative to the norm of the parameters. Large ones cross the kinks of ReLU and
# max pooling, small ones drown in rounding; which is best depends on the model and its precision.
# Below the resolution of the coarsest precision inside a model, differences repeat the same wrong value.
STEPS = {
    torch.float64: (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10),
    torch.float32: (1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
    torch.float16: (3e-1, 1e-1, 3e-2),
}
SMALL_CHANGE = 1e-5


class Product:
    """The product of one chunk with a vector.

    The first product decides the method: forward over reverse where PyTorch can, double backward otherwise.
    `error` is the relative error of a product: estimated for finite differences, half precision and models
    that round to a lower precision inside; 0 otherwise.
    """

    def __init__(
        self, kind: Kind, requested: Requested, layout: Layout, point: Callable[[torch.dtype | None], Point]
    ) -> None:
        self.kind = kind
        self.requested = requested
        self.layout = layout
        self.point = point
        self.method: Method | None = None
        self.math_attention = False
        self.error = 0.0
        self.notes: list[str] = []
        self.coarsest = torch.float64
        """The lowest precision that a product rounds to; float16 stands for both halves."""
        self._step = 0.0
        self.precision: torch.dtype | None = None
        """What the model is cast to for products: wider for finite differences, else None."""

    def prepare(self, chunk: Chunk, mean: Callable[[Callable[[Chunk], Parts]], Tensor]) -> None:
        """Choose the method on a chunk and estimate the error of a product.

        `mean` averages the products of all chunks: more examples have more kinks, so the error of finite
        differences is that of all.
        """
        if self.method is not None:
            return
        vector = probe(self.layout.dim)
        if self.requested == "finite-differences":
            self._choose_step(chunk, vector, mean)
            self.method = "finite-differences"
        else:
            self.method = self._choose_method(chunk, vector)
            point = self.point(None)
            self.coarsest = coarsest(point, point.placed(chunk))
            wide = all(primal.dtype == torch.float64 for primal in point.primals)
            if self.coarsest == torch.float16 or (wide and self.coarsest == torch.float32):
                self._estimate_rounding(chunk, vector)

    def __call__(self, chunk: Chunk, vector: Tensor, dtype: torch.dtype | None = None) -> Parts:
        """Return the product of a chunk's mean loss with a flat vector [dim].

        `dtype` is the precision of everything that floats; None leaves the model its own.
        """
        assert self.method is not None, "prepare() comes first"
        if self.method == "finite-differences":
            return self._difference(chunk, vector, self._step, self.precision)
        return self._exact(chunk, vector, self.method, dtype)

    def rounding(self, chunk: Chunk) -> float | None:
        """Return how far a product is from the one in float64, relative to it; None if the model rounds to less there."""
        if self.method == "finite-differences":
            return None
        try:
            point = self.point(torch.float64)
            if coarsest(point, point.placed(chunk)) != torch.float64:
                return None
            vector = probe(self.layout.dim)
            turned = _turned(vector, self(chunk, vector))
            exact = flat(self(chunk, turned, torch.float64))
        except Exception as error:
            if not culprits.is_missing_derivative(error):
                raise
            return None
        return relative(flat(self(chunk, turned)), exact)

    def context(self) -> AbstractContextManager[Any]:
        """Return the context in which the model is evaluated."""
        return math_attention() if self.math_attention else nullcontext()

    def _exact(self, chunk: Chunk, vector: Tensor, method: Method, dtype: torch.dtype | None) -> Parts:
        point = self.point(dtype)
        # The entries of a unit vector and of its product are too small for float16.
        scale = 1.0
        if any(primal.dtype == torch.float16 for primal in point.primals):
            scale = self.layout.dim**0.5 / 16 / max(float(vector.norm()), torch.finfo(torch.float32).tiny)
        tangents = self.layout.split(vector * scale if scale != 1.0 else vector, point.primals)
        with self.context():
            parts = PRODUCTS[self.kind](point, point.placed(chunk), tangents, method)
        return parts if scale == 1.0 else tuple(part.float() / scale for part in parts)

    def _choose_method(self, chunk: Chunk, vector: Tensor) -> Method:
        auto: tuple[Method, ...] = ("forward-over-reverse", "double-backward")
        failures: list[tuple[str, Exception]] = []
        for method in auto if self.requested == "auto" else (self.requested,):
            if failure := self._failure(chunk, vector, method):
                failures.append((method, failure))
            else:
                return method
        point = self.point(None)
        with self.context():
            raise culprits.not_differentiable(point, point.placed(chunk), failures) from failures[-1][1]

    def _failure(self, chunk: Chunk, vector: Tensor, method: Method) -> Exception | None:
        """Try a method, with the math kernel of attention if the fused one has no second derivative."""
        try:
            self._exact(chunk, vector, method, None)
            if method == "double-backward":
                point = self.point(None)
                with self.context():
                    culprits.require_twice(point, point.placed(chunk))
        except Exception as error:
            # Reverse mode evaluates the loss as the user does, so exceptions from there are the user's.
            own = method == "double-backward" and self.point(None).evaluating
            if own or not culprits.is_missing_derivative(error):
                raise
            if not culprits.is_attention(error) or self.math_attention:
                return error
            self.math_attention = True
            self.notes.append(
                "attention uses PyTorch's math kernel: the fused kernels have no second derivative"
            )
            return self._failure(chunk, vector, method)
        return None

    def _difference(self, chunk: Chunk, vector: Tensor, step: float, dtype: torch.dtype | None) -> Parts:
        point = self.point(dtype)
        norm = float(vector.double().norm() if vector.device.type != "mps" else vector.norm())
        if norm == 0.0:
            return tuple(torch.zeros_like(primal) for primal in point.primals)
        direction = self.layout.split(vector / norm, point.primals)
        parts = difference(point, point.placed(chunk), direction, step)
        return tuple(part * norm for part in parts)

    def _choose_step(
        self, chunk: Chunk, vector: Tensor, mean: Callable[[Callable[[Chunk], Parts]], Tensor]
    ) -> None:
        """Choose the step whose product changes least when the step is divided by ten.

        A first product turns the random vector towards the leading eigenvectors, where solvers work.
        """
        tried = candidates(self.point(None))
        for index, dtype in enumerate(tried):
            try:
                self._difference(chunk, vector, 1e-5, dtype)
                self.precision = dtype
                break
            except Exception as error:
                if index + 1 == len(tried) or not culprits.is_missing_derivative(error):
                    raise
                self.notes.append(
                    f"the model does not run in {dtype}, so finite differences are less precise"
                )
        point = self.point(self.precision)
        self.coarsest = coarsest(point, point.placed(chunk))
        size = max(float(flat(point.primals).norm()), 1e-3)
        steps = [step * size for step in STEPS[self.coarsest]]
        turned = _turned(vector, self._difference(chunk, vector, steps[len(steps) // 2], self.precision))
        products = (flat(self._difference(chunk, turned, step, self.precision)) for step in steps)
        changes = [_change(before, after) for before, after in pairwise(products)]
        best = min(range(len(changes)), key=changes.__getitem__)
        self._step, self.error = self._refine(steps[best:], turned, mean)
        self.notes.append(
            f"products are central differences of gradients with step {self._step:.1e}; "
            f"their relative error is about {self.error:.1e}"
        )

    def _refine(
        self, steps: list[float], vector: Tensor, mean: Callable[[Callable[[Chunk], Parts]], Tensor]
    ) -> tuple[float, float]:
        """Go to smaller steps until the product of all chunks changes little; return the step and the change.

        More examples have more kinks, so a step that suits one chunk may be too large for all.
        """
        products = (
            mean(lambda chunk, step=step: self._difference(chunk, vector, step, self.precision))  # type: ignore[misc]
            for step in steps
        )
        best = (steps[0], float("inf"))
        for step, (before, after) in zip(steps, pairwise(products), strict=False):
            best = min(best, (step, _change(before, after)), key=lambda pair: pair[1])
            if best[1] < SMALL_CHANGE:
                break
        return best

    def _estimate_rounding(self, chunk: Chunk, vector: Tensor) -> None:
        """Estimate the error of products that round to a lower precision than vectors have."""
        turned = _turned(vector, self(chunk, vector))
        found = flat(self(chunk, turned))
        reference = self._in_single(chunk, turned) if self.coarsest == torch.float16 else None
        how = "against float32"
        if reference is None:
            reference = flat(self(chunk, turned - vector)) + flat(self(chunk, vector))
            how = "by how far products are from linear"
        self.error = relative(found, reference)
        name = "half precision" if self.coarsest == torch.float16 else "float32"
        self.notes.append(f"the model rounds to {name}: a product is about {self.error:.1e} off ({how})")

    def _in_single(self, chunk: Chunk, vector: Tensor) -> Tensor | None:
        """Return a product in float32, or None if the model rounds to half precision in that too."""
        try:
            point = self.point(torch.float32)
            if coarsest(point, point.placed(chunk)) == torch.float16:
                return None
            return flat(self(chunk, vector, torch.float32))
        except Exception as error:
            if not culprits.is_missing_derivative(error):
                raise
            return None


def _change(before: Tensor, after: Tensor) -> float:
    """Return the relative change between two steps, at least the rounding of the result.

    Two zeros may be rounding alone, so they say nothing.
    """
    return max(relative(after, before), torch.finfo(after.dtype).eps) if float(after.norm()) else 1.0


def _turned(vector: Tensor, product: Parts) -> Tensor:
    """Return the direction of a product, or the vector itself if the product is zero."""
    image = flat(product)
    return image / image.norm() if float(image.norm()) else vector


def flat(parts: Parts) -> Tensor:
    """Join tensors into one flat vector on the CPU, in float64."""
    return torch.cat([part.detach().reshape(-1).cpu().double() for part in parts])


def relative(value: Tensor, reference: Tensor) -> float:
    """Return the norm of a difference relative to the larger norm; 0 for two zeros."""
    scale = max(float(value.norm()), float(reference.norm()))
    return float((value - reference).norm()) / scale if scale else 0.0


def probe(dim: int, seed: int = 0) -> Tensor:
    """Return a random unit vector [dim] in float64 on the CPU, without touching a global generator."""
    generator = torch.Generator("cpu").manual_seed(seed)
    vector = torch.randn(dim, generator=generator, dtype=torch.float64, device="cpu")
    return torch.nn.functional.normalize(vector, dim=0)


def require(kind: Any, requested: Any) -> None:
    """Check the names of a kind and of a method against each other."""
    if kind not in PRODUCTS:
        raise InvalidInputError(f"kind must be one of {', '.join(PRODUCTS)}; got {kind!r}")
    choices = ("auto", "forward-over-reverse", "double-backward", "finite-differences")
    if requested not in choices:
        raise InvalidInputError(f"product must be one of {', '.join(choices)}; got {requested!r}")
    if requested == "finite-differences" and kind != "hessian":
        raise InvalidInputError(f"product='finite-differences' is for kind='hessian', not {kind!r}")
