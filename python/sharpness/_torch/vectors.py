"""The solver's vectors as PyTorch tensors, on the device where the products are computed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sharpness import _arrays
from sharpness._errors import InvalidInputError

#: Rows that a basis has room for at first. Most solves take fewer products than twice that.
FIRST_ROWS = 16
#: Bytes of vectors that are worked on at once, in the dtype of sums: on the CPU they stay in cache; elsewhere there are few
#: enough blocks that starting kernels takes no time.
BLOCK_BYTES = {"cpu": 4 << 20}
LARGE_BLOCK_BYTES = 64 << 20
#: The part of the free memory that a basis may take: while it grows, the old one lies beside the new one.
SHARE = 0.5


class TorchVectors:
    """A space of vectors for `_native.eigenpairs_on_device`: a basis on a device, and the arithmetic on it.

    The basis is one matrix [rows, dim], so that projections are products with it. Other vectors, and all sums, are in
    float64 where the device has it. The methods are the operations of the Rust trait ``VectorSpace``, which says what they do;
    vectors other than those of the basis are tensors [dim] that the solver changes in place.

    Parameters
    ----------
    apply : callable
        The product: a tensor [dim] in `dtype` on `device` -> a vector [dim]. It may keep and change its argument, and its
        exceptions surface unchanged.
    dim : int
        The number of entries of a vector.
    dtype : torch.dtype
        Of the argument of `apply`. The basis is in float64 if that is, else in float32.
    device : torch.device
        Where vectors live.
    seed : int
        Of random vectors. They are drawn on the CPU, so that equal seeds give equal ones on any device.
    rows : int, optional
        The most vectors that the basis will have.
    product_error : float
        The relative error of a product beyond the rounding of `dtype`.
    tolerances : tuple of float, optional
        Those of the solver's own checks, for repeating and for symmetry; None if the operator is already checked.
    exact : callable, optional
        The product in double precision, over NumPy vectors.
    """

    def __init__(
        self,
        apply: Callable[[Tensor], Any],
        dim: int,
        dtype: torch.dtype,
        device: torch.device,
        *,
        seed: int = 0,
        rows: int | None = None,
        product_error: float = 0.0,
        tolerances: tuple[float, float] | None = None,
        exact: Callable[[_arrays.Vector], _arrays.Vector] | None = None,
    ) -> None:
        self.dim = dim
        self.is_single = _stored_dtype(dtype) == torch.float32
        self.product_error = product_error
        self.tolerances = tolerances
        self.has_exact = exact is not None
        #: The time in products, with the device's work on them.
        self.seconds_in_products = 0.0
        self._apply = apply
        self._exact = exact
        self._dtype = dtype
        self._device = device
        self._wide = torch.float32 if device.type == "mps" else torch.float64
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._rows = rows
        self._basis = torch.empty(0, dim, dtype=_stored_dtype(dtype), device=device)
        self._stored = 0

    @property
    def basis_error(self) -> float:
        """The largest relative error of a vector of the basis, beyond the rounding of float64."""
        if self._wide != torch.float64:
            # Sums in float32, over blocks.
            return 8 * torch.finfo(torch.float32).eps
        return 0.5 * torch.finfo(torch.float32).eps if self.is_single else 0.0

    def from_numpy(self, vector: npt.NDArray[np.float64]) -> Tensor:
        """Return a copy of a vector in host memory."""
        return torch.from_numpy(vector).to(self._wide).to(self._device)

    def random_unit(self) -> Tensor:
        """Return a uniformly random unit vector."""
        vector = torch.randn(self.dim, generator=self._generator, dtype=torch.float64, device="cpu")
        vector /= torch.linalg.vector_norm(vector)
        return vector.to(self._wide).to(self._device)

    def apply(self, vector: Tensor) -> Tensor:
        """Return the product with a vector."""
        return self._timed(vector, lambda: self._read(self._apply(vector.to(self._dtype, copy=True))))

    def exact(self, vector: Tensor) -> Tensor:
        """Return the product with a vector, in double precision."""
        assert self._exact is not None
        operand, exact = vector.cpu().double().numpy(), self._exact
        return self._timed(vector, lambda: self._read(exact(operand)))

    def copy(self, vector: Tensor) -> Tensor:
        """Return a copy of a vector."""
        return vector.clone()

    def dot(self, x: Tensor, y: Tensor) -> float:
        """Return ``x @ y``."""
        with self._full_precision():
            (value,) = _sum([x[part].dot(y[part]).reshape(1) for part in self._parts(2)])
        return value

    def norm(self, vector: Tensor) -> float:
        """Return the Euclidean norm."""
        return self._norm(vector, self.dot(vector, vector))

    def scale(self, vector: Tensor, factor: float) -> None:
        """Multiply a vector by a number."""
        vector.mul_(factor)

    def add_scaled(self, y: Tensor, a: float, x: Tensor) -> None:
        """Add ``a * x`` to `y`."""
        y.add_(x, alpha=a)

    def push(self, vector: Tensor) -> None:
        """Append a vector to the basis."""
        if self._stored == len(self._basis):
            self._grow()
        self._basis[self._stored].copy_(vector)
        self._stored += 1

    def get(self, i: int) -> Tensor:
        """Return a copy of a vector of the basis."""
        return self._basis[i].to(self._wide, copy=True)

    def project(self, w: Tensor, subtract: Sequence[float] | None) -> tuple[list[float], float]:
        """Subtract this combination of the basis from `w`; return the coefficients of `w` on the basis, and its norm."""
        coefficients = None if subtract is None else self._numbers(subtract)
        sums = []
        with self._full_precision():
            for part in self._parts(self._stored + 1):
                basis, own = self._basis[: self._stored, part].to(self._wide), w[part]
                if coefficients is not None:
                    own.addmv_(basis.T, coefficients, alpha=-1)
                sums.append(torch.cat([basis @ own, own.dot(own).reshape(1)]))
        *found, square = _sum(sums)
        return found, self._norm(w, square)

    def combine(self, first: int, column: Sequence[float]) -> Tensor:
        """Return the combination of the vectors of the basis from `first`."""
        coefficients = self._numbers(column)
        combined = torch.empty(self.dim, dtype=self._wide, device=self._device)
        with self._full_precision():
            for part in self._parts(len(column) + 1):
                basis = self._basis[first : first + len(column), part].to(self._wide)
                combined[part] = basis.T @ coefficients
        return combined

    def rotate(self, first: int, size: int, columns: Sequence[Sequence[float]]) -> None:
        """Replace the vectors of the basis from `first` by combinations of the `size` ones from there."""
        if not columns:
            return
        rows = self._numbers(columns)
        with self._full_precision():
            for part in self._parts(2 * size):
                basis = self._basis[first : first + size, part]
                basis[: len(columns)] = rows @ basis.to(self._wide)

    def keep(self, order: Sequence[int]) -> None:
        """Keep only these vectors of the basis, in this order."""
        moved = [(to, origin) for to, origin in enumerate(order) if to != origin]
        if moved:
            targets, origins = zip(*moved, strict=True)
            self._basis[list(targets)] = self._basis[list(origins)]
        self._stored = len(order)

    def _grow(self) -> None:
        """Double the room of the basis, up to the most that it will need."""
        rows = max(FIRST_ROWS, 2 * len(self._basis))
        if self._rows is not None:
            rows = max(min(rows, self._rows), self._stored + 1)
        grown = torch.empty(rows, self.dim, dtype=self._basis.dtype, device=self._device)
        grown[: self._stored] = self._basis[: self._stored]
        self._basis = grown

    def _parts(self, width: int) -> Iterator[slice]:
        """Divide the entries of vectors, of which `width` are used at once."""
        entry = torch.finfo(self._wide).bits // 8
        size = max(BLOCK_BYTES.get(self._device.type, LARGE_BLOCK_BYTES) // (entry * width), 1 << 10)
        return (slice(start, min(start + size, self.dim)) for start in range(0, self.dim, size))

    def _numbers(self, numbers: Sequence[Any]) -> Tensor:
        # In two steps: some devices have no float64.
        return torch.tensor(numbers, dtype=torch.float64, device="cpu").to(self._wide).to(self._device)

    def _full_precision(self) -> AbstractContextManager[Any]:
        """Keep sums in float32 out of the user's autocast, which leaves those in float64 alone."""
        if self._wide == torch.float64:
            return nullcontext()
        return torch.autocast(self._device.type, enabled=False)

    def _norm(self, vector: Tensor, square: float) -> float:
        """Return the norm of `vector`, given the sum of its squares, which may have overflowed or underflowed."""
        info = torch.finfo(self._wide)
        if math.isnan(square) or info.tiny / info.eps <= square <= info.max * info.eps:
            return math.sqrt(square)
        largest = float(vector.abs().max())
        if largest == 0.0 or not math.isfinite(largest):
            return largest
        return largest * float(torch.linalg.vector_norm(vector / largest))

    def _read(self, product: Any) -> Tensor:
        """Return a copy of a product that the solver may change."""
        if not isinstance(product, Tensor):
            product = torch.from_numpy(_arrays.to_numpy(product, "the result of hvp"))
        if product.ndim != 1 or not product.is_floating_point():
            # It says what is wrong.
            _arrays.to_numpy(product, "the result of hvp")
        if product.numel() != self.dim:
            raise InvalidInputError(
                f"the result of hvp has {product.numel()} entries, but the operator has dimension {self.dim}"
            )
        own: Tensor = product.detach().to(dtype=self._wide, device=self._device, copy=True)
        return own.contiguous()

    def _timed(self, operand: Tensor, work: Callable[[], Tensor]) -> Tensor:
        # The host runs ahead of a device until it reads a number.
        operand[:1].cpu()
        began = time.perf_counter()
        result = work()
        result[:1].cpu()
        self.seconds_in_products += time.perf_counter() - began
        return result


def _sum(parts: list[Tensor]) -> list[float]:
    """Add up what blocks contribute, in float64 in host memory."""
    numbers: list[float] = torch.stack(parts).cpu().double().sum(0).tolist()
    return numbers


def free_bytes(device: torch.device) -> int | None:
    """Return the memory for vectors that is free on a device, or None if it does not say."""
    if device.type == "cuda":
        # Without what PyTorch has cached, which the next product needs.
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    if device.type == "cpu":
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return None


def basis_bytes(dim: int, dtype: torch.dtype, vectors: int) -> int:
    """Return the size of a basis of so many vectors [dim] for products in `dtype`."""
    return vectors * dim * _stored_dtype(dtype).itemsize


def fits(dim: int, dtype: torch.dtype, device: torch.device, vectors: int) -> bool:
    """Whether a basis of so many vectors [dim] for products in `dtype` fits on a device, with room to grow."""
    free = free_bytes(device)
    return free is not None and basis_bytes(dim, dtype, vectors) <= SHARE * free


def _stored_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
