"""Gauss-Newton and Fisher products against dense float64 matrices."""

from __future__ import annotations

import copy

import dense
import pytest
import torch
from models import ConvNet, Encoder, LossModel, Mlp, build, classes, draws
from test_hessian import EXACT, METHODS, Tokens, batches
from torch import nn
from torch.nn import functional as F

from sharpness._errors import InvalidInputError
from sharpness._torch import ModelOperator


@pytest.mark.parametrize("product", METHODS)
@pytest.mark.parametrize("loss", [F.cross_entropy, F.mse_loss])
def test_gauss_newton_is_the_jacobian_around_the_curvature_of_the_loss(product, loss):
    model, x = build(Mlp), draws(7, 3)
    y = classes(7, count=3) if loss is F.cross_entropy else draws(7, 3, seed=1)
    operator = ModelOperator(model, loss, batches(x, y, sizes=(4, 3)), kind="ggn", product=product)
    jacobian = dense.jacobian(model.eval(), lambda call: call(x).flatten())
    outputs = model(x).detach().flatten()
    curvature = torch.autograd.functional.hessian(lambda z: loss(z.view(7, 3), y), outputs)
    assert dense.error(dense.matrix(operator), jacobian.T @ curvature @ jacobian) < EXACT


def test_gauss_newton_differentiates_through_batch_statistics():
    model, x, y = build(ConvNet), draws(6, 1, 4, 4), classes(6, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), kind="ggn")
    train = copy.deepcopy(model).train()
    jacobian = dense.jacobian(train, lambda call: call(x).flatten())
    outputs = copy.deepcopy(model).train()(x).detach().flatten()
    curvature = torch.autograd.functional.hessian(lambda z: F.cross_entropy(z.view(6, 3), y), outputs)
    assert dense.error(dense.matrix(operator), jacobian.T @ curvature @ jacobian) < EXACT


@pytest.mark.parametrize("product", METHODS)
def test_fisher_is_the_mean_of_outer_products_of_gradients(product):
    model, x, y = build(Mlp), draws(7, 3), classes(7, count=3)
    operator = ModelOperator(
        model, nn.CrossEntropyLoss(), batches(x, y, sizes=(4, 3)), kind="fisher", product=product
    )
    gradients = dense.jacobian(model.eval(), lambda call: F.cross_entropy(call(x), y, reduction="none"))
    assert dense.error(dense.matrix(operator), gradients.T @ gradients / 7) < EXACT


def test_fisher_weighs_examples_by_their_tokens():
    model = build(Encoder)
    x, y = classes(4, 5, count=5), classes(4, 5, count=5, seed=1)
    y[0, 2:], y[2, :] = -100, -100
    operator = ModelOperator(
        model, Tokens(), batches(x, y, sizes=(3, 1)), kind="fisher", product="double-backward"
    )
    counts = (y != -100).sum(1)
    gradients = dense.jacobian(
        copy.deepcopy(model).eval(),
        lambda call: torch.stack([F.cross_entropy(call(x[i : i + 1])[0], y[i]) for i in (0, 1, 3)]),
    )
    weights = counts[[0, 1, 3]].double() / counts.sum()
    expected = gradients.T @ (weights[:, None] * gradients)
    assert dense.error(dense.matrix(operator), expected) < EXACT


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_fisher_takes_losses_that_branch_on_values(reduction):
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs, targets) if float(targets.sum()) >= 0 else outputs.sum()

    model, x, y = build(Mlp), draws(5, 3), classes(5, count=3)
    gradients = dense.jacobian(model.eval(), lambda call: F.cross_entropy(call(x), y, reduction="none"))
    for loss_fn in (loss, nn.CrossEntropyLoss(reduction=reduction)):
        operator = ModelOperator(model, loss_fn, (x, y), kind="fisher")
        assert dense.error(dense.matrix(operator), gradients.T @ gradients / 5) < EXACT


def test_fisher_of_a_model_that_returns_its_loss_sees_examples_alone():
    model, x, y = build(LossModel), draws(5, 3), classes(5, count=3)
    operator = ModelOperator(model, None, [(x, y)][0], kind="fisher")
    gradients = dense.jacobian(
        model.eval(), lambda call: torch.stack([call(x[i : i + 1], y[i : i + 1]) for i in range(5)])
    )
    assert dense.error(dense.matrix(operator), gradients.T @ gradients / 5) < EXACT


def test_fisher_is_refused_on_batch_statistics_with_the_way_out():
    model, x, y = build(ConvNet), draws(6, 1, 4, 4), classes(6, count=3)
    with pytest.raises(InvalidInputError, match="batch_norm='running'"):
        ModelOperator(model, nn.CrossEntropyLoss(), (x, y), kind="fisher")
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), kind="fisher", batch_norm="running")
    gradients = dense.jacobian(
        copy.deepcopy(model).eval(), lambda call: F.cross_entropy(call(x), y, reduction="none")
    )
    assert dense.error(dense.matrix(operator), gradients.T @ gradients / 6) < EXACT


def test_fisher_is_refused_if_outputs_are_not_one_per_example():
    model = nn.Sequential(nn.Linear(3, 2), nn.Flatten(0))
    operator = ModelOperator(model, nn.MSELoss(), (torch.ones(4, 3), torch.ones(8)), kind="fisher")
    with operator, pytest.raises(InvalidInputError, match="one output per example"):
        operator(torch.ones_like(operator.like))


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_the_checks_compare_other_matrices_with_finite_differences(kind):
    model, x, y = build(Mlp), draws(7, 3), classes(7, count=3)
    with ModelOperator(model, nn.CrossEntropyLoss(), (x, y), kind=kind) as operator:
        operator.check()
    outcome = operator.report()["checks"]["finite_differences"]
    assert outcome["verdict"] == "passed"
    assert outcome["error"] < 1e-6
