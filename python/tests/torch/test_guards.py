"""Operators that solvers must not trust are refused, and good ones are not."""

from __future__ import annotations

import pytest
import torch
from models import Checkpointed, ConvNet, Encoder, Mlp, build, classes, draws
from test_hessian import Tokens
from torch import Tensor, nn
from torch.nn import functional as F

from sharpness._errors import (
    ChangingOperatorError,
    NotDifferentiableError,
    NotFiniteError,
    NotSymmetricError,
    WrongDerivativeError,
)
from sharpness._torch import ModelOperator


def checked(model: nn.Module, loss_fn=None, data=None, **options) -> dict:
    data = data if data is not None else (draws(6, 3), classes(6, count=3))
    with ModelOperator(model, loss_fn or nn.CrossEntropyLoss(), data, **options) as operator:
        operator.check()
    return operator.report()


class WrongCube(torch.autograd.Function):
    """x^3 with a backward whose own derivative is wrong: it treats x^2 as a constant."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * grad * (x * x).detach()


class Skewed(torch.autograd.Function):
    """The identity, with a backward that is not its transpose."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.cumsum(-1)


class Applies(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.body = Mlp()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.body(x))


class Branching(nn.Module):
    """torch.cond, which PyTorch differentiates twice, and wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Mlp()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return torch.cond(y.sum() > -100, lambda z: z.sin() * z, lambda z: z.cos(), (y,))


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
def test_a_good_model_passes_with_figures(kind):
    checks = checked(build(Mlp), kind=kind)["checks"]
    assert checks["repeat"] == {"difference": 0.0, "tolerance": 1e-9}
    assert checks["symmetry"]["asymmetry"] < 1e-12
    assert checks["finite_differences"]["verdict"] == "passed"
    assert 0 < checks["finite_differences"]["error"] < 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_kinks_and_low_precision_raise_no_false_alarm(dtype, batch_norm):
    data = (draws(40, 1, 4, 4).to(dtype), classes(40, count=3))
    checks = checked(build(ConvNet).to(dtype), data=data, batch_norm=batch_norm)["checks"]
    assert checks["finite_differences"]["verdict"] == "passed"


def test_a_transformer_with_padding_passes():
    x, y = classes(6, 5, count=5), classes(6, 5, count=5, seed=1)
    x[0, 3:] = 0
    report = checked(build(Encoder).float(), Tokens(ignore_index=0), (x, y))
    assert report["checks"]["finite_differences"]["verdict"] == "passed"


def test_a_wrong_second_derivative_is_refused_with_its_size():
    with pytest.raises(WrongDerivativeError, match=r"\d% off .*product='finite-differences'"):
        checked(build(Applies, WrongCube.apply))


@pytest.mark.parametrize("normalize", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_weight_norm_is_refused_as_pytorch_differentiates_it_wrongly(normalize):
    model = normalize(build(nn.Linear, 3, 3))
    before = dict(model.__dict__)
    with pytest.raises(WrongDerivativeError, match="weight_norm"):
        checked(model)
    assert model.__dict__ == before
    checked(model, product="finite-differences")


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_reentrant_checkpointing_is_refused():
    with pytest.raises((WrongDerivativeError, NotDifferentiableError)):
        checked(build(Checkpointed, True))


def test_torch_cond_is_refused():
    with pytest.raises((WrongDerivativeError, NotDifferentiableError)):
        checked(build(Branching))


def test_a_second_derivative_that_is_wrongly_zero_is_refused():
    class Lost(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.exp()

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0].exp().detach()

    with pytest.raises(WrongDerivativeError, match=r"100\.0% off"):
        checked(nn.Sequential(build(nn.Linear, 3, 3), Applied(Lost.apply)), lambda z, _: z.mean())


class Applied(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.forward = function


def test_a_gradient_of_no_loss_is_refused_as_not_symmetric():
    with pytest.raises(NotSymmetricError, match="straight-through"):
        checked(build(Applies, Skewed.apply), product="finite-differences")


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_a_wrong_gradient_is_refused_for_other_matrices(kind):
    with pytest.raises((WrongDerivativeError, NotSymmetricError)):
        checked(build(Applies, Skewed.apply), kind=kind)


def test_a_model_that_draws_random_numbers_is_refused_by_name():
    class Noise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5)

    model = nn.Sequential(build(Mlp), Noise())
    with pytest.raises(ChangingOperatorError, match=r"module 1 \(Noise\) draws random numbers"):
        checked(model)


def test_a_model_that_keeps_state_is_refused():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.calls = Mlp(), [0]

        def forward(self, x: Tensor) -> Tensor:
            self.calls[0] += 1
            return self.body(x) * self.calls[0]

    with pytest.raises(ChangingOperatorError, match="keeps state between calls"):
        checked(build(Counting))


def test_dropout_is_off():
    model = build(Mlp).train()
    model.drop.p = 0.9
    assert checked(model)["checks"]["repeat"]["difference"] == 0.0


def test_a_loss_that_ignores_the_parameters_is_refused():
    with pytest.raises(NotDifferentiableError, match="does not depend on the selected parameters"):
        checked(build(Applies, torch.detach))


def test_products_that_are_not_finite_are_refused_by_parameter():
    x = draws(6, 3)
    x[2, 1] = float("nan")
    with pytest.raises(NotFiniteError):
        checked(build(Mlp), data=(x, classes(6, count=3)))
    operator = ModelOperator(build(Mlp), nn.CrossEntropyLoss(), (x, classes(6, count=3)))
    with operator, pytest.raises(NotFiniteError, match=r"first in parameter first\.weight"):
        operator(torch.ones_like(operator.like))
    with operator, pytest.raises(NotFiniteError, match="the loss is nan"):
        operator.loss()


def test_casts_inside_the_model_leave_the_comparison_open_or_passed():
    report = checked(build(Applies, lambda x: x.float().tanh().to(x.dtype)))
    verdict = report["checks"]["finite_differences"]["verdict"]
    assert verdict in ("passed", "inconclusive")
    assert (verdict == "inconclusive") == any("could not be checked" in note for note in report["notes"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("activation", [torch.relu, torch.tanh])
@pytest.mark.parametrize("own", [torch.float32, torch.float64])
def test_rounding_inside_a_model_is_no_wrong_derivative(dtype, activation, own):
    def rounded(z: Tensor) -> Tensor:
        return activation(z.to(dtype) * 3).to(z.dtype)

    model = nn.Sequential(build(nn.Linear, 3, 40), Applied(rounded), build(nn.Linear, 40, 3, seed=1)).to(own)
    report = checked(model, data=(draws(50, 3).to(own), classes(50, count=3)))
    assert report["checks"]["finite_differences"]["verdict"] in ("passed", "inconclusive")
    assert (report["product_error"] > 0) == (dtype != own)


def test_a_model_with_a_fixed_dtype_is_checked_in_that_dtype():
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build(nn.Linear, 3, 3).float()
            self.scale = torch.eye(3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.body(x)) @ self.scale

    report = checked(Fixed(), data=(draws(6, 3).float(), classes(6, count=3)))
    outcome = report["checks"]["finite_differences"]
    assert outcome["verdict"] == "passed"
    assert outcome["steps"][0] == 1e-3


def test_a_product_that_is_zero_to_within_rounding_is_not_refused():
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build(nn.Linear, 3, 3).float()
            self.scale = torch.ones(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.body(x)) @ self.scale

    report = checked(Flat(), data=(draws(6, 3).float(), classes(6, count=3)))
    assert report["checks"]["finite_differences"]["verdict"] in ("passed", "inconclusive")


def test_a_linear_model_of_a_linear_loss_has_a_zero_product_and_passes():
    model = nn.Linear(3, 1).double()
    report = checked(model, lambda outputs, _: outputs.mean(), (draws(5, 3), draws(5, 1)))
    assert report["checks"]["finite_differences"]["verdict"] == "passed"
