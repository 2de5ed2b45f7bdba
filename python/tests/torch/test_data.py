"""Data in all its forms."""

from __future__ import annotations

import json
from collections import UserDict
from types import SimpleNamespace

import dense
import pytest
import torch
from models import ConvNet, LossModel, Mlp, build, classes, draws
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from sharpness._errors import InvalidInputError
from sharpness._torch import ModelOperator

X, Y = draws(7, 3), classes(7, count=3)


def expected() -> Tensor:
    return dense.hessian(build(Mlp).eval(), lambda call: F.cross_entropy(call(X), Y))


def operator(data: object, **options: object) -> ModelOperator:
    return ModelOperator(build(Mlp), nn.CrossEntropyLoss(), data, **options)


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        [(X[:4], Y[:4]), (X[4:], Y[4:])],
        ((X[:4], Y[:4]), (X[4:], Y[4:])),
        DataLoader(TensorDataset(X, Y), batch_size=3),
        next(iter(DataLoader(TensorDataset(X, Y), batch_size=7))),
        {"a": (X[:4], Y[:4]), "b": (X[4:], Y[4:])}.values(),
    ],
    ids=["pair", "list pair", "list", "tuple", "loader", "batch of a loader", "values"],
)
def test_all_forms_of_data_give_the_same_matrix(data):
    assert dense.error(dense.matrix(operator(data)), expected()) < 1e-12


def test_a_generator_is_read_once_and_kept():
    given = operator((X[i : i + 2], Y[i : i + 2]) for i in range(0, 7, 2))
    first, second = dense.matrix(given), dense.matrix(given)
    assert torch.equal(first, second)
    assert dense.error(first, expected()) < 1e-12
    assert given.report()["chunks"] == 4


def test_a_shuffling_loader_is_frozen_with_a_note():
    x, y = draws(12, 1, 4, 4), classes(12, count=3)
    loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True)
    given = ModelOperator(build(ConvNet), nn.CrossEntropyLoss(), loader)
    assert torch.equal(dense.matrix(given), dense.matrix(given))
    assert any("shuffles" in note for note in given.report()["notes"])


def test_random_augmentation_is_frozen():
    class Noisy(Dataset):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return X[index] + torch.randn(3), Y[index]

    given = operator(DataLoader(Noisy(), batch_size=3))
    assert torch.equal(dense.matrix(given), dense.matrix(given))
    with given:
        given.check()


def test_dropping_the_last_batch_is_noted():
    given = operator(DataLoader(TensorDataset(X, Y), batch_size=3, drop_last=True))
    assert given.report()["examples"] == 6
    assert any("drop_last" in note for note in given.report()["notes"])


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_change_nothing_without_batch_norm(chunk):
    given = operator([(X[:4], Y[:4]), (X[4:], Y[4:])], chunk=chunk)
    assert dense.error(dense.matrix(given), expected()) < 1e-12
    assert given.report()["chunks"] == -(-7 // chunk)


def test_batches_of_different_lengths_are_divided_one_by_one():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5)).double()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    x = [classes(3, 4, count=5), classes(3, 2, count=5, seed=1)]
    given = ModelOperator(
        model, loss, [(t, t) for t in x], chunk=2, weights=lambda _, targets: targets.numel()
    )
    reference = dense.hessian(
        model, lambda call: (12 * loss(call(x[0]), x[0]) + 6 * loss(call(x[1]), x[1])) / 18
    )
    assert dense.error(dense.matrix(given), reference) < 1e-12
    assert given.report()["chunks"] == 4
    assert any("differ in shape" in note for note in given.report()["notes"])


def test_a_chunk_is_refused_if_targets_are_not_by_example():
    with pytest.raises(InvalidInputError, match=r"inputs have 7 and targets have shape \[5\]"):
        operator((X, Y[:5]), chunk=2)


def test_batches_of_a_model_with_its_own_loss_are_all_input():
    model = build(LossModel)
    reference = dense.hessian(model.eval(), lambda call: call(X, Y))
    for data in ((X, Y), [(X[:4], Y[:4]), (X[4:], Y[4:])], {"x": X, "y": Y}, [UserDict(x=X, y=Y)]):
        assert dense.error(dense.matrix(ModelOperator(model, None, data)), reference) < 1e-12


class Labelled(nn.Module):
    """A model with the interface of Hugging Face's."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        architecture = "TinyForCausalLM" if causal else "TinyForTokenClassification"
        self.config = SimpleNamespace(is_encoder_decoder=False, architectures=[architecture])
        self.body = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5)).double()

    def forward(self, input_ids: Tensor, labels: Tensor) -> SimpleNamespace:
        logits = self.body(input_ids)
        if self.causal:
            logits, labels = logits[:, :-1], labels[:, 1:]
        return SimpleNamespace(logits=logits, loss=F.cross_entropy(logits.flatten(0, 1), labels.flatten()))


@pytest.mark.parametrize("causal", [False, True])
def test_labels_that_are_not_padding_count_as_loss_terms(causal):
    model = build(Labelled, causal)
    ids, labels = classes(5, 4, count=5), classes(5, 4, count=5, seed=1)
    labels[0, 1:], labels[3, 2:] = -100, -100
    parts = [slice(0, 2), slice(2, 5)]
    data = [{"input_ids": ids[part], "labels": labels[part]} for part in parts]
    given = ModelOperator(model, None, data)
    reference = dense.hessian(model, lambda call: call(ids, labels).loss)
    assert given.loss_terms == int((labels[:, 1:] if causal else labels).ne(-100).sum())
    assert dense.error(dense.matrix(given), reference) < 1e-12


def test_inputs_may_be_objects_that_can_move():
    class Graph:
        def __init__(self, x: Tensor) -> None:
            self.x = x

        def to(self, device: torch.device) -> Graph:
            return Graph(self.x.to(device))

    class OnGraphs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Mlp()

        def forward(self, graph: Graph) -> Tensor:
            return self.body(graph.x)

    given = ModelOperator(
        build(OnGraphs), nn.CrossEntropyLoss(), [(Graph(X[:4]), Y[:4]), (Graph(X[4:]), Y[4:])]
    )
    assert dense.error(dense.matrix(given), expected()) < 1e-12
    assert given.report()["examples"] == 7


def test_the_report_is_ready_for_json():
    given = operator((X, Y))
    with given:
        given.check()
    report = json.loads(json.dumps(given.report(), allow_nan=False))
    assert {"kind", "examples", "loss_terms", "chunks", "batch_norm", "product", "product_error"} <= set(
        report
    )
    assert report["examples"] == 7
    assert report["parameters"] == {
        "count": 31,
        "names": ["first.weight", "first.bias", "last.weight", "last.bias"],
    }
    assert given.layout == [
        ("first.weight", (4, 3), 0),
        ("first.bias", (4,), 12),
        ("last.weight", (3, 4), 16),
        ("last.bias", (3,), 28),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "no examples"),
        ((X[:0], Y[:0]), "no examples"),
        (None, "got NoneType"),
        ("cifar10", "got str"),
        (3, "got int"),
        (nn.CrossEntropyLoss(), "got CrossEntropyLoss"),
        (TensorDataset(X, Y), "got TensorDataset"),
        ([(X, Y, Y)], "batch 0 is a tuple of length 3"),
        ([(X, Y), 5], "batch 1 is a int"),
        ([({"x": 1}, 2)], "hold no tensor"),
        ([{"x": X, "y": Y}], "loss_fn=None"),
        ((X, torch.full((7,), -100)), "no loss terms"),
    ],
)
def test_what_is_not_data_is_refused(data, message):
    with pytest.raises(InvalidInputError, match=message):
        operator(data)
