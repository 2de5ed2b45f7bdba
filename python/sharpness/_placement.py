"""Where a solver keeps its vectors: on the device of the operator's tensors, or in host memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from sharpness import _native
from sharpness._errors import InvalidInputError
from sharpness._operators import Operator

#: The choices of a user.
PLACES = ("auto", "device", "host")
#: Devices whose memory is host memory.
HOSTS = ("cpu",)
#: A basis of so many vectors, and a few for each pair, suffices for most solves.
USUAL_VECTORS = 40
VECTORS_PER_PAIR = 4
#: The least memory for vectors in host memory, in bytes.
LEAST_MEMORY = 2 << 30


def require(vectors: str) -> None:
    """Require one of `PLACES`."""
    if vectors not in PLACES:
        raise InvalidInputError(f"vectors = {vectors!r}: must be 'auto', 'device' or 'host'")


def solve(
    operator: Operator,
    arguments: dict[str, Any],
    params: dict[str, Any],
    vectors: str,
    report: Callable[..., None],
    restart: Callable[[], None],
) -> dict[str, Any]:
    """Compute eigenpairs with vectors where they fit.

    Parameters
    ----------
    operator, arguments
        The operator, and what `_native.eigenpairs` needs to know of it.
    params : dict
        The parameters of `_native.eigenpairs`; `memory_bytes` may be None.
    vectors : {"auto", "device", "host"}
        What the user chose.
    report : callable
        Called with the state of the solver.
    restart : callable
        Called if the solve starts again, because the device ran out of memory.

    Returns
    -------
    dict
        The answer of the solver, with ``vectors_in``. The reason for host memory is added to the notes of the operator.
    """
    on_device, reason = _place(operator, params, vectors)
    if on_device:
        try:
            return _on_device(operator, arguments, params, report)
        except _out_of_memory():
            if vectors == "device":
                raise
        # Here the failed solve has given back its memory.
        restart()
        reason = f"{operator.like.device} ran out of memory"
    if reason:
        operator.notes.append(f"the solver's vectors are in host memory: {reason}")
    memory = _host_memory() if params["memory_bytes"] is None else params["memory_bytes"]
    found = _native.eigenpairs(arguments, {**params, "memory_bytes": memory}, report, operator.exact)
    return {**found, "vectors_in": "host memory"}


def _place(operator: Operator, params: dict[str, Any], vectors: str) -> tuple[bool, str]:
    """Return whether vectors are on the device, and if not, why, unless that is plain."""
    forced = vectors == "device"
    if operator.on_tensors is None:
        if forced:
            raise InvalidInputError(
                "vectors='device' is for PyTorch: pass a model, or like=, a tensor such as hvp takes"
            )
        return False, ""
    device = operator.like.device
    if vectors == "host" or (device.type in HOSTS and not forced):
        return False, ""
    if not _native.runs_lanczos(params["method"], operator.dim, params["max_products"]):
        if forced:
            raise InvalidInputError(
                f"vectors='device' is for Lanczos, but method = {params['method']!r} in dimension {operator.dim} is another "
                "method: pass method='lanczos'"
            )
        return False, f"only Lanczos keeps them on {device}"
    return (True, "") if forced else _room(operator, params)


def _room(operator: Operator, params: dict[str, Any]) -> tuple[bool, str]:
    """Return whether a basis fits on the device, and if not, why."""
    from sharpness._torch.vectors import basis_bytes, fits, free_bytes

    dim, dtype, device = operator.dim, operator.like.dtype, operator.like.device
    usual = min(params["max_products"], USUAL_VECTORS + VECTORS_PER_PAIR * params["k"])
    if params["memory_bytes"] is not None:
        usual = min(usual, params["memory_bytes"] // basis_bytes(dim, dtype, 1))
    if fits(dim, dtype, device, usual):
        return True, ""
    free = free_bytes(device)
    if free is None:
        return False, f"{device} does not say how much memory is free"
    size = basis_bytes(dim, dtype, usual)
    return False, (
        f"{usual} of them take {size / 2**30:.3g} GiB, and may take half of the {free / 2**30:.3g} GiB that are free on {device}"
    )


def _on_device(
    operator: Operator, arguments: dict[str, Any], params: dict[str, Any], report: Callable[..., None]
) -> dict[str, Any]:
    from sharpness._torch.vectors import SHARE, TorchVectors, basis_bytes, free_bytes

    assert operator.on_tensors is not None
    dtype, device = operator.like.dtype, operator.like.device
    free = free_bytes(device)
    limits = [params["memory_bytes"], None if free is None else int(SHARE * free)]
    memory = min((limit for limit in limits if limit is not None), default=LEAST_MEMORY)
    space = TorchVectors(
        operator.on_tensors,
        operator.dim,
        dtype,
        device,
        seed=params["seed"],
        rows=memory // basis_bytes(operator.dim, dtype, 1),
        product_error=operator.product_error,
        tolerances=arguments["tolerances"],
        exact=operator.exact,
    )
    found = _native.eigenpairs_on_device(space, {**params, "memory_bytes": memory}, report)
    return {**found, "vectors_in": str(device)}


def _out_of_memory() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError


def _host_memory() -> int:
    """Half of the free memory, if the system says how much that is."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return LEAST_MEMORY
    return max(LEAST_MEMORY, free // 2)
