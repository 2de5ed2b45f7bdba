"""Which op, in which module, keeps a loss from being differentiated or repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sharpness._errors import NotDifferentiableError, SharpnessError
from sharpness._torch import trees
from sharpness._torch.frozen import random_state
from sharpness._torch.point import Chunk, Point

# What PyTorch raises for a derivative that it does not have. Subclasses defined elsewhere are a user's.
FAILURES = (RuntimeError, NotImplementedError, AssertionError, TypeError, ValueError, AttributeError)
ATTENTION = re.compile(r"scaled_dot_product|ScaledDotProduct")
NO_DERIVATIVE = (
    re.compile(r"derivative for '?(?:aten::)?(\w+)'? is not implemented"),
    re.compile(r"forward AD with (\w+) that does not support it"),
    re.compile(r"(\w+) does not support (?:forward AD|double backward|higher order)"),
)


def is_missing_derivative(error: Exception) -> bool:
    """Tell a derivative that may be missing from an error that another method would not cure."""
    if isinstance(error, (SharpnessError, torch.OutOfMemoryError)) or not isinstance(error, FAILURES):
        return False
    home = type(error).__module__
    return (home == "builtins" or home.split(".")[0] == "torch") and "allocate memory" not in str(error)


def is_attention(error: Exception) -> bool:
    """Tell whether the missing derivative is that of a fused attention kernel."""
    return bool(ATTENTION.search(str(error)))


def not_differentiable(
    point: Point, chunk: Chunk, failures: list[tuple[str, Exception]]
) -> NotDifferentiableError:
    """Explain why no method could compute a product of a placed chunk.

    Exceptions of the user's forward or loss surface unchanged.
    """
    with point.graph() as leaves:
        loss, makers = _graph(point, chunk, leaves)
        require_dependence(loss)
        try:
            torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            return NotDifferentiableError(f"PyTorch cannot differentiate the loss once: {_first_line(error)}")
    _, last = failures[-1]
    tried = " and ".join(method for method, _ in failures)
    others = "product='auto'" if tried == "forward-over-reverse" else "product='finite-differences'"
    return NotDifferentiableError(
        f"PyTorch cannot differentiate {_named(last, makers)} twice ({tried} failed): {_first_line(last)}. "
        f"Replace the op, or pass {others}"
    )


def require_twice(point: Point, chunk: Chunk) -> None:
    """Refuse gradients that end in a function marked as differentiable once.

    PyTorch raises for those only where it passes through them: asked for certain inputs, it takes them for
    constants without a word.
    """
    with point.graph() as leaves:
        gradients = torch.autograd.grad(
            point.loss(leaves, chunk), leaves, create_graph=True, allow_unused=True, materialize_grads=True
        )
    if any(node.name().endswith("Error") for node in _new_nodes(gradients, set())):
        raise RuntimeError("a function in the backward is marked as once_differentiable")


def random_modules(point: Point, chunk: Chunk, device: torch.device) -> list[str]:
    """Return the innermost modules in which random numbers are drawn, dropout being off."""
    found: list[str] = []
    states: list[list[Tensor]] = []

    def before(_: nn.Module, __: Any) -> None:
        states.append(random_state(device))

    def after(name: str, module: nn.Module) -> None:
        changed = not all(map(torch.equal, states.pop(), random_state(device)))
        nested = any(_inside(inner, name) for inner in found)
        if changed and not nested:
            found.append(_label(name, module))

    with _hooks(point.model, before, lambda name, module, _: after(name, module)), torch.no_grad():
        start = random_state(device)
        point.loss(point.primals, chunk)
        drawn = not all(map(torch.equal, start, random_state(device)))
    return found or (["the loss"] if drawn else [])


def require_dependence(loss: Tensor) -> None:
    """Refuse a loss that no selected parameter influences."""
    if not loss.requires_grad:
        raise NotDifferentiableError(
            "the loss does not depend on the selected parameters; "
            "look for torch.no_grad(), detach() or .item() in the forward or the loss"
        )


def _graph(point: Point, chunk: Chunk, leaves: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, str]]:
    """Evaluate the loss once and note which module made each kind of autograd node."""
    makers: dict[str, str] = {}
    seen: set[Any] = set()

    def after(name: str, module: nn.Module, output: Any) -> None:
        for node in _new_nodes(output, seen):
            makers.setdefault(_node_name(node), _label(name, module))

    with _hooks(point.model, lambda *_: None, after):
        loss = point.loss(leaves, chunk)
    for node in _new_nodes(loss, seen):
        makers.setdefault(_node_name(node), "the loss")
    return loss, makers


@contextmanager
def _hooks(
    model: nn.Module,
    before: Callable[[nn.Module, Any], None],
    after: Callable[[str, nn.Module, Any], None],
) -> Iterator[None]:
    handles = []
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(before))
            handles.append(
                module.register_forward_hook(lambda m, _, output, name=name: after(name, m, output))
            )
        yield
    finally:
        for handle in handles:
            handle.remove()


def _new_nodes(output: Any, seen: set[Any]) -> list[Any]:
    found = []
    stack = [tensor.grad_fn for tensor in trees.tensors(output)]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.append(node)
        stack.extend(parent for parent, _ in node.next_functions)
    return found


def _node_name(node: Any) -> str:
    own = isinstance(node, torch.autograd.function.BackwardCFunction)
    return ("custom " if own else "") + str(node.name())


def _named(error: Exception, makers: dict[str, str]) -> str:
    """Name the op that an error is about, and the module that called it."""
    op = next((match[1] for pattern in NO_DERIVATIVE if (match := pattern.search(str(error)))), None)
    if op is not None:
        op = op.removesuffix("_backward").strip("_")
        maker = next((maker for node, maker in makers.items() if _key(node) == _key(op)), None)
        return op if maker is None else f"{op} in {maker}"
    own = {
        node.removeprefix("custom "): maker for node, maker in makers.items() if node.startswith("custom ")
    }
    if own:
        listed = ", ".join(f"{node.removesuffix('Backward')} in {maker}" for node, maker in own.items())
        return f"the loss (custom functions: {listed})"
    return "the loss"


def _key(name: str) -> str:
    """Make ``HardsigmoidBackward0``, ``hardsigmoid`` and ``hardsigmoid_backward`` equal."""
    return re.sub(r"backward\d*$", "", name.lower().replace("_", ""))


def _label(name: str, module: nn.Module) -> str:
    return f"module {name} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"


def _inside(label: str, name: str) -> bool:
    return not name or label.startswith(f"module {name}.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
