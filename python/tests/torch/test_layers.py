"""Scaled and blocked measures of models, against dense float64 Hessians."""

import copy

import dense
import numpy as np
import pytest
import torch
from models import ConvNet, Mlp, build, classes, draws
from torch.nn import functional as F

import sharpness


def problem(make):
    """A model with data in two batches, and its dense Hessian."""
    if make is Mlp:
        model, x, y = build(Mlp), draws(9, 3), classes(9, count=3)
    else:
        model, x, y = build(ConvNet), draws(8, 1, 4, 4), classes(8, count=3)
    parts = list(zip(x.split(5), y.split(5), strict=True))
    mode = copy.deepcopy(model)
    if make is Mlp:
        mode.eval()

    def objective(call):
        return sum(F.cross_entropy(call(a), b, reduction="sum") for a, b in parts) / len(x)

    return model, parts, dense.hessian(mode, objective).numpy()


def magnitudes(model) -> np.ndarray:
    return torch.cat([p.detach().reshape(-1).abs() for p in model.parameters()]).double().numpy()


@pytest.mark.parametrize("make", [Mlp, ConvNet])
def test_adaptive_sharpness_is_that_of_the_scaled_hessian(make):
    model, data, hessian = problem(make)
    w = magnitudes(model)
    scaled = w[:, None] * hessian * w
    r = sharpness.adaptive(model, torch.nn.CrossEntropyLoss(), data, rtol=1e-8, trace_rtol=0.1)
    assert r.lambda_max.value == pytest.approx(np.linalg.eigvalsh(scaled)[-1], rel=1e-9)
    assert abs(r.trace.value - np.trace(scaled)) < 3 * r.trace.standard_error + 1e-12
    assert r.lambda_max.solve.operator["scale"] == "magnitude"
    smallest = sharpness.lambda_min(model, torch.nn.CrossEntropyLoss(), data, scale=w, rtol=1e-8)
    assert smallest.value == pytest.approx(np.linalg.eigvalsh(scaled)[0], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("make", [Mlp, ConvNet])
def test_each_layer_is_a_diagonal_block_of_the_hessian(make):
    model, data, hessian = problem(make)
    r = sharpness.per_layer(model, torch.nn.CrossEntropyLoss(), data, rtol=1e-8, max_probes=200)
    assert [layer.name for layer in r] == [name for name, _ in model.named_parameters()]
    start = 0
    for layer, parameter in zip(r, model.parameters(), strict=True):
        stop = start + parameter.numel()
        block = hessian[start:stop, start:stop]
        top, trace = layer.lambda_max, layer.trace
        exact = np.linalg.eigvalsh(block)[-1]
        assert layer.parameters == len(block) == len(top.vector)
        assert top.converged and top.lower - 1e-12 <= exact <= top.upper + 1e-12, layer.name
        assert top.value == pytest.approx(exact, rel=1e-8, abs=2e-13), layer.name
        assert abs(trace.value - np.trace(block)) < 3.5 * trace.standard_error + 1e-12, layer.name
        start = stop
    assert r.products == sum(layer.lambda_max.products for layer in r) + r[0].trace.products


def test_the_block_of_a_bias_before_batch_norm_is_zero_up_to_rounding():
    model, data, _ = problem(ConvNet)
    for dtype, rounding in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        narrow = copy.deepcopy(model).to(dtype)
        r = sharpness.per_layer(
            narrow, torch.nn.CrossEntropyLoss(), [(x.to(dtype), y) for x, y in data], parameters="conv.*"
        )
        top = next(layer.lambda_max for layer in r if layer.name == "conv.bias")
        assert top.converged and abs(top.value) <= top.residual < rounding


def test_modules_hold_the_parameters_of_their_own():
    model, data, hessian = problem(ConvNet)
    r = sharpness.per_layer(model, torch.nn.CrossEntropyLoss(), data, by="module", rtol=1e-8)
    assert [(layer.name, layer.parameters) for layer in r] == [("conv", 30), ("norm", 6), ("head", 39)]
    assert r[2].lambda_max.value == pytest.approx(np.linalg.eigvalsh(hessian[36:, 36:])[-1], rel=1e-9)
    assert "conv" in r._repr_html_() and r.to_dict()["layers"][1]["name"] == "norm"
    assert len(r[:2]) == 2 and "head" in repr(r)


def test_blocks_in_float32_stay_within_their_bounds():
    model, data, hessian = problem(ConvNet)
    narrow = copy.deepcopy(model).float()
    single = [(x.float(), y) for x, y in data]
    r = sharpness.per_layer(narrow, torch.nn.CrossEntropyLoss(), single, by="module")
    ends = np.cumsum([layer.parameters for layer in r])
    for layer, stop in zip(r, ends, strict=True):
        block = hessian[stop - layer.parameters : stop, stop - layer.parameters : stop]
        exact = np.linalg.eigvalsh(block)[-1]
        # The parameters themselves were rounded.
        assert layer.lambda_max.lower - 1e-5 <= exact <= layer.lambda_max.upper + 1e-5, layer.name


def test_diagonal_and_ranks_are_those_of_the_hessian():
    model, data, hessian = problem(Mlp)
    r = sharpness.diagonal(model, torch.nn.CrossEntropyLoss(), data, probes=100)
    near = np.abs(r.values - np.diag(hessian)) < 3 * r.standard_errors
    assert near.mean() > 0.9
    ranks = sharpness.effective_rank(model, torch.nn.CrossEntropyLoss(), data, probes=20, steps=20, rtol=0.05)
    exact = np.trace(hessian) / np.linalg.eigvalsh(hessian)[-1]
    assert abs(ranks.trace_rank[0] - exact) < 3 * ranks.trace_rank[1]


def test_layers_are_those_of_a_module():
    with pytest.raises(sharpness.InvalidInputError, match="pass blocks="):
        sharpness.per_layer(lambda v: v, None, None)
    model, data, _ = problem(Mlp)
    with pytest.raises(sharpness.InvalidInputError, match="by = 'layer'"):
        sharpness.per_layer(model, torch.nn.CrossEntropyLoss(), data, by="layer")


def test_adaptive_layers_are_blocks_of_the_scaled_hessian():
    model, data, hessian = problem(Mlp)
    w = magnitudes(model)
    block = (w[:, None] * hessian * w)[16:, 16:]
    r = sharpness.per_layer(
        model, torch.nn.CrossEntropyLoss(), data, by="module", scale="magnitude", rtol=1e-8, max_probes=8
    )
    assert r[1].name == "last" and r[1].lambda_max.value == pytest.approx(
        np.linalg.eigvalsh(block)[-1], rel=1e-9
    )
