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
from sharpness._torch.parameters import HALF, Layout
from sharpness._torch.point import Chunk, Point
from sharpness._torch.products import PRODUCTS, Kind, Method, Parts, difference

Requested = Literal["auto", "forward-over-reverse", "double-backward", "finite-differences"]

# Steps of finite differences, relative to the norm of the parameters. Large ones cross the kinks of ReLU and
# max pooling, small ones drown in rounding; which is best depends on the model and its precision.
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


class Product:
    """The product of one chunk with a vector.

    The first product decides the method: forward over reverse where PyTorch can, double backward otherwise.
    `error` is the relative error of a product, estimated for finite differences and half precision, else 0.
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
        self._step = 0.0
        self.precision: torch.dtype | None = None
        """What the model is cast to for products: wider for finite differences, else None."""

    def prepare(self, chunk: Chunk, half: bool) -> None:
        """Choose the method on the first chunk and estimate the error of a product."""
        if self.method is not None:
            return
        vector = probe(self.layout.dim)
        if self.requested == "finite-differences":
            self._choose_step(chunk, vector)
            self.method = "finite-differences"
        else:
            self.method = self._choose_method(chunk, vector)
            if half:
                self._estimate_rounding(chunk, vector)

    def __call__(self, chunk: Chunk, vector: Tensor, dtype: torch.dtype | None = None) -> Parts:
        """Return the product of a chunk's mean loss with a flat vector [dim].

        `dtype` is the precision of everything that floats; None leaves the model its own.
        """
        assert self.method is not None, "prepare() comes first"
        if self.method == "finite-differences":
            return self._difference(chunk, vector, self._step, self.precision)
        return self._exact(chunk, vector, self.method, dtype)

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
            if method == "double-backward" and self.kind == "hessian":
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

    def _choose_step(self, chunk: Chunk, vector: Tensor) -> None:
        """Choose the step whose product changes least when the step is divided by ten.

        A first product turns the random vector towards the leading eigenvectors, where solvers work.
        """
        for index, dtype in enumerate(candidates := precisions(self.point(None))):
            try:
                self._difference(chunk, vector, 1e-5, dtype)
                self.precision = dtype
                break
            except Exception as error:
                if index + 1 == len(candidates) or not culprits.is_missing_derivative(error):
                    raise
                self.notes.append(
                    f"the model does not run in {dtype}, so finite differences are less precise"
                )
        size = max(float(flat(self.point(self.precision).primals).norm()), 1e-3)
        steps = [step * size for step in STEPS]
        turned = flat(self._difference(chunk, vector, steps[2], self.precision))
        turned = vector if not float(turned.norm()) else turned / turned.norm()
        products = (flat(self._difference(chunk, turned, step, self.precision)) for step in steps)
        changes = [relative(after, before) for before, after in pairwise(products)]
        best = min(range(len(changes)), key=changes.__getitem__)
        self._step, self.error = steps[best], changes[best]
        self.notes.append(
            f"products are central differences of gradients with step {self._step:.1e}; "
            f"their relative error is about {self.error:.1e}"
        )

    def _estimate_rounding(self, chunk: Chunk, vector: Tensor) -> None:
        """Compare a product in half precision with the same product in float32."""
        turned = flat(self(chunk, vector))
        turned = vector if not float(turned.norm()) else turned / turned.norm()
        half = flat(self(chunk, turned))
        try:
            single = flat(self(chunk, turned, torch.float32))
            self.error = relative(half, single)
            how = "against float32 on the first chunk"
        except Exception as error:
            if not culprits.is_missing_derivative(error):
                raise
            rest = flat(self(chunk, turned - vector)) + flat(self(chunk, vector))
            self.error = relative(half, rest)
            how = "by how far it is from linear; the model does not run in float32"
        self.notes.append(f"half precision: relative error of a product about {self.error:.1e} ({how})")


def flat(parts: Parts) -> Tensor:
    """Join tensors into one flat vector on the CPU, in float64."""
    return torch.cat([part.detach().reshape(-1).cpu().double() for part in parts])


def relative(value: Tensor, reference: Tensor) -> float:
    """Return the norm of a difference relative to the larger norm; 0 for two zeros."""
    scale = max(float(value.norm()), float(reference.norm()))
    return float((value - reference).norm()) / scale if scale else 0.0


def probe(dim: int, seed: int = 0) -> Tensor:
    """Return a random unit vector [dim] in float64 on the CPU, without touching a global generator."""
    vector = torch.randn(dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vector, dim=0)


def precisions(point: Point) -> list[torch.dtype | None]:
    """Return the precisions to try for finite differences, best first; None is the model's own."""
    if all(primal.dtype == torch.float64 for primal in point.primals):
        return [None]
    half = any(primal.dtype in HALF for primal in point.primals)
    wide = all(primal.device.type != "mps" for primal in point.primals)
    return ([torch.float64] if wide else []) + ([torch.float32] if half else []) + [None]


def require(kind: Any, requested: Any) -> None:
    """Check the names of a kind and of a method against each other."""
    if kind not in PRODUCTS:
        raise InvalidInputError(f"kind must be one of {', '.join(PRODUCTS)}; got {kind!r}")
    choices = ("auto", "forward-over-reverse", "double-backward", "finite-differences")
    if requested not in choices:
        raise InvalidInputError(f"product must be one of {', '.join(choices)}; got {requested!r}")
    if requested == "finite-differences" and kind != "hessian":
        raise InvalidInputError(f"product='finite-differences' is for kind='hessian', not {kind!r}")
