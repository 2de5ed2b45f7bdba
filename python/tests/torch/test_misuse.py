"""Misuse ends in an exception that says what was wrong."""

from __future__ import annotations

import random

import pytest
import torch
from models import Mlp, build, classes, draws
from torch import nn

from sharpness._errors import InvalidInputError, SharpnessError
from sharpness._torch import ModelOperator

X, Y = draws(6, 3), classes(6, count=3)


class Broken(nn.Module):
    def __init__(self, output: object) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.output = output

    def forward(self, x: torch.Tensor) -> object:
        return self.output(x * self.weight) if callable(self.output) else self.output


GOOD = {"model": build(Mlp), "loss_fn": nn.CrossEntropyLoss(), "data": (X, Y)}

# Each is wrong by itself, whatever else is.
BAD: dict[str, list[object]] = {
    "model": [
        None,
        "resnet",
        nn.Linear,
        lambda x: x,
        nn.ReLU(),
        nn.LazyLinear(3),
        nn.Linear(3, 3, device="meta"),
        nn.Linear(3, 3, dtype=torch.complex64),
        nn.Linear(3, 3).requires_grad_(False),
        nn.Linear(0, 0),
        Broken(None),
        Broken("text"),
        Broken(3.0),
        Broken(lambda z: z.detach()),
        Broken(lambda z: (z, z)),
        Broken(lambda z: {"logits": z}),
        Broken(lambda z: z.tolist()),
    ],
    "loss_fn": [
        3,
        "cross_entropy",
        nn.CrossEntropyLoss(reduction="none"),
        nn.CrossEntropyLoss,
        lambda outputs, targets: None,
        lambda outputs, targets: 3.0,
        lambda outputs, targets: outputs,
        lambda outputs, targets: outputs.argmax(),
        lambda outputs, targets: outputs.sum().item(),
        lambda outputs, targets: outputs.sum() * 1j,
        lambda outputs, targets: outputs.sum() * float("nan"),
        lambda outputs, targets: outputs.sum().detach(),
        lambda outputs: outputs.sum(),
    ],
    "data": [
        None,
        5,
        "data",
        [],
        [[]],
        [None],
        [(X,)],
        [(X, Y, X)],
        {"x": X},
        (X[:0], Y[:0]),
        (X * float("nan"), Y),
        (X * float("inf"), Y),
        (X, None),
        (X, "text"),
        (None, Y),
        ("text", "text"),
        torch.zeros(3, 3),
        iter(()),
        (X, torch.full((6,), -100)),
        nn.Linear(3, 3),
    ],
    "kind": [None, "Hessian", 3, "fischer", ["hessian"]],
    "parameters": ["nothing.*", [], [3], 3, ["first.*", "nothing"], b"first"],
    "batch_norm": [None, True, "eval", 3],
    "chunk": [0, -1, 2.5, "all", True, float("nan")],
    "weights": [3, "examples", lambda x, y: None, lambda x, y: -1, lambda x, y: float("nan"), lambda x: 1],
    "product": [None, "exact", 3, "double_backward"],
    "device": ["gpu", 3.5, "meta", "cuda:99", object()],
}
VECTORS: list[object] = [
    None,
    1.0,
    "v",
    [1.0] * 31,
    torch.ones(30, dtype=torch.float64),
    torch.ones(32, dtype=torch.float64),
    torch.ones(31, 1, dtype=torch.float64),
    torch.ones((), dtype=torch.float64),
    torch.ones(31, dtype=torch.int64),
    torch.ones(31, dtype=torch.complex128),
    torch.ones(31, dtype=torch.bool),
    torch.full((31,), float("nan"), dtype=torch.float64),
    torch.full((31,), float("inf"), dtype=torch.float64),
    torch.ones(31, dtype=torch.float64, device="meta"),
]
ALLOWED = (SharpnessError, TypeError, ValueError)


def use(arguments: dict[str, object]) -> None:
    arguments = {**GOOD, **arguments}
    positional = [arguments.pop(name) for name in ("model", "loss_fn", "data")]
    with ModelOperator(*positional, **arguments) as operator:
        operator.check()
        operator(torch.ones_like(operator.like))
        operator.loss()


SINGLE = [(name, index) for name, values in BAD.items() for index in range(len(values))]


@pytest.mark.parametrize(("name", "index"), SINGLE, ids=[f"{name}-{index}" for name, index in SINGLE])
def test_a_wrong_argument_is_refused(name, index):
    with pytest.raises((*ALLOWED, AttributeError)) as caught:
        use({name: BAD[name][index]})
    assert str(caught.value)


@pytest.mark.parametrize("seed", range(200))
def test_wrong_arguments_together_are_refused(seed):
    choose = random.Random(seed)
    names = choose.sample(list(BAD), choose.randint(1, 4))
    with pytest.raises((*ALLOWED, AttributeError)):
        use({name: choose.choice(BAD[name]) for name in names})


@pytest.mark.parametrize("index", range(len(VECTORS)))
def test_a_wrong_vector_is_refused_and_the_operator_stays_usable(index):
    with ModelOperator(*GOOD.values()) as operator:
        with pytest.raises(InvalidInputError):
            operator(VECTORS[index])
        assert operator(torch.ones_like(operator.like)).shape == (31,)


def test_a_wrong_shape_inside_the_model_surfaces_as_pytorch_says_it():
    with ModelOperator(build(Mlp), nn.CrossEntropyLoss(), (draws(6, 4), Y)) as operator:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            operator(torch.ones_like(operator.like))


def test_messages_name_what_would_be_right():
    with pytest.raises(InvalidInputError, match=r"no parameter matches 'fc\.\*'; there are first\.weight"):
        ModelOperator(build(Mlp), nn.CrossEntropyLoss(), (X, Y), parameters="fc.*")
    with pytest.raises(InvalidInputError, match="reduction='mean'"):
        ModelOperator(build(Mlp), nn.CrossEntropyLoss(reduction="none"), (X, Y))
    frozen = build(Mlp).requires_grad_(False)
    with pytest.raises(InvalidInputError, match=r"requires gradients; name some .* first\.weight"):
        ModelOperator(frozen, nn.CrossEntropyLoss(), (X, Y))
    with pytest.raises(InvalidInputError, match="kind='ggn' needs the outputs"):
        ModelOperator(build(Mlp), None, (X, Y), kind="ggn")
