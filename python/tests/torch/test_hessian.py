"""Products with the Hessian against dense float64 Hessians."""

from __future__ import annotations

import copy
from functools import partial

import dense
import pytest
import torch
from models import Attention, ConvNet, Encoder, LossModel, Mlp, Named, build, classes, draws
from torch import Tensor, nn
from torch.nn import functional as F

from sharpness._torch import ModelOperator

EXACT = 1e-12
METHODS = ["forward-over-reverse", "double-backward"]


def batches(*tensors: Tensor, sizes: tuple[int, ...]) -> list[tuple[Tensor, ...]]:
    return list(zip(*(tensor.split(sizes) for tensor in tensors), strict=True))


@pytest.mark.parametrize("product", METHODS)
def test_a_short_last_batch_counts_by_its_examples(product):
    model, x, y = build(Mlp), draws(7, 3), classes(7, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), batches(x, y, sizes=(3, 3, 1)), product=product)
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert operator.report()["product"] == product


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("product", METHODS)
def test_batch_norm_on_the_batch_is_differentiated_through(product, training):
    model, x, y = build(ConvNet).train(training), draws(8, 1, 4, 4), classes(8, count=3)
    parts = batches(x, y, sizes=(5, 3))
    operator = ModelOperator(model, nn.CrossEntropyLoss(), parts, product=product)
    expected = dense.hessian(
        copy.deepcopy(model).train(),
        lambda call: sum(F.cross_entropy(call(a), b, reduction="sum") for a, b in parts) / 8,
    )
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert operator.report()["batch_norm"] == {"statistics": "batch", "layers": 1, "chunk": 5}


@pytest.mark.parametrize("product", METHODS)
def test_batch_norm_on_running_statistics_is_that_of_eval_mode(product):
    model, x, y = build(ConvNet), draws(8, 1, 4, 4), classes(8, count=3)
    operator = ModelOperator(
        model, nn.CrossEntropyLoss(), batches(x, y, sizes=(5, 3)), product=product, batch_norm="running"
    )
    expected = dense.hessian(copy.deepcopy(model).eval(), lambda call: F.cross_entropy(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_chunks_of_a_stated_size_cross_the_borders_of_batches():
    model, x, y = build(ConvNet), draws(8, 1, 4, 4), classes(8, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), batches(x, y, sizes=(5, 3)), chunk=3)
    expected = dense.hessian(
        copy.deepcopy(model).train(),
        lambda call: (
            sum(F.cross_entropy(call(a), b, reduction="sum") for a, b in batches(x, y, sizes=(3, 3, 2))) / 8
        ),
    )
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert operator.report()["batch_norm"]["chunk"] == 3


@pytest.mark.parametrize("tied", [False, True])
def test_padding_counts_no_loss_terms_in_a_transformer(tied):
    model = build(Encoder, tied=tied)
    x, y = classes(5, 6, count=5), classes(5, 6, count=5, seed=1)
    x[0, 2:], x[3, 4:], y[0, 2:], y[3, 4:] = 0, 0, 0, 0
    operator = ModelOperator(
        model, Tokens(ignore_index=0), batches(x, y, sizes=(2, 3)), product="double-backward"
    )
    flat = partial(F.cross_entropy, target=y.flatten(), ignore_index=0)
    expected = dense.hessian(copy.deepcopy(model).eval(), lambda call: flat(call(x).flatten(0, 1)))
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert operator.loss_terms == float((y != 0).sum())
    assert operator.dim == sum(p.numel() for p in model.parameters())
    assert ("head.weight" in [name for name, _, _ in operator.layout]) is not tied


class Tokens(nn.CrossEntropyLoss):
    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().forward(outputs.flatten(0, 1), targets.flatten())


def test_tied_weights_are_selected_by_either_name():
    model = build(Encoder, tied=True)
    x, y = classes(4, 3, count=5), classes(4, 3, count=5, seed=1)
    operator = ModelOperator(model, Tokens(), (x, y), parameters="head.*")
    assert operator.layout == [("embedding.weight", (5, 4), 0)]


def test_frozen_parameters_are_left_out_unless_named():
    model, x, y = build(Mlp), draws(7, 3), classes(7, count=3)
    model.first.requires_grad_(False)
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x), y))
    default = ModelOperator(model, nn.CrossEntropyLoss(), (x, y))
    assert [name for name, _, _ in default.layout] == ["last.weight", "last.bias"]
    assert dense.error(dense.matrix(default), expected[16:, 16:]) < EXACT
    named = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), parameters=["first.*"])
    assert dense.error(dense.matrix(named), expected[:16, :16]) < EXACT
    assert not model.first.weight.requires_grad


def test_a_model_may_return_its_own_loss():
    model, x, y = build(LossModel), draws(7, 3), classes(7, count=3)
    operator = ModelOperator(model, None, batches(x, y, sizes=(4, 3)))
    expected = dense.hessian(model.eval(), lambda call: call(x, y))
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_class_weights_count_as_cross_entropy_counts_them():
    model, x, y = build(Mlp), draws(9, 3), classes(9, count=3)
    weight = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    operator = ModelOperator(model, nn.CrossEntropyLoss(weight=weight), batches(x, y, sizes=(5, 4)))
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x), y, weight=weight))
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_summed_losses_are_divided_by_all_terms():
    model, x, y = build(Mlp), draws(7, 3), draws(7, 3, seed=1)
    operator = ModelOperator(model, nn.MSELoss(reduction="sum"), batches(x, y, sizes=(4, 3)))
    expected = dense.hessian(model.eval(), lambda call: F.mse_loss(call(x), y, reduction="sum") / 7)
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert any("divided by 7 terms" in note for note in operator.report()["notes"])


@pytest.mark.parametrize(
    "loss_fn",
    [F.cross_entropy, partial(F.cross_entropy, ignore_index=2), nn.NLLLoss(ignore_index=2)],
    ids=["function", "partial", "nll"],
)
def test_functional_losses_count_their_terms(loss_fn):
    ignored = -100 if loss_fn is F.cross_entropy else 2
    model, x, y = build(Mlp), draws(8, 3), classes(8, count=2)
    y[:3] = ignored
    operator = ModelOperator(model, loss_fn, batches(x, y, sizes=(4, 4)))
    expected = dense.hessian(model.eval(), lambda call: loss_fn(call(x), y))
    assert operator.loss_terms == 5
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_class_probabilities_count_by_examples():
    model, x, y = build(Mlp), draws(7, 3), draws(7, 3, seed=1).softmax(1)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), batches(x, y, sizes=(5, 2)))
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_weights_override_the_count_of_terms():
    model, x, y = build(Mlp), draws(7, 3), draws(7, 3, seed=1)
    parts = batches(x, y, sizes=(5, 2))
    operator = ModelOperator(model, nn.MSELoss(), parts, weights=lambda inputs, _: 10 * len(inputs) - 10)
    expected = dense.hessian(
        model.eval(),
        lambda call: 0.8 * F.mse_loss(call(x[:5]), y[:5]) + 0.2 * F.mse_loss(call(x[5:]), y[5:]),
    )
    assert operator.loss_terms == 50
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_chunks_whose_targets_are_all_ignored_do_not_count():
    model, x, y = build(Mlp), draws(6, 3), classes(6, count=3)
    y[:2] = -100
    operator = ModelOperator(model, nn.CrossEntropyLoss(), batches(x, y, sizes=(2, 4)))
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x[2:]), y[2:]))
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_inputs_may_be_dicts():
    model, x, y = build(Named), draws(7, 3), classes(7, count=3)
    scale = draws(7, seed=2)
    data = [({"x": x[:4], "scale": scale[:4]}, y[:4]), ({"x": x[4:], "scale": scale[4:]}, y[4:])]
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x=x, scale=scale), y))
    for chunk in (None, 2):
        operator = ModelOperator(model, nn.CrossEntropyLoss(), data, chunk=chunk)
        assert dense.error(dense.matrix(operator), expected) < EXACT


def test_inputs_may_be_tuples():
    model = build(nn.Bilinear, 2, 3, 2)
    a, b, y = draws(5, 2), draws(5, 3), draws(5, 2, seed=1)
    operator = ModelOperator(model, nn.MSELoss(), [((a[:2], b[:2]), y[:2]), ((a[2:], b[2:]), y[2:])])
    expected = dense.hessian(model, lambda call: F.mse_loss(call(a, b), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT


@pytest.mark.parametrize("product", ["auto", *METHODS])
def test_attention_switches_to_the_math_kernel(product):
    model, x, y = build(Attention), draws(3, 5, 4), classes(3, count=2)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), product=product)
    expected = dense.hessian(model, lambda call: F.cross_entropy(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert any("math kernel" in note for note in operator.report()["notes"])


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_evaluated_at_the_given_parameters(layer):
    model, x = build(layer, 2, 3, batch_first=True), draws(4, 3, 2)
    operator = ModelOperator(model, lambda outputs, _: outputs[0].square().mean(), [(x, x)])
    expected = dense.hessian(model, lambda call: call(x)[0].square().mean())
    assert dense.error(dense.matrix(operator), expected) < EXACT


def test_an_embedding_with_sparse_gradients_has_dense_products():
    model = build(nn.Embedding, 5, 2, sparse=True)
    x, y = classes(6, count=5), draws(6, 2)
    operator = ModelOperator(model, nn.MSELoss(), (x, y))
    expected = dense.hessian(build(nn.Embedding, 5, 2), lambda call: F.mse_loss(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert model.sparse


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("product", METHODS)
def test_a_half_precision_model_states_the_error_of_its_products(dtype, product):
    model, x, y = build(Mlp).to(dtype), draws(16, 3).to(dtype), classes(16, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), product=product)
    assert operator.like.dtype == torch.float32
    found = dense.matrix(operator)
    expected = dense.hessian(copy.deepcopy(model).eval(), lambda call: F.cross_entropy(call(x.double()), y))
    claimed = operator.report()["product_error"]
    assert 1e-4 < claimed < 0.1
    assert dense.error(found, expected) < 5 * claimed


def test_gradient_and_loss_are_means_over_all_terms():
    model, x, y = build(Mlp), draws(7, 3), classes(7, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), batches(x, y, sizes=(3, 4)))
    function, at = dense.flat_function(model.eval(), lambda call: F.cross_entropy(call(x), y))
    with operator:
        torch.testing.assert_close(operator.gradient(), torch.func.grad(function)(at), rtol=1e-12, atol=1e-14)
        assert operator.loss() == pytest.approx(float(function(at)), rel=1e-13)


def test_float32_products_have_the_precision_of_float32():
    model, x, y = build(ConvNet).float(), draws(8, 1, 4, 4).float(), classes(8, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), batches(x, y, sizes=(5, 3)), batch_norm="running")
    expected = dense.hessian(copy.deepcopy(model).eval(), lambda call: F.cross_entropy(call(x.double()), y))
    assert dense.error(dense.matrix(operator), expected) < 1e-5
    assert operator.report()["dtype"] == "float32"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_exact_products_are_in_float64_at_the_parameters_as_they_are(dtype):
    model, x, y = build(ConvNet).to(dtype), draws(8, 1, 4, 4).to(dtype), classes(8, count=3)
    parts = batches(x, y, sizes=(5, 3))
    expected = dense.hessian(
        copy.deepcopy(model).train(),
        lambda call: sum(F.cross_entropy(call(a.double()), b, reduction="sum") for a, b in parts) / 8,
    )
    with ModelOperator(model, nn.CrossEntropyLoss(), parts) as operator:
        assert operator.has_exact
        columns = [operator.exact(column) for column in torch.eye(operator.dim)]
        from_numpy = operator.exact(torch.eye(operator.dim, dtype=torch.float64)[0].numpy())
    assert dense.error(torch.stack(columns, dim=1), expected) < EXACT
    assert torch.equal(from_numpy, columns[0])


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["data-parallel", "compiled"])
def test_wrappers_are_left_out_with_a_note(wrap):
    model, x, y = build(Mlp), draws(5, 3), classes(5, count=3)
    operator = ModelOperator(wrap(model), nn.CrossEntropyLoss(), (x, y))
    assert [name for name, _, _ in operator.layout] == [name for name, _ in model.named_parameters()]
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < EXACT
    assert any("was left out" in note for note in operator.report()["notes"])
