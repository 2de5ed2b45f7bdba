"""Dense float64 matrices, from `torch.autograd.functional` and loops over examples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from sharpness._torch import ModelOperator

Call = Callable[..., Any]


def flat_function(
    model: nn.Module, objective: Callable[[Call], Tensor], names: list[str] | None = None
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return ``objective`` as a function of the flat parameters, in float64, and the parameters.

    `objective` gets the model as a callable. The model is copied, in the mode that it is in.
    """
    model = copy.deepcopy(model).double()
    wide = dict(model.named_parameters())
    names = names if names is not None else list(wide)
    sizes = [wide[name].numel() for name in names]

    def function(flat: Tensor) -> Tensor:
        parts = dict(zip(names, flat.split(sizes), strict=True))
        state = {name: part.view(wide[name].shape) for name, part in parts.items()}
        state |= {name: buffer.clone() for name, buffer in model.named_buffers()}
        return objective(lambda *args, **kwargs: functional_call(model, state, args, kwargs))

    return function, torch.cat([wide[name].detach().reshape(-1) for name in names])


def hessian(model: nn.Module, objective: Callable[[Call], Tensor], names: list[str] | None = None) -> Tensor:
    """Return the Hessian [dim, dim] of an objective."""
    function, at = flat_function(model, objective, names)
    with plain_kernels():
        return torch.autograd.functional.hessian(function, at)


def jacobian(model: nn.Module, objective: Callable[[Call], Tensor], names: list[str] | None = None) -> Tensor:
    """Return the Jacobian of a vector-valued objective."""
    function, at = flat_function(model, objective, names)
    with plain_kernels():
        return torch.autograd.functional.jacobian(function, at)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Evaluate attention without fused kernels, which can be differentiated once at most."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def matrix(operator: ModelOperator) -> Tensor:
    """Return the matrix of an operator, column by column, in float64."""
    with operator:
        columns = [operator(column).double() for column in torch.eye(operator.dim, dtype=operator.dtype)]
    return torch.stack(columns, dim=1)


def error(found: Tensor, expected: Tensor) -> float:
    """Return the relative difference in Frobenius norm."""
    assert expected.norm() > 1e-6, "the expected matrix is zero, so the test shows nothing"
    return float((found - expected).norm() / expected.norm())
