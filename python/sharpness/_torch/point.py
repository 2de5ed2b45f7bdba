"""The loss as a function of the selected parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sharpness._torch import trees
from sharpness._torch.losses import Loss


@dataclass(frozen=True)
class Chunk:
    """Examples of one forward pass.

    `terms` is the number of loss terms, `example_terms` that of each example (only for the Fisher matrix).
    """

    inputs: Any
    targets: Any
    examples: int
    terms: float
    example_terms: tuple[float, ...] = ()


class Point:
    """The parameters at which products are computed, in one dtype.

    Nothing of the user's is written: the selected parameters are arguments, the others are detached, and each
    evaluation works on copies of the buffers and of the data, which a forward may change in place.

    Parameters
    ----------
    model, loss
        What is evaluated.
    names
        The selected parameters.
    device
        Where to evaluate; None leaves parameters where they are.
    dtype
        The dtype of floating-point parameters, buffers, inputs and targets; None keeps each one's own.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        names: Sequence[str],
        device: torch.device | None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.model = model
        self.loss_of = loss
        self.names = tuple(names)
        self.device = device
        self.dtype = dtype
        self.mapped = True
        """Whether `torch.func.vmap` may evaluate the loss of many examples at once."""
        self.evaluating = False
        """Whether the model or the loss is being evaluated, or raised the last exception."""
        parameters = dict(model.named_parameters())
        self.primals = tuple(self._own(parameters[name]) for name in names)
        self.fixed = {name: self._own(p) for name, p in parameters.items() if name not in set(names)}
        self.buffers = {name: self._own(b) for name, b in model.named_buffers()}
        self.loss_state = {}
        if loss.module is not None:
            tensors = [*loss.module.named_parameters(), *loss.module.named_buffers()]
            self.loss_state = {name: self._own(tensor) for name, tensor in tensors}

    def placed(self, chunk: Chunk) -> Chunk:
        """Move a chunk to where the parameters are, in their dtype if it is fixed."""
        device = self.device if self.device is not None else self.primals[0].device
        inputs, targets = trees.place((chunk.inputs, chunk.targets), device, self.dtype)
        return replace(chunk, inputs=inputs, targets=targets)

    def outputs(self, primals: Sequence[Tensor], chunk: Chunk) -> Any:
        """Evaluate the model on a placed chunk."""
        state = {name: buffer.clone() for name, buffer in self.buffers.items()}
        state |= self.fixed
        state |= dict(zip(self.names, primals, strict=True))
        inputs = trees.map_tensors(torch.clone, chunk.inputs)
        named = inputs if isinstance(inputs, dict) else {}
        in_order = tuple(inputs) if isinstance(inputs, (tuple, list)) else () if named else (inputs,)
        self.evaluating = True
        outputs = functional_call(self.model, state, in_order, named)
        self.evaluating = False
        return outputs

    def loss_at(self, outputs: Any, targets: Any, terms: float) -> Tensor:
        """Evaluate the mean loss of outputs of the model."""
        loss = self.loss_of
        targets = trees.map_tensors(torch.clone, targets)
        self.evaluating = True
        if loss.function is None:
            value = outputs
        elif loss.module is not None:
            value = functional_call(loss.module, self.loss_state, (outputs, targets))
        else:
            value = loss.function(outputs, targets)
        self.evaluating = False
        value = loss.scalar(value)
        return value / terms if loss.sums else value

    def loss(self, primals: Sequence[Tensor], chunk: Chunk) -> Tensor:
        """Evaluate the mean loss of a placed chunk."""
        return self.loss_at(self.outputs(primals, chunk), chunk.targets, chunk.terms)

    def shifted(self, direction: Sequence[Tensor], step: float) -> tuple[Tensor, ...]:
        """Return the selected parameters moved by `step` along a direction."""
        return tuple(p + step * d for p, d in zip(self.primals, direction, strict=True))

    @contextmanager
    def graph(self, primals: Sequence[Tensor] | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield the selected parameters as leaves of a new autograd graph, to be differentiated in the block.

        The model holds these leaves meanwhile: checkpointing evaluates parts of it again during the backward.
        """
        leaves = tuple(p.detach().requires_grad_() for p in (self.primals if primals is None else primals))
        with self._held(self.fixed | dict(zip(self.names, leaves, strict=True))):
            yield leaves

    @contextmanager
    def _held(self, parameters: dict[str, Tensor]) -> Iterator[None]:
        """Put tensors in the place of the model's parameters, and copies in that of its buffers."""
        new: dict[int, Tensor] = {id(p): parameters[name] for name, p in self.model.named_parameters()}
        new |= {id(buffer): self.buffers[name].clone() for name, buffer in self.model.named_buffers()}
        slots = [slot for m in self.model.modules() for slot in (m._parameters, m._buffers)]
        old: list[dict[str, Any]] = [dict(slot) for slot in slots]
        try:
            for slot in slots:
                slot.update({name: new[id(t)] for name, t in slot.items() if id(t) in new})  # type: ignore[misc]
            yield
        finally:
            for slot, before in zip(slots, old, strict=True):
                slot.clear()
                slot.update(before)

    def _own(self, tensor: Tensor) -> Tensor:
        dtype = self.dtype if self.dtype is not None and tensor.is_floating_point() else tensor.dtype
        device = tensor.device if self.device is None else self.device
        return tensor.detach().to(device, dtype)
