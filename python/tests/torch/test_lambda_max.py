"""λ_max of models against dense Hessians, and against SciPy, PyHessian and curvlinops."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dense
import numpy as np
import pytest
import torch
from models import ConvNet, Encoder, LossModel, Mlp, build, classes, draws
from torch import Tensor, nn
from torch.nn import functional as F

import sharpness


@dataclass
class Case:
    """A model, its data, and its objective over all of the data as a function of the model."""

    model: nn.Module
    loss_fn: Any
    data: Any
    objective: Callable[[Callable[..., Any]], Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    names: list[str] | None = None

    def exact(self) -> Tensor:
        """The eigenvalues of the dense Hessian in float64, ascending."""
        return torch.linalg.eigvalsh(dense.hessian(self.model, self.objective, self.names))


def single(*shape: int) -> Tensor:
    """Draw numbers that float32 represents, so that a model in float32 sees the same data."""
    return draws(*shape).float().double()


def convolutional(mode: str) -> Case:
    model, x, y = build(ConvNet), single(12, 1, 4, 4), classes(12, count=3)
    model.train(mode == "batch")
    data = [(x[:6], y[:6]), (x[6:], y[6:])]

    def objective(call: Callable[..., Any]) -> Tensor:
        return torch.stack([F.cross_entropy(call(a), b) for a, b in data]).mean()

    return Case(model, nn.CrossEntropyLoss(), data, objective, {"batch_norm": mode})


def transformer(tied: bool) -> Case:
    model, tokens = build(Encoder, tied=tied).eval(), classes(6, 5, count=5)
    tokens[2, 3:], tokens[4, 2:] = 0, 0
    targets = tokens.roll(1, 1)
    data = [(tokens[:4], targets[:4]), (tokens[4:], targets[4:])]

    def objective(call: Callable[..., Any]) -> Tensor:
        return F.cross_entropy(call(tokens).flatten(0, 1), targets.flatten(), ignore_index=0)

    class TokenLoss(nn.CrossEntropyLoss):
        def forward(self, logits: Tensor, wanted: Tensor) -> Tensor:
            return super().forward(logits.flatten(0, 1), wanted.flatten())

    return Case(model, TokenLoss(ignore_index=0), data, objective)


def frozen() -> Case:
    model, x, y = build(Mlp).eval(), single(9, 3), classes(9, count=3)
    model.first.requires_grad_(False)
    names = ["last.weight", "last.bias"]
    return Case(model, nn.CrossEntropyLoss(), (x, y), lambda call: F.cross_entropy(call(x), y), names=names)


def scalar() -> Case:
    model, x, y = build(LossModel).eval(), single(9, 3), classes(9, count=3)
    return Case(model, None, (x, y), lambda call: call(x, y))


CASES = {
    "conv, batch statistics": lambda: convolutional("batch"),
    "conv, running statistics": lambda: convolutional("running"),
    "transformer with padding": lambda: transformer(False),
    "tied weights": lambda: transformer(True),
    "frozen parameters": frozen,
    "scalar loss": scalar,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", ["lanczos", "dense"])
def test_the_extreme_eigenvalues_lie_within_their_bounds(name, method):
    case = CASES[name]()
    exact = case.exact()
    arguments = (case.model, case.loss_fn, case.data)
    options = {"method": method, "rtol": 1e-6, "progress": False, **case.options}
    for found, value in (
        (sharpness.lambda_max(*arguments, **options), exact[-1]),
        (sharpness.lambda_min(*arguments, **options), exact[0]),
    ):
        assert found.converged and found.lower <= value <= found.upper
        assert found.value == pytest.approx(float(value), rel=1e-8, abs=1e-10)
    top = sharpness.top_k(*arguments, k=3, **options)
    for pair, value in zip(top, exact.flip(0), strict=False):
        assert pair.lower <= value <= pair.upper


@pytest.mark.parametrize("recompute", [None, True])
@pytest.mark.parametrize("name", CASES)
def test_in_single_precision_the_bounds_hold_the_true_value(name, recompute):
    case = CASES[name]()
    case.model.float()
    # The float32 weights are those whose Hessian is meant.
    exact = float(case.exact()[-1])
    data = case.data if isinstance(case.data, list) else [case.data]
    data = [tuple(t.float() if t.is_floating_point() else t for t in batch) for batch in data]
    found = sharpness.lambda_max(
        case.model, case.loss_fn, data, recompute=recompute, rtol=1e-4, progress=False, **case.options
    )
    assert found.converged and found.lower <= exact <= found.upper
    if recompute:
        assert found.value == pytest.approx(exact, rel=1e-7)
    else:
        assert found.value == pytest.approx(exact, rel=1e-4) and "recompute=True" in found.notes[-1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_has_wider_bounds_that_hold_the_true_value(dtype):
    model, x, y = build(Mlp).eval().to(dtype), draws(32, 3).to(dtype), classes(32, count=3)
    double = dense.hessian(model, lambda call: F.cross_entropy(call(x.double()), y))
    exact = torch.linalg.eigvalsh(double)[-1]
    found = sharpness.lambda_max(model, nn.CrossEntropyLoss(), (x, y), progress=False)
    assert found.lower <= exact <= found.upper
    assert found.upper - found.lower < 0.5 * exact, "and say something"


@pytest.mark.parametrize("name", CASES)
def test_the_trace_is_within_a_few_standard_errors(name):
    case = CASES[name]()
    exact = case.exact()
    arguments = (case.model, case.loss_fn, case.data)
    options = {"progress": False, "rtol": 0.05, "max_probes": 400, **case.options}
    trace = sharpness.trace(*arguments, **options)
    assert abs(trace.value - exact.sum()) < 5 * trace.standard_error + 1e-9
    norm = sharpness.frobenius_norm(*arguments, **options)
    assert abs(norm.value - exact.norm()) < 5 * norm.standard_error + 1e-9


class Output(nn.Module):
    """A model that returns its own loss, as peers need it: inputs are both arguments."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, both: Tensor) -> Tensor:
        return self.model(both[:, :-1], both[:, -1].long())


class Itself(nn.Module):
    """The loss of a model that returns its loss."""

    reduction = "mean"

    def forward(self, output: Tensor, _: Tensor) -> Tensor:
        return output


def for_peers(name: str) -> tuple[Case, nn.Module, Any, tuple[Tensor, Tensor]]:
    """The case on one batch, since peers weight batches by examples, with the model, loss and batch that they take."""
    case = CASES[name]()
    batches = case.data if isinstance(case.data, list) else [case.data]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    case.data = (x, y)
    model, loss_fn = case.model, case.loss_fn
    if loss_fn is None:
        model, loss_fn, x = Output(case.model), Itself(), torch.cat([x, y[:, None]], 1)
    if name == "conv, batch statistics":
        # Without running statistics, batch norm takes those of the batch in any mode, and nothing is written.
        model = copy.deepcopy(model)
        model.norm.track_running_stats, model.norm.running_mean, model.norm.running_var = False, None, None
    # Dropout off is up to the user.
    return case, model.eval(), loss_fn, (x, y)


# Where layers normalize by their inputs' own statistics, products of curvlinops 3.0 with PyTorch 2.15 are asymmetric: the
# largest eigenvalues of these models come out up to 0.7 % off.
@pytest.mark.parametrize("name", ["conv, running statistics", "frozen parameters", "scalar loss"])
def test_curvlinops_with_scipy_agrees(name):
    curvlinops = pytest.importorskip("curvlinops")
    eigsh = pytest.importorskip("scipy.sparse.linalg").eigsh
    case, model, loss_fn, batch = for_peers(name)
    parameters = [p for p in model.parameters() if p.requires_grad]
    peer = curvlinops.HessianLinearOperator(model, loss_fn, parameters, [batch], check_deterministic=False)
    with dense.plain_kernels():
        value = eigsh(peer.to_scipy(), k=1, which="LA", return_eigenvectors=False)[0]
    found = sharpness.lambda_max(
        case.model, case.loss_fn, case.data, rtol=1e-6, progress=False, **case.options
    )
    slack = 1e-9 * abs(value)
    assert found.lower - slack <= value <= found.upper + slack
    assert found.value == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_pyhessian_agrees(name):
    pyhessian = pytest.importorskip("pyhessian")
    case, model, loss_fn, batch = for_peers(name)
    torch.manual_seed(0)
    with dense.plain_kernels():
        peer = pyhessian.hessian(model, loss_fn, data=batch, cuda=False)
        values, _ = peer.eigenvalues(maxIter=2000, tol=1e-10)
    options = {"rtol": 1e-6, "progress": False, **case.options}
    # Power iteration finds the eigenvalue of largest magnitude.
    found = sharpness.eigenpairs(case.model, case.loss_fn, case.data, which="magnitude", **options)
    assert found.value == pytest.approx(values[0], rel=1e-4)
    assert found[0].interval[0] <= found.value <= found[0].interval[1]


def test_other_matrices_lie_within_their_bounds():
    model, x, y = build(Mlp).eval(), single(9, 3), classes(9, count=3)
    jacobian = dense.jacobian(model, lambda call: call(x).flatten())
    p = F.softmax(model(x).detach(), 1)
    blocks = torch.block_diag(*(torch.diag(q) - torch.outer(q, q) for q in p)) / 9
    ggn = jacobian.T @ blocks @ jacobian
    gradients = dense.jacobian(model, lambda call: F.cross_entropy(call(x), y, reduction="none"))
    fisher = gradients.T @ gradients / 9
    for kind, matrix in (("ggn", ggn), ("fisher", fisher)):
        exact = torch.linalg.eigvalsh(matrix)[-1]
        found = sharpness.lambda_max(
            model, nn.CrossEntropyLoss(), (x, y), kind=kind, rtol=1e-6, progress=False
        )
        assert found.lower <= exact <= found.upper and found.solve.operator["kind"] == kind


def test_a_jax_model_lies_within_its_bounds():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 4)), rng.integers(3, size=20)

    def loss(theta):
        w, v = theta[:32].reshape(4, 8), theta[32:].reshape(8, 3)
        logits = jnp.tanh(x @ w) @ v
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(20), y])

    theta = jnp.asarray(rng.standard_normal(56))
    exact = np.linalg.eigvalsh(np.asarray(jax.hessian(loss)(theta), dtype=np.float64))
    hvp = jax.jit(lambda v: jax.jvp(jax.grad(loss), (theta,), (v,))[1])
    for like in (theta, None):
        found = sharpness.lambda_max(
            (lambda v: hvp(v)) if like is not None else (lambda v: hvp(jnp.asarray(v, theta.dtype))),
            dim=56,
            like=like,
            method="lanczos",
        )
        assert found.lower <= exact[-1] <= found.upper
        assert found.value == pytest.approx(exact[-1], rel=1e-4)


def test_an_unknown_option_is_named():
    case = frozen()
    with pytest.raises(TypeError, match="'tol'; the options of a model are kind"):
        sharpness.lambda_max(case.model, case.loss_fn, case.data, tol=1e-3)


def test_the_report_says_what_was_measured():
    case = CASES["conv, batch statistics"]()
    found = sharpness.lambda_max(case.model, case.loss_fn, case.data, progress=False)
    report = found.solve.operator
    assert report["examples"] == 12 and report["batch_norm"]["statistics"] == "batch"
    assert report["checks"]["finite_differences"]["verdict"] == "passed"
    assert isinstance(found.vector, torch.Tensor) and found.vector.dtype == torch.float64
