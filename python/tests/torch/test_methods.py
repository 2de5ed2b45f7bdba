"""Which method computes a product, and what happens where PyTorch has none."""

from __future__ import annotations

import dense
import pytest
import torch
from models import Checkpointed, ConvNet, Hard, Mlp, build, classes, draws
from torch import Tensor, nn
from torch.nn import functional as F

from sharpness._errors import InvalidInputError, NotDifferentiableError, OperatorError
from sharpness._torch import ModelOperator


def test_forward_over_reverse_is_the_first_choice():
    operator = ModelOperator(build(Mlp), nn.CrossEntropyLoss(), (draws(5, 3), classes(5, count=3)))
    assert operator.report()["product"] == "auto"
    with operator:
        operator(torch.ones_like(operator.like))
    assert operator.report()["product"] == "forward-over-reverse"
    assert operator.report()["product_error"] == 0.0


def test_double_backward_takes_over_where_forward_mode_is_missing():
    model, x, y = build(Mlp), draws(5, 3), draws(5, 3, seed=1)
    operator = ModelOperator(model, nn.HuberLoss(), (x, y))
    expected = dense.hessian(model.eval(), lambda call: F.huber_loss(call(x), y))
    assert dense.error(dense.matrix(operator), expected) < 1e-12
    assert operator.report()["product"] == "double-backward"


def test_an_op_without_second_derivative_is_named_with_its_module():
    data = (draws(5, 3), classes(5, count=2))
    with ModelOperator(build(Hard), nn.CrossEntropyLoss(), data) as operator:
        with pytest.raises(NotDifferentiableError) as caught:
            operator(torch.ones_like(operator.like))
    message = str(caught.value)
    assert "hardsigmoid in module features.1 (Hardsigmoid)" in message
    assert "product='finite-differences'" in message


def test_a_loss_without_second_derivative_is_named():
    model, x, y = build(nn.Linear, 3, 4), draws(6, 2, 3), torch.tensor([[1, 2], [3, 1]])
    lengths = torch.full((2,), 6), torch.full((2,), 2)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.ctc_loss(outputs.log_softmax(-1), targets, *lengths)

    with ModelOperator(model, loss, (x, y)) as operator:
        with pytest.raises(NotDifferentiableError, match="ctc_loss in the loss"):
            operator(torch.ones_like(operator.like))


def test_a_bag_of_embeddings_is_named():
    model = nn.Sequential(nn.EmbeddingBag(5, 3), nn.Linear(3, 2)).double()
    with ModelOperator(model, nn.CrossEntropyLoss(), (classes(4, 3, count=5), classes(4, count=2))) as op:
        with pytest.raises(NotDifferentiableError, match=r"embedding_bag.* in module 0 \(EmbeddingBag\)"):
            op(torch.ones_like(op.like))


def test_a_function_that_is_differentiable_once_is_named():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0].cos()

    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Once.apply(x)

    model = nn.Sequential(build(Mlp), Custom())
    with ModelOperator(model, nn.CrossEntropyLoss(), (draws(5, 3), classes(5, count=3))) as operator:
        with pytest.raises(NotDifferentiableError, match=r"Once in module 1 \(Custom\)"):
            operator(torch.ones_like(operator.like))


def test_a_forced_method_that_fails_is_refused():
    data = (draws(5, 3), draws(5, 3, seed=1))
    operator = ModelOperator(build(Mlp), nn.HuberLoss(), data, product="forward-over-reverse")
    with operator, pytest.raises(NotDifferentiableError, match="forward-over-reverse failed"):
        operator(torch.ones_like(operator.like))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_finite_differences_state_their_error(dtype):
    model, x, y = build(ConvNet).to(dtype), draws(8, 1, 4, 4).to(dtype), classes(8, count=3)
    operator = ModelOperator(
        model, nn.CrossEntropyLoss(), (x, y), product="finite-differences", batch_norm="running"
    )
    found = dense.matrix(operator)
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x.double()), y))
    claimed = operator.report()["product_error"]
    assert 0 < claimed < 1e-5
    assert dense.error(found, expected) < max(10 * claimed, 1e-6 if dtype == torch.float32 else 0)
    assert any("central differences" in note for note in operator.report()["notes"])


def test_finite_differences_measure_what_pytorch_cannot_differentiate_twice():
    model, x, y = build(Hard), draws(9, 3), classes(9, count=2)

    class Same(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return F.relu6(z + 3) / 6

    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), product="finite-differences")
    found = dense.matrix(operator)
    model.features[1] = Same()
    expected = dense.hessian(model, lambda call: F.cross_entropy(call(x), y))
    assert dense.error(found, expected) < 1e-6
    with operator:
        operator.check()
    assert operator.report()["checks"]["finite_differences"] == {"verdict": "skipped"}


def test_finite_differences_of_a_model_with_a_fixed_dtype_are_rough_and_say_so():
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build(Mlp).float()
            self.scale = torch.ones(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).tanh() @ self.scale

    model, x, y = Fixed(), draws(9, 3).float(), draws(9, 3, seed=1).float()
    operator = ModelOperator(model, nn.MSELoss(), (x, y), product="finite-differences")
    found = dense.matrix(operator)
    exact = dense.matrix(ModelOperator(model, nn.MSELoss(), (x, y)))
    claimed = operator.report()["product_error"]
    assert 1e-5 < claimed < 1e-1
    assert dense.error(found, exact) < 10 * claimed
    assert any("does not run in torch.float64" in note for note in operator.report()["notes"])


def test_finite_differences_of_a_model_that_rounds_inside_state_an_honest_error():
    class Rounds(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.float().tanh().to(z.dtype)

    model = nn.Sequential(build(nn.Linear, 3, 4), Rounds(), build(nn.Linear, 4, 3, seed=1), nn.Tanh())
    x, y = draws(9, 3), classes(9, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), product="finite-differences")
    found = dense.matrix(operator)
    model[1] = nn.Tanh()
    expected = dense.hessian(model, lambda call: F.cross_entropy(call(x), y))
    claimed = operator.report()["product_error"]
    assert claimed < 1e-2
    assert dense.error(found, expected) < 10 * claimed


def test_a_model_that_rounds_inside_has_no_exact_products():
    class Rounds(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.float().tanh().to(z.dtype)

    model = nn.Sequential(build(nn.Linear, 3, 3), Rounds())
    with ModelOperator(model, nn.CrossEntropyLoss(), (draws(5, 3), classes(5, count=3))) as operator:
        assert not operator.has_exact
        with pytest.raises(OperatorError, match="does not compute in float64"):
            operator.exact(operator.like)


@pytest.mark.parametrize("product", ["auto", "finite-differences"])
def test_layers_evaluated_again_in_the_backward_have_the_parameters_of_the_product(product):
    model, x, y = build(Checkpointed, False), draws(5, 3), classes(5, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y), product=product)
    expected = dense.hessian(
        model, lambda call: F.cross_entropy(call(x, plain=True), y), [name for name, _, _ in operator.layout]
    )
    assert dense.error(dense.matrix(operator), expected) < (1e-12 if product == "auto" else 1e-7)
    with operator:
        operator.check()


@pytest.mark.parametrize("kind", ["ggn", "fisher"])
def test_finite_differences_are_for_the_hessian(kind):
    with pytest.raises(InvalidInputError, match="for kind='hessian'"):
        ModelOperator(
            build(Mlp),
            nn.CrossEntropyLoss(),
            (draws(5, 3), classes(5, count=3)),
            kind=kind,
            product="finite-differences",
        )


@pytest.mark.parametrize("kind", ["hessian", "ggn", "fisher"])
@pytest.mark.parametrize("product", ["auto", "double-backward", "finite-differences"])
def test_tensors_are_made_where_the_parameters_are(kind, product):
    if kind != "hessian" and product == "finite-differences":
        return
    model, x, y = build(ConvNet).float(), draws(6, 1, 4, 4).float(), classes(6, count=3)
    with torch.device("meta"):
        operator = ModelOperator(
            model, nn.CrossEntropyLoss(), (x, y), kind=kind, product=product, batch_norm="running"
        )
        with operator:
            operator.check()
            assert operator(torch.ones_like(operator.like, device="cpu")).device.type == "cpu"
            assert operator.gradient().device.type == "cpu"
            operator.loss()


def test_in_place_ops_on_the_inputs_leave_the_data_alone():
    model = nn.Sequential(nn.ReLU(inplace=True), build(nn.Linear, 3, 3), nn.Tanh())
    x, y = draws(5, 3), classes(5, count=3)
    before = x.clone()
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y))
    expected = dense.hessian(model[1], lambda call: F.cross_entropy(call(x.relu()).tanh(), y))
    assert dense.error(dense.matrix(operator), expected) < 1e-12
    assert torch.equal(x, before)


def test_autocast_around_the_operator_is_off_with_a_note():
    model, x, y = build(Mlp).float(), draws(5, 3).float(), classes(5, count=3)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y))
    with torch.autocast("cpu", torch.bfloat16):
        found = dense.matrix(operator)
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x.double()), y))
    assert dense.error(found, expected) < 1e-5
    assert any("autocast" in note for note in operator.report()["notes"])


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_products_work_where_gradients_are_off(context):
    model = build(Mlp)
    with context():
        x, y = draws(5, 3), classes(5, count=3)
        operator = ModelOperator(model, nn.CrossEntropyLoss(), (x, y))
        found = dense.matrix(operator).clone()
    x, y = x.clone(), y.clone()
    expected = dense.hessian(model.eval(), lambda call: F.cross_entropy(call(x), y))
    assert dense.error(found, expected) < 1e-12
