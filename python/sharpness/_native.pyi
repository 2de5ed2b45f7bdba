"""The extension module, written in Rust."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__version__: str

def main(arguments: Sequence[str]) -> int: ...
def eigenpairs(
    operator: Mapping[str, Any],
    params: Mapping[str, Any],
    progress: Callable[..., None] | None,
    exact: Callable[..., Any] | None,
) -> dict[str, Any]: ...
def eigenpairs_on_device(
    space: Any, params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
def runs_lanczos(method: str, dim: int, max_products: int) -> bool: ...
def trace(
    operator: Mapping[str, Any], params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
def hutch_plus_plus(
    operator: Mapping[str, Any], sketch: int, params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
def xtrace(
    operator: Mapping[str, Any], params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
def probes(
    operator: Mapping[str, Any], params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
def squared_frobenius_norm(
    operator: Mapping[str, Any], params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
def density(
    operator: Mapping[str, Any], params: Mapping[str, Any], progress: Callable[..., None] | None
) -> dict[str, Any]: ...
