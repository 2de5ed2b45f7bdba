"""Checks of an operator on its first chunk, before a solver trusts it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sharpness._errors import ChangingOperatorError, NotFiniteError, NotSymmetricError, WrongDerivativeError
from sharpness._torch import culprits, trees
from sharpness._torch.methods import Product, flat, probe, relative
from sharpness._torch.point import Chunk, Point
from sharpness._torch.precision import candidates, coarsest
from sharpness._torch.products import Parts, difference, example_losses

# Largest relative difference between two computations of one product, and largest asymmetry relative to the
# norm of a product. Kernels that add in any order differ by some units of rounding.
REPEAT = {torch.float64: 1e-9, torch.float32: 1e-5, torch.float16: 1e-2}
SYMMETRY = {torch.float64: 1e-6, torch.float32: 1e-2, torch.float16: 2e-1}

# Steps along a unit vector, by the coarsest precision inside the model, likeliest first. Large ones cross
# kinks of ReLU and max pooling (a convolutional network of 10^5 parameters was 100 % off at 1e-6, and 3e-7
# off at 1e-7), small ones drown in rounding.
STEPS = {torch.float64: (1e-7, 1e-8, 1e-6, 1e-9, 1e-5), torch.float32: (1e-3, 1e-2, 1e-7, 1e-5)}
AGREEMENT = {torch.float64: 1e-3, torch.float32: 1e-2}

WAY_OUT = "pass product='finite-differences'"


def run(product: Product, chunk: Chunk, checks: dict[str, dict[str, Any]]) -> None:
    """Run all checks and put their figures into `checks`.

    Finite differences come before symmetry because they say more about a wrong derivative.
    """
    # The size of a product of a unit vector that is all rounding.
    noise = sum(_sizes(product, chunk)) * torch.finfo(product.coarsest).eps
    vector = probe(product.layout.dim, seed=1)
    image = flat(product(chunk, vector))
    if not bool(torch.isfinite(image).all()):
        raise NotFiniteError("a product on the first chunk contains NaN or infinity")
    checks["repeat"] = repeat(product, chunk, vector, image, noise)
    checks["finite_differences"] = finite_differences(product, chunk)
    checks["symmetry"] = symmetry(product, chunk, vector, image, noise)


def repeat(product: Product, chunk: Chunk, vector: Tensor, image: Tensor, noise: float) -> dict[str, Any]:
    """Compute a product again; `noise` is the size of a product that is all rounding.

    Raises
    ------
    ChangingOperatorError
        If the results differ by more than rounding.
    """
    point = product.point(None)
    tolerance = max(REPEAT[product.coarsest], product.error)
    again = flat(product(chunk, vector))
    change = relative(again, image)
    if change <= tolerance or max(float(again.norm()), float(image.norm())) <= noise:
        return {"difference": change, "tolerance": tolerance}
    with product.context():
        makers = culprits.random_modules(point, point.placed(chunk), point.primals[0].device)
    if makers:
        cause = f"{', '.join(makers)} draws random numbers; make it deterministic in eval mode"
    else:
        cause = (
            "the forward keeps state between calls, or kernels are not deterministic; remove the state, "
            "or try torch.use_deterministic_algorithms(True)"
        )
    raise ChangingOperatorError(
        f"the same product, computed twice, differs by {change:.1e} "
        f"(at most {tolerance:.0e} is rounding): {cause}"
    )


def symmetry(product: Product, chunk: Chunk, v: Tensor, image: Tensor, noise: float) -> dict[str, Any]:
    """Compare ``<u, A v>`` with ``<v, A u>`` for two random vectors.

    For random u, ``<u, w>`` is about ``||w|| / sqrt(dim)``, so the difference in these units estimates the
    asymmetry relative to the norm of a product.

    Raises
    ------
    NotSymmetricError
        If they differ by more than rounding.
    """
    dim = product.layout.dim
    tolerance = max(SYMMETRY[product.coarsest], 10 * product.error)
    u = probe(dim, seed=2)
    other = flat(product(chunk, u))
    scale = float((other.square().sum() + image.square().sum()).sqrt())
    asymmetry = abs(float(u @ image - v @ other)) * dim**0.5 / scale if scale else 0.0
    if asymmetry * scale <= tolerance * scale + noise:
        return {"asymmetry": asymmetry, "tolerance": tolerance}
    raise NotSymmetricError(
        f"products are not symmetric: <u, A v> and <v, A u> differ by {asymmetry:.1e} of their usual "
        f"size (at most {tolerance:.0e} is rounding). A custom autograd.Function or torch.cond may have "
        "a wrong second derivative, or a straight-through gradient that no loss has"
    )


def finite_differences(product: Product, chunk: Chunk) -> dict[str, Any]:
    """Compare a product with central differences, in float64 where the model runs in it.

    Returns
    -------
    dict
        ``verdict`` is "passed", "inconclusive" (the differences disagree among themselves: kinks, or casts to
        a lower precision inside the model) or "skipped" (products are differences themselves).

    Raises
    ------
    WrongDerivativeError
        If the differences agree with each other and not with the product.
    """
    if product.method == "finite-differences":
        return {"verdict": "skipped"}
    own = product.point(None)
    # Where the device has no float64, this point is on the CPU.
    wide = [None] if candidates(own) == [None] and own.primals[0].dtype == torch.float64 else [torch.float64]
    for dtype in dict.fromkeys([*wide, *candidates(own)]):
        try:
            return _compare(product, chunk, dtype)
        except Exception as error:
            if dtype is None or not culprits.is_missing_derivative(error):
                raise
    return {"verdict": "inconclusive", "reason": "the model does not run in float64 or float32"}


def _compare(product: Product, chunk: Chunk, dtype: torch.dtype | None) -> dict[str, Any]:
    point = product.point(dtype)
    with product.context():
        used = coarsest(point, point.placed(chunk))
    if used == torch.float16:
        return {"verdict": "inconclusive", "reason": "the model computes in half precision inside"}
    exact, differ = _sides(product, chunk, dtype)
    loss, slope = (0.0, 0.0)
    steps: list[float] = []
    found: list[Tensor] = []
    errors: list[float] = []
    for step in STEPS[used]:
        with product.context():
            found.append(differ(step))
        steps.append(step)
        errors.append(relative(found[-1], exact))
        if errors[-1] > AGREEMENT[used] and not slope:
            loss, slope = _sizes(product, chunk, dtype)
        # What rounding of the subtracted gradients explains, relative to the product.
        size = max(float(exact.norm()), float(found[-1].norm()), torch.finfo(used).tiny)
        rounding = 1e2 * torch.finfo(used).eps * slope / step / size
        if errors[-1] <= AGREEMENT[used] + rounding:
            return {"verdict": "passed", "error": errors[-1], "steps": steps, "errors": errors}
    by_step = [value for _, value in sorted(zip(steps, found, strict=True), key=lambda pair: pair[0])]
    disagreement = min(relative(a, b) for a, b in pairwise(by_step))
    figures = {"error": min(errors), "steps": steps, "errors": errors, "disagreement": disagreement}
    if used != torch.float64:
        # Over steps this large, the kinks of ReLU average out to a curvature that no Hessian has.
        return {"verdict": "inconclusive", "reason": "the model computes in float32 inside", **figures}
    if not disagreement <= min(errors) / 10:
        return {"verdict": "inconclusive", "reason": "differences with several steps disagree", **figures}
    if size <= 1e2 * torch.finfo(used).eps * loss / max(steps):
        return {"verdict": "inconclusive", "reason": "the product is zero to within rounding", **figures}
    raise WrongDerivativeError(
        f"a product is {min(errors):.1%} off central differences of the gradient, which agree with each "
        f"other within {disagreement:.1e}. The usual cause is a wrong second derivative of a custom "
        "autograd.Function, torch.cond, weight_norm or reentrant checkpointing; "
        + (WAY_OUT if product.kind == "hessian" else "replace it")
    )


def _sides(
    product: Product, chunk: Chunk, dtype: torch.dtype | None
) -> tuple[Tensor, Callable[[float], Tensor]]:
    """Return the exact side, and the difference as a function of the step.

    Sides are products for the Hessian, and the number ``<v, A v>`` for the other kinds.
    """
    point = product.point(dtype)
    placed = point.placed(chunk)
    vector = probe(product.layout.dim, seed=4)
    direction = product.layout.split(vector, point.primals)
    exact = flat(product(chunk, vector, dtype))
    if product.kind == "hessian":
        return exact, lambda step: flat(difference(point, placed, direction, step))
    square = _gauss_newton if product.kind == "ggn" else _squared_slopes
    return (vector @ exact).reshape(1), lambda step: square(point, placed, direction, step).reshape(1)


def _sizes(product: Product, chunk: Chunk, dtype: torch.dtype | None = None) -> tuple[float, float]:
    """Return the absolute loss and the norm of the gradient."""
    point = product.point(dtype)
    with product.context(), point.graph() as leaves:
        loss = point.loss(leaves, point.placed(chunk))
        culprits.require_dependence(loss)
        slopes = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return abs(float(loss.detach())), float(flat(slopes).norm())


def _gauss_newton(point: Point, chunk: Chunk, direction: Parts, step: float) -> Tensor:
    """Return ``<J v, H_L J v>`` from differences of outputs, and of the loss's gradient along them."""
    with torch.no_grad():
        above, middle, below = (point.outputs(point.shifted(direction, s), chunk) for s in (step, 0.0, -step))
    leaves, spec = trees.flatten(middle)
    highs, lows = (trees.tensors(side) for side in (above, below))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    moves = {
        i: (high - low) / (2 * step)
        for i, high, low in zip(places, highs, lows, strict=True)
        if high.is_floating_point()
    }

    def slope(offset: float) -> Tensor:
        at = {i: (leaves[i] + offset * move).requires_grad_() for i, move in moves.items()}
        outputs = trees.unflatten([at.get(i, leaf) for i, leaf in enumerate(leaves)], spec)
        loss = point.loss_at(outputs, chunk.targets, chunk.terms)
        slopes = torch.autograd.grad(loss, list(at.values()), allow_unused=True, materialize_grads=True)
        return flat(slopes) @ flat(tuple(moves.values()))

    return (slope(1e-4) - slope(-1e-4)) / 2e-4


def _squared_slopes(point: Point, chunk: Chunk, direction: Parts, step: float) -> Tensor:
    """Return the mean of ``<g_i, v>^2`` from differences of the loss of each example alone."""
    kept = [i for i, terms in enumerate(chunk.example_terms) if terms > 0]
    weights = torch.tensor(
        [chunk.example_terms[i] / chunk.terms for i in kept], dtype=torch.float64, device="cpu"
    )
    with torch.no_grad():
        above, below = (
            example_losses(point, point.shifted(direction, s), chunk, kept).cpu().double()
            for s in (step, -step)
        )
    return (weights * ((above - below) / (2 * step)).square()).sum()
