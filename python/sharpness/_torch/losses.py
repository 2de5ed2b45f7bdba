"""The loss of a chunk, and the number of terms that its mean runs over."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sharpness._errors import InvalidInputError
from sharpness._torch import trees

Weights = Callable[[Any, Any], float]

HUGGING_FACE_PADDING = -100


class Loss:
    """A loss function as PyTorch has them, or the loss that a model returns.

    Parameters
    ----------
    function
        ``function(outputs, targets)`` -> scalar. None if the model returns the loss itself, as a scalar or
        as ``.loss`` of its output.
    weights
        ``weights(inputs, targets)`` -> number of loss terms of a batch. None counts them: targets that are
        not ignored for losses that have an `ignore_index`, examples otherwise.
    """

    def __init__(
        self, function: Callable[..., Any] | None, weights: Weights | None, model: nn.Module
    ) -> None:
        if function is not None and not callable(function):
            raise InvalidInputError(f"loss_fn must be callable or None, got {type(function).__name__}")
        if isinstance(function, type):
            raise InvalidInputError(f"loss_fn is the class {function.__name__}; pass an instance of it")
        if weights is not None and not callable(weights):
            raise InvalidInputError(f"weights must be callable or None, got {type(weights).__name__}")
        self.function = _uncompiled(function)
        self.weights = weights
        self.model = model
        self.sums = _setting(self.function, "reduction") == "sum"
        if _setting(self.function, "reduction") == "none":
            raise InvalidInputError("loss_fn has reduction='none'; pass reduction='mean' for a scalar loss")

    @property
    def module(self) -> nn.Module | None:
        """The loss as a module, if it is one."""
        return self.function if isinstance(self.function, nn.Module) else None

    def terms(self, inputs: Any, targets: Any, examples: int) -> float:
        """Return the number of loss terms of a batch."""
        if self.weights is not None:
            return _as_count(self.weights(inputs, targets))
        if self.function is None:
            return float(self._label_count(inputs, examples))
        ignored = _setting(self.function, "ignore_index")
        if isinstance(ignored, int) and isinstance(targets, Tensor):
            class_weights = _setting(self.function, "weight")
            return _target_count(targets, ignored, class_weights, examples)
        return float(examples)

    def notes(self, terms: float) -> list[str]:
        """Return what the reader of a result should know about the objective."""
        if not self.sums:
            return []
        return [
            f"loss_fn has reduction='sum': the objective is the sum over all data divided by {terms:g} terms"
        ]

    def scalar(self, value: Any) -> Tensor:
        """Return what the loss function or the model returned as a scalar tensor."""
        if self.function is None:
            value = _own_loss(value)
        if not isinstance(value, Tensor):
            raise InvalidInputError(f"the loss must be a scalar tensor, got {type(value).__name__}")
        if value.numel() != 1:
            raise InvalidInputError(
                f"the loss must be a scalar, got shape {list(value.shape)}; "
                "use reduction='mean', or take the mean over examples"
            )
        if not value.is_floating_point():
            raise InvalidInputError(f"the loss must be real, got {value.dtype}")
        return value.reshape(())

    def _label_count(self, inputs: Any, examples: int) -> int:
        """Count the labels of a Hugging Face batch that are not padding."""
        labels = inputs.get("labels") if isinstance(inputs, Mapping) else None
        if not isinstance(labels, Tensor) or labels.is_floating_point():
            return examples
        if labels.dim() > 1 and _is_causal(self.model):
            labels = labels[..., 1:]
        return int((labels != HUGGING_FACE_PADDING).sum())


def _own_loss(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if loss is None:
        raise InvalidInputError(
            f"loss_fn is None, but the model returned a {type(output).__name__} without a loss; "
            "pass loss_fn, or labels in the batch if it is a Hugging Face model"
        )
    return loss


def _target_count(targets: Tensor, ignored: int, class_weights: Any, examples: int) -> float:
    """Count what the mean of a cross entropy divides by."""
    if targets.is_floating_point():
        # Class probabilities [N, C, ...]: the mean runs over everything but the classes.
        return targets.numel() / targets.shape[1] if targets.dim() > 1 else float(examples)
    kept = targets[targets != ignored]
    if not isinstance(class_weights, Tensor):
        return float(kept.numel())
    weights = class_weights.detach().to(kept.device, torch.float64)
    if kept.numel() and (int(kept.min()) < 0 or int(kept.max()) >= weights.numel()):
        raise InvalidInputError(
            f"targets run from {int(kept.min())} to {int(kept.max())}, "
            f"but loss_fn has weights for {weights.numel()} classes"
        )
    return float(weights[kept].sum())


def _as_count(value: Any) -> float:
    try:
        count = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"weights must return a number, got {type(value).__name__}") from error
    if not math.isfinite(count) or count < 0:
        raise InvalidInputError(f"weights must return a number of loss terms of at least 0, got {count}")
    return count


def _is_causal(model: nn.Module) -> bool:
    config = getattr(model, "config", None)
    if config is None or getattr(config, "is_encoder_decoder", False):
        return False
    names = [type(model).__name__, str(getattr(model, "loss_type", ""))]
    names += getattr(config, "architectures", None) or []
    return any("CausalLM" in name or "LMHead" in name for name in names)


def _setting(function: Any, name: str) -> Any:
    """Look up a setting of a loss module, a function of torch.nn.functional, or a partial of one."""
    if isinstance(function, functools.partial):
        return function.keywords[name] if name in function.keywords else _setting(function.func, name)
    if getattr(function, "__module__", None) == "torch.nn.functional" and inspect.isfunction(function):
        parameter = inspect.signature(function).parameters.get(name)
        return None if parameter is None else parameter.default
    return getattr(function, name, None)


def _uncompiled(function: Any) -> Any:
    """Return the function or module below torch.compile's wrapper."""
    inner = getattr(function, "_orig_mod", None)
    return inner if inner is not None else getattr(function, "_torchdynamo_orig_callable", function)


def example_terms(loss: Loss, inputs: Any, targets: Any, examples: int) -> list[float]:
    """Return the number of loss terms of each example of a batch."""
    return [
        loss.terms(trees.rows(inputs, examples, i, i + 1), trees.rows(targets, examples, i, i + 1), 1)
        for i in range(examples)
    ]
