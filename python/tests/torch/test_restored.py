"""The user's model and generators are as before, whatever happens."""

from __future__ import annotations

import copy
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from models import ConvNet, Encoder, Mlp, build, classes, draws
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from sharpness._errors import OperatorError
from sharpness._torch import ModelOperator


class Fails(nn.Module):
    """Raises on a given call, and leaves traces of every call."""

    def __init__(self, at: int = 0, error: BaseException | None = None) -> None:
        super().__init__()
        self.body = ConvNet()
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()))
        self.at, self.error, self.calls, self.last = at, error, 0, None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x
        self.seen += x.sum()
        torch.rand(3)
        random.random()
        np.random.rand()
        if self.error is not None and self.calls == self.at:
            raise self.error
        return self.drop(self.body(x))


def prepared() -> Fails:
    """Return a model in mixed modes, with gradients and a frozen parameter."""
    model = build(Fails).train()
    model.body.conv.eval()
    model.drop.eval()
    model.body.head.bias.requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model


def snapshot(model: nn.Module) -> list[object]:
    tensors = {name: tensor.clone() for name, tensor in model.state_dict(keep_vars=True).items()}
    return [
        {name: tensor.detach().tolist() for name, tensor in tensors.items()},
        {name: id(tensor) for name, tensor in model.state_dict(keep_vars=True).items()},
        {name: (p.requires_grad, id(p.grad), p.grad.tolist()) for name, p in model.named_parameters()},
        {name: module.training for name, module in model.named_modules()},
        {name: getattr(module, "track_running_stats", None) for name, module in model.named_modules()},
        (model.calls, model.last),
        torch.get_rng_state().tolist(),
        random.getstate(),
        pickle.dumps(np.random.get_state()),
        torch.backends.cudnn.enabled,
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.is_grad_enabled(),
    ]


def data() -> list[tuple[Tensor, Tensor]]:
    x, y = draws(8, 1, 4, 4), classes(8, count=3)
    return [(x[:5], y[:5]), (x[5:], y[5:])]


@pytest.mark.parametrize("product", ["auto", "double-backward", "finite-differences"])
@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_everything_is_as_before_after_products(product, batch_norm):
    model = prepared()
    before = snapshot(model)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), data(), product=product, batch_norm=batch_norm)
    with operator:
        operator(torch.ones_like(operator.like))
        operator.gradient()
        operator.loss()
    assert snapshot(model) == before


class Custom(Exception):
    pass


@pytest.mark.parametrize("error", [Custom("mine"), RuntimeError("mine"), KeyboardInterrupt("mine")])
@pytest.mark.parametrize("at", [1, 2, 4])
@pytest.mark.parametrize("call", ["product", "gradient", "loss", "check"])
def test_everything_is_as_before_after_an_exception_which_surfaces_unchanged(error, at, call):
    model = prepared()
    operator = ModelOperator(model, nn.CrossEntropyLoss(), data(), product="double-backward")
    calls = {
        "product": lambda: operator(torch.ones_like(operator.like)),
        "gradient": lambda: [operator.gradient() for _ in range(2)],
        "loss": lambda: [operator.loss() for _ in range(2)],
        "check": operator.check,
    }

    def run() -> None:
        with operator:
            model.error, model.at = error, at
            calls[call]()

    before = snapshot(model)
    with pytest.raises(type(error), match="mine") as caught:
        run()
    assert caught.value is error
    assert snapshot(model) == before


@pytest.mark.parametrize("product", ["auto", "forward-over-reverse", "double-backward", "finite-differences"])
def test_a_forward_that_always_fails_surfaces_its_own_error(product):
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = ConvNet()

        def forward(self, x: Tensor) -> Tensor:
            self.body(x)
            raise RuntimeError("mine")

    operator = ModelOperator(build(Broken), nn.CrossEntropyLoss(), data(), product=product)
    with operator, pytest.raises(RuntimeError, match=r"^mine$"):
        operator(torch.ones_like(operator.like))


def test_an_exception_of_the_loss_surfaces_unchanged():
    error = Custom("mine")

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        raise error

    operator = ModelOperator(build(ConvNet), loss, data())
    with operator, pytest.raises(Custom) as caught:
        operator(torch.ones_like(operator.like))
    assert caught.value is error


def test_reading_the_loader_draws_nothing_from_the_generators():
    x, y = draws(12, 3), classes(12, count=3)
    generator = torch.Generator().manual_seed(7)
    loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True, generator=generator)
    before = generator.get_state(), torch.get_rng_state()
    operator = ModelOperator(build(Mlp), nn.CrossEntropyLoss(), loader)
    assert torch.equal(generator.get_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.equal(next(iter(loader))[0], operator._chunks[0].inputs)


def test_a_model_can_be_copied_and_trained_afterwards():
    model = build(Encoder)
    x, y = classes(4, 3, count=5), classes(4, 3, count=5, seed=1)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    operator = ModelOperator(model, loss, (x, y))
    with operator:
        operator(torch.ones_like(operator.like))
    twin = copy.deepcopy(model)
    loss(twin(x), y).backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())


def test_recurrent_weights_are_the_models_own_afterwards():
    model = build(nn.LSTM, 2, 3)
    x = draws(4, 2, 2)
    operator = ModelOperator(model, lambda outputs, _: outputs[0].square().mean(), [(x, x)])
    with operator:
        operator(torch.ones_like(operator.like))
    assert all(a is b for a, b in zip(model._flat_weights, model.parameters(), strict=True))


def test_the_operator_follows_training_between_blocks():
    model = build(Mlp)
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (draws(5, 3), classes(5, count=3)))
    with operator:
        before = operator.gradient()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    with operator:
        assert not torch.allclose(operator.gradient(), before)


def test_the_operator_is_used_inside_one_block_at_a_time():
    operator = ModelOperator(build(Mlp), nn.CrossEntropyLoss(), (draws(5, 3), classes(5, count=3)))
    with pytest.raises(OperatorError, match="which holds the model still"):
        operator(torch.ones_like(operator.like))
    with operator, pytest.raises(OperatorError, match="in use already"):
        operator.__enter__()


def test_operators_of_one_model_nest_but_not_across_threads():
    model = build(ConvNet)
    outer, inner = (ModelOperator(model, nn.CrossEntropyLoss(), data()) for _ in range(2))
    modes = {name: module.training for name, module in model.named_modules()}
    with outer:
        with inner:
            expected = inner(torch.ones_like(inner.like))
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(outer, torch.ones_like(outer.like)).result()
            with pytest.raises(OperatorError, match="another thread"):
                pool.submit(inner.__enter__).result()
    assert torch.equal(found, expected)
    assert {name: module.training for name, module in model.named_modules()} == modes
    with inner:
        pass


def test_weights_of_an_embedding_with_max_norm_stay():
    model = build(nn.Embedding, 5, 3, max_norm=0.1)
    before = model.weight.detach().clone()
    operator = ModelOperator(model, nn.MSELoss(), (classes(4, count=5), draws(4, 3)))
    with operator:
        operator(torch.ones_like(operator.like))
    assert torch.equal(model.weight, before)
    assert model.max_norm == 0.1
    assert any("max_norm" in note for note in operator.report()["notes"])


def test_backward_hooks_are_left_out_and_stay():
    model, seen = build(Mlp), []
    model.first.register_full_backward_hook(lambda *_: seen.append(1))
    operator = ModelOperator(model, nn.CrossEntropyLoss(), (draws(5, 3), classes(5, count=3)))
    with operator:
        operator(torch.ones_like(operator.like))
    assert operator.report()["product"] == "forward-over-reverse"
    assert not seen
    model(draws(5, 3).requires_grad_()).sum().backward()
    assert seen == [1]
