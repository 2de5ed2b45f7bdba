"""Vectors between the solver, which works on NumPy vectors in host memory, and the user's arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sharpness._errors import InvalidInputError

#: A vector in host memory.
Vector: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.float32]
#: A NumPy, PyTorch or JAX array, or anything else that NumPy can read.
ArrayLike: TypeAlias = Any


def is_torch(value: object) -> bool:
    """Whether `value` is a PyTorch tensor. Never imports PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_torch_module(value: object) -> bool:
    """Whether `value` is a PyTorch module. Never imports PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _is_jax(value: object) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def to_numpy(value: ArrayLike, what: str) -> Vector:
    """Read a vector as NumPy's, in float32 or float64, without a copy where possible.

    Raises
    ------
    InvalidInputError
        If `value` is not a vector of real floating-point numbers.
    """
    if is_torch(value):
        value = value.detach()
        if value.dtype.is_floating_point and value.element_size() < 4:
            value = value.float()
        value = value.cpu().numpy()
    try:
        array = np.asarray(value)
    except Exception as error:
        raise InvalidInputError(f"{what} is a {type(value).__name__}, not an array: {error}") from error
    if array.ndim != 1:
        raise InvalidInputError(
            f"{what} has shape {array.shape}: it must be a vector; flatten it, for example with .reshape(-1)"
        )
    if array.dtype in (np.float32, np.float64):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.float16 or str(array.dtype) == "bfloat16":
        return array.astype(np.float32)
    raise InvalidInputError(f"{what} has dtype {array.dtype}: it must be float32 or float64")


def converter(like: ArrayLike | None) -> Callable[[Vector], ArrayLike]:
    """Return the function that turns the solver's vectors, which may be tensors for a tensor, into arrays like `like`."""
    if is_torch(like):
        torch = sys.modules["torch"]
        dtype, device = like.dtype, like.device  # type: ignore[union-attr]

        def to_torch(vector: Vector) -> ArrayLike:
            tensor: Any = vector if is_torch(vector) else torch.from_numpy(vector)
            return tensor.to(device=device, dtype=dtype)

        return to_torch
    if _is_jax(like):
        jax = sys.modules["jax"]
        dtype, device = like.dtype, next(iter(like.devices()))  # type: ignore[union-attr]
        return lambda vector: jax.device_put(vector.astype(dtype, copy=False), device)
    return lambda vector: vector


def kinds() -> list[Callable[[Vector], ArrayLike]]:
    """Return converters to the kinds of vectors that a function may take: first those of double precision."""
    known: list[Callable[[Vector], ArrayLike]] = [lambda vector: vector]
    torch = sys.modules.get("torch")
    if torch is not None:
        known += [converter(torch.empty(0, dtype=dtype)) for dtype in (torch.float64, torch.float32)]
    # JAX takes NumPy's vectors, but by default only of single precision.
    return [*known, lambda vector: vector.astype(np.float32)]


def is_single(like: ArrayLike | None) -> bool | None:
    """Whether arrays like `like` have less than double precision; None if it is None or no array."""
    dtype = getattr(like, "dtype", None)
    if dtype is None:
        return None
    return "64" not in str(dtype)


def length(like: ArrayLike) -> int | None:
    """Return the number of entries of `like`; None if it has no shape."""
    shape = getattr(like, "shape", None)
    return None if shape is None else int(np.prod(shape, dtype=np.int64))
