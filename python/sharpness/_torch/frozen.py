"""A model held still while its products are computed, and put back afterwards."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, get_ident
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from sharpness._errors import InvalidInputError, OperatorError
from sharpness._torch.batches import random_states_kept

BatchNorm = Literal["batch", "running"]

# The models that are held still, with the thread that holds them and how many times.
_HELD: WeakKeyDictionary[nn.Module, tuple[int, int]] = WeakKeyDictionary()
_LOCK = Lock()


def unwrap(model: Any, notes: list[str]) -> nn.Module:
    """Return the module below the wrappers of DataParallel, DistributedDataParallel and torch.compile."""
    if not isinstance(model, nn.Module):
        raise InvalidInputError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    module: nn.Module = model
    while True:
        if isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            notes.append("torch.compile was left out: products are of the module below it")
        elif isinstance(module, nn.parallel.DistributedDataParallel):
            inner = module.module
            notes.append("DistributedDataParallel was left out: products are of this process's data only")
        elif isinstance(module, nn.DataParallel):
            inner = module.module
            notes.append("DataParallel was left out: products run on one device")
        else:
            break
        module = inner
    if isinstance(module, torch.jit.ScriptModule):
        raise InvalidInputError("the model is a TorchScript module; pass the module that it was made from")
    if "FullyShardedDataParallel" in type(module).__name__:
        raise InvalidInputError("the model is sharded over processes (FSDP); gather it first")
    return module


def batch_norms(model: nn.Module) -> list[str]:
    """Return the names of the batch-norm layers."""
    return [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]


def describe(model: nn.Module, statistics: BatchNorm, notes: list[str]) -> None:
    """Note what is unusual about the batch-norm layers."""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, _BatchNorm)}
    still = [name for name, layer in layers.items() if not layer.training]
    if statistics == "batch" and model.training and still:
        notes.append(
            f"{len(still)} batch-norm layers were in eval mode; they too use the statistics of the batch"
        )
    bare = [name for name, layer in layers.items() if layer.running_mean is None]
    if statistics == "running" and bare:
        notes.append(
            f"batch-norm layers without running statistics use those of the batch: {', '.join(bare)}"
        )
    if any(getattr(module, "max_norm", None) is not None for module in model.modules()):
        notes.append("max_norm of embeddings was left out: it would change the weights")
    if any(module._backward_hooks or module._backward_pre_hooks for module in model.modules()):
        notes.append("backward hooks were left out: they are no part of the loss")
    if any(getattr(module, "_compiled_call_impl", None) is not None for module in model.modules()):
        notes.append("Module.compile was left out: products are of the module as written")


@contextmanager
def _one_thread(model: nn.Module) -> Iterator[None]:
    """Refuse a second thread, which could not put the model back as it was before the first."""
    with _LOCK:
        holder, depth = _HELD.get(model, (get_ident(), 0))
        if holder != get_ident():
            raise OperatorError("another thread is computing products of this model; give each thread a copy")
        _HELD[model] = (holder, depth + 1)
    try:
        yield
    finally:
        with _LOCK:
            holder, depth = _HELD.pop(model)
            if depth > 1:
                _HELD[model] = (holder, depth - 1)


@contextmanager
def frozen(roots: Iterable[nn.Module], statistics: BatchNorm, devices: set[torch.device]) -> Iterator[None]:
    """Hold modules still: dropout off, batch norm as asked, gradients on, autocast off.

    On exit, whatever happens, the modules have the attributes that they had (training flags among them), and
    the global generators and flags of PyTorch their states. Parameters, gradients and buffers are never
    written: see `Point`.
    """
    roots = list(roots)
    modules = list({id(m): m for root in roots for m in root.modules()}.values())
    with ExitStack() as stack:
        stack.enter_context(_one_thread(roots[0]))
        stack.enter_context(random_states_kept())
        for device in devices - {torch.device("meta")}:
            stack.enter_context(_device_generator_kept(device))
            if torch.amp.autocast_mode.is_autocast_available(device.type):
                stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_flags_kept())
        if any(isinstance(module, nn.RNNBase) for module in modules):
            # cuDNN's recurrent kernels have no second derivative, nor a first one in eval mode.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(_attributes_kept(modules))
        for module in modules:
            _hold(module, statistics)
        yield


def math_attention() -> Any:
    """Switch scaled dot-product attention to the kernel that can be differentiated twice."""
    return sdpa_kernel(SDPBackend.MATH)


def _hold(module: nn.Module, statistics: BatchNorm) -> None:
    module.training = False
    if isinstance(module, _NormBase) and statistics == "batch":
        # In training without tracking, a layer uses the statistics of the batch and writes none.
        module.training = True
        module.track_running_stats = False
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        module.sparse = False
        module.max_norm = None
    # Hooks on gradients are no part of the loss.
    module._backward_hooks = OrderedDict()
    module._backward_pre_hooks = OrderedDict()
    if getattr(module, "_compiled_call_impl", None) is not None:
        module._compiled_call_impl = None


@contextmanager
def _attributes_kept(modules: list[nn.Module]) -> Iterator[None]:
    saved = [(module, dict(module.__dict__)) for module in modules]
    try:
        yield
    finally:
        for module, attributes in saved:
            module.__dict__.clear()
            module.__dict__.update(attributes)


@contextmanager
def _flags_kept() -> Iterator[None]:
    # The fast path of transformer layers changes the shape of outputs under a padding mask.
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


@contextmanager
def _device_generator_kept(device: torch.device) -> Iterator[None]:
    if device.type == "cpu":
        yield
        return
    module = torch.get_device_module(device)
    state = _generator_state(module, device)
    try:
        yield
    finally:
        if state is not None:
            _set_generator_state(module, state, device)


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the CPU's generator and of the device's."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        state = _generator_state(torch.get_device_module(device), device)
        states += [] if state is None else [state]
    return states


def _generator_state(module: Any, device: torch.device) -> Tensor | None:
    if not hasattr(module, "get_rng_state"):
        return None
    # MPS has one device, and its functions take none.
    state = module.get_rng_state() if device.type == "mps" else module.get_rng_state(device)
    return state if isinstance(state, Tensor) else None


def _set_generator_state(module: Any, state: Tensor, device: torch.device) -> None:
    if device.type == "mps":
        module.set_rng_state(state)
    else:
        module.set_rng_state(state, device)
