"""In which precision a model computes."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sharpness._torch import trees
from sharpness._torch.point import Chunk, Point

HALF = (torch.float16, torch.bfloat16)


def candidates(point: Point) -> list[torch.dtype | None]:
    """Return the precisions to try for finite differences, best first; None is the model's own."""
    if all(primal.dtype == torch.float64 for primal in point.primals):
        return [None]
    half = any(primal.dtype in HALF for primal in point.primals)
    wide = all(primal.device.type != "mps" for primal in point.primals)
    return ([torch.float64] if wide else []) + ([torch.float32] if half else []) + [None]


def coarsest(point: Point, chunk: Chunk) -> torch.dtype:
    """Return the lowest precision that the loss of a placed chunk rounds to on its way.

    A model in float64 may cast to float32 inside. Its gradient is then a staircase: differences over small
    steps agree with each other and are wrong. float16 stands for both halves.
    """
    with torch.no_grad(), _Dtypes() as seen:
        point.loss(point.primals, chunk)
    dtypes = seen.dtypes | {primal.dtype for primal in point.primals}
    if dtypes & set(HALF):
        return torch.float16
    return torch.float32 if torch.float32 in dtypes else torch.float64


class _Dtypes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the floating-point dtypes that ops return."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.dtypes |= {tensor.dtype for tensor in trees.tensors(result) if tensor.is_floating_point()}
        return result
