"""Products with the Hessian, Gauss-Newton and Fisher matrices of a PyTorch model over data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharpness._errors import InvalidInputError, NotFiniteError, OperatorError
from sharpness._torch import batches, guards, losses, methods
from sharpness._torch.frozen import BatchNorm, batch_norms, describe, frozen, unwrap
from sharpness._torch.parameters import Layout, select
from sharpness._torch.point import Chunk, Point
from sharpness._torch.products import Kind, Parts, gradient

if TYPE_CHECKING:
    from typing_extensions import Self

# Examples on which the method is chosen, errors are estimated and guards are run.
SAMPLE = 32


class ModelOperator:
    """A symmetric matrix of curvature of the mean loss of a model over data, as a product ``v -> A v``.

    The objective is the mean over all loss terms: each batch counts by its number of terms. Dropout and
    other layers that are random in training are off. The batches are read once, when the operator is made,
    and kept.

    Parameters
    ----------
    model : torch.nn.Module
        Wrappers of DataParallel, DistributedDataParallel and torch.compile are left out.
    loss_fn : callable or None
        ``loss_fn(outputs, targets)`` -> scalar mean loss. None if the model returns its loss, as a scalar or
        as ``.loss`` of its output (Hugging Face); a batch is then all input.
    data : DataLoader, iterable of batches, or one batch
        A batch is ``(inputs, targets)``. Inputs are a tensor, a tuple (``model(*inputs)``) or a dict
        (``model(**inputs)``). The first dimension of the first input counts examples.
    kind : {"hessian", "ggn", "fisher"}
        The Hessian; the generalized Gauss-Newton matrix ``J^T H_L J``; or the empirical Fisher matrix, the
        mean of ``g g^T`` over examples, where g is the gradient of the mean loss of one example (an item of
        a batch, not a token) and an example counts by its loss terms.
    parameters : str or sequence of str, optional
        Patterns (as in `fnmatch`) of parameter names. By default, all that require gradients.
    batch_norm : {"batch", "running"}
        Statistics of batch-norm layers: those of each chunk, differentiated through, or the running ones.
    chunk : int, optional
        Examples per forward pass. By default, the batches as they are.
    weights : callable, optional
        ``weights(inputs, targets)`` -> number of loss terms of a batch. By default, targets that are not
        ignored for losses with an `ignore_index` (their class weights, if any, summed) and for labels of
        Hugging Face models; examples otherwise.
    product : {"auto", "forward-over-reverse", "double-backward", "finite-differences"}
        How products are computed. "auto" tries forward over reverse, then double backward.
    device : torch.device or str, optional
        Where to compute. By default, where the parameters are.

    Raises
    ------
    InvalidInputError
        If an argument does not fit.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> data = (torch.eye(2), torch.zeros(2, 1))
    >>> with ModelOperator(model, torch.nn.MSELoss(), data) as operator:
    ...     operator(torch.tensor([0.0, 0.0, 1.0]))
    tensor([1., 1., 2.])
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Callable[..., Any] | None,
        data: Any,
        *,
        kind: Kind = "hessian",
        parameters: str | Sequence[str] | None = None,
        batch_norm: BatchNorm = "batch",
        chunk: int | None = None,
        weights: losses.Weights | None = None,
        product: methods.Requested = "auto",
        device: torch.device | str | None = None,
    ) -> None:
        methods.require(kind, product)
        if batch_norm not in ("batch", "running"):
            raise InvalidInputError(f"batch_norm must be 'batch' or 'running', got {batch_norm!r}")
        self._notes: list[str] = []
        self.model = unwrap(model, self._notes)
        self.kind = kind
        self.batch_norm = batch_norm
        self._batch_norms = batch_norms(self.model)
        if kind == "fisher" and batch_norm == "batch" and self._batch_norms:
            raise InvalidInputError(
                f"batch norm ({self._batch_norms[0]}) on the statistics of the batch mixes examples, so they "
                "have no gradients of their own and there is no Fisher matrix; pass batch_norm='running'"
            )
        if kind == "ggn" and loss_fn is None:
            raise InvalidInputError(
                "kind='ggn' needs the outputs that the loss is computed from; "
                "pass loss_fn and a model that returns outputs"
            )
        self._loss = losses.Loss(loss_fn, weights, self.model)
        self._selected = select(self.model, parameters)
        self._layout = Layout(self._selected)
        self._device = _device(device)
        describe(self.model, batch_norm, self._notes)
        self._chunks = self._read(data, chunk)
        self._sample = self._first_examples()
        self.loss_terms = sum(chunk.terms for chunk in self._chunks)
        self._notes += self._loss.notes(self.loss_terms)
        self._points: dict[torch.dtype | None, Point] = {}
        self._product = methods.Product(kind, product, self._layout, self._point)
        self._stack: ExitStack | None = None
        self._has_rounding = False
        self._rounding: float | None = None
        self._checks: dict[str, dict[str, Any]] = {}

    @property
    def dim(self) -> int:
        """Number of selected parameters."""
        return self._layout.dim

    @property
    def layout(self) -> list[tuple[str, tuple[int, ...], int]]:
        """Name, shape and offset in the flat vector of each selected parameter; tied ones occur once."""
        return [(entry.name, entry.shape, entry.offset) for entry in self._layout.entries]

    @property
    def device(self) -> torch.device:
        """Where vectors live."""
        return self._device or next(iter(self._selected.values())).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of vectors: float64 if a selected parameter is, else float32 (also for half precision)."""
        wide = any(parameter.dtype == torch.float64 for parameter in self._selected.values())
        return torch.float64 if wide else torch.float32

    @property
    def like(self) -> Tensor:
        """A zero vector [dim] in the dtype and on the device of the products, read-only."""
        return torch.zeros((), dtype=self.dtype, device=self.device).expand(self.dim)

    def __enter__(self) -> Self:
        if self._stack is not None:
            raise OperatorError("the operator is in use already; leave its `with` block first")
        with ExitStack() as stack:
            roots = [self.model] + ([self._loss.module] if self._loss.module is not None else [])
            devices = {self.device} | {parameter.device for parameter in self.model.parameters()}
            if torch.is_autocast_enabled(self.device.type):
                self._note(
                    "autocast was on and is off for products; put it inside the forward to measure with it"
                )
            stack.enter_context(frozen(roots, self.batch_norm, devices))
            stack.callback(self._points.clear)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.__exit__(kind, error, trace)

    def __call__(self, vector: Tensor) -> Tensor:
        """Return ``A v``.

        Parameters
        ----------
        vector : Tensor [dim]
            Of any floating-point dtype, on any device.

        Returns
        -------
        Tensor [dim]
            Like `like`.

        Raises
        ------
        NotDifferentiableError
            If PyTorch cannot differentiate the loss twice.
        NotFiniteError
            If the product contains NaN or infinity.
        """
        self._require_entered()
        vector = self._vector(vector)
        self._prepare()
        return self._mean(lambda chunk: self._product(chunk, vector), "product")

    @property
    def has_exact(self) -> bool:
        """Whether `exact` gives products in float64: not if the model rounds to less inside."""
        return self.rounding is not None

    @property
    def rounding(self) -> float | None:
        """How far a product on the first examples is from the one in float64, relative to it; None without `has_exact`."""
        self._require_entered()
        if not self._has_rounding:
            self._prepare()
            self._rounding = self._product.rounding(self._sample)
            self._has_rounding = True
        return self._rounding

    def exact(self, vector: Tensor) -> Tensor:
        """Return ``A v`` of the same parameters and data, computed in float64.

        On a device without float64, it is computed on the CPU. Takes a copy of the parameters in float64,
        which is kept until the `with` block ends.

        Parameters
        ----------
        vector : Tensor [dim]
            Of any floating-point dtype, on any device. NumPy arrays will do.

        Returns
        -------
        Tensor [dim]
            In float64.

        Raises
        ------
        OperatorError
            If `has_exact` is false.
        """
        if not self.has_exact:
            raise OperatorError("the model does not compute in float64 throughout, so no product is exact")
        given = vector if isinstance(vector, Tensor) else torch.as_tensor(vector, device="cpu")
        double = self._vector(given, torch.float64)
        return self._mean(lambda chunk: self._product(chunk, double, torch.float64), "product", torch.float64)

    def sample_products(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``A v`` of the first examples alone, and the same product computed in float64, both in float64.

        Raises
        ------
        OperatorError
            If `has_exact` is false.
        """
        if not self.has_exact:
            raise OperatorError("the model does not compute in float64 throughout, so no product is exact")
        found = methods.flat(self._product(self._sample, self._vector(vector)))
        exact = methods.flat(self._product(self._sample, self._vector(vector, torch.float64), torch.float64))
        return found, exact

    def weights(self) -> Tensor:
        """Return the parameters as a vector [dim], in float64 on the CPU."""
        return methods.flat(tuple(self._selected.values()))

    def gradient(self) -> Tensor:
        """Return the gradient [dim] of the mean loss."""
        self._require_entered()
        point = self._point(None)
        with self._product.context():
            return self._mean(lambda chunk: gradient(point, point.placed(chunk)), "gradient")

    def loss(self) -> float:
        """Return the mean loss, summed over chunks in float64."""
        self._require_entered()
        point, total = self._point(None), 0.0
        with self._product.context(), torch.no_grad():
            for chunk in self._chunks:
                value = float(point.loss(point.primals, point.placed(chunk)))
                total += value * chunk.terms / self.loss_terms
        if not math.isfinite(total):
            raise NotFiniteError(f"the loss is {total}")
        return total

    def check(self) -> list[str]:
        """Compute one product twice, check symmetry and compare with finite differences.

        All of that on the first chunk, or its first 32 examples, so that it costs little.

        Returns
        -------
        list of str
            Notes on what the checks could not decide. Figures are in ``report()["checks"]``.

        Raises
        ------
        ChangingOperatorError, NotSymmetricError, WrongDerivativeError, NotDifferentiableError, NotFiniteError
            If a check fails.
        """
        self._require_entered()
        self._prepare()
        guards.run(self._product, self._sample, self._checks)
        self._release()
        outcome = self._checks["finite_differences"]
        if outcome["verdict"] != "inconclusive":
            return []
        note = f"products could not be checked against finite differences: {outcome['reason']}"
        self._note(note)
        return [note]

    def report(self) -> dict[str, Any]:
        """Return what was computed, on what and how, ready for JSON."""
        sizes = [chunk.examples for chunk in self._chunks]
        return {
            "kind": self.kind,
            "examples": sum(sizes),
            "loss_terms": self.loss_terms,
            "chunks": len(sizes),
            "batch_norm": {
                "statistics": self.batch_norm,
                "layers": len(self._batch_norms),
                "chunk": max(sizes),
            }
            if self._batch_norms
            else None,
            "product": self._product.method or self._product.requested,
            "product_error": self._product.error,
            "device": str(self.device),
            "dtype": str(self._lowest()).removeprefix("torch."),
            "parameters": {"count": self.dim, "names": self._layout.names},
            "notes": [*self._notes, *self._product.notes],
            "checks": dict(self._checks),
        }

    def _read(self, data: Any, size: int | None) -> list[Chunk]:
        paired = self._loss.function is not None
        read = batches.divide(batches.read(data, paired=paired, notes=self._notes), size, self._notes)
        found = [self._chunk(batch) for batch in read]
        kept = [chunk for chunk in found if chunk.terms > 0]
        if not kept:
            raise InvalidInputError("data holds no loss terms: every target is ignored or has weight 0")
        if len(kept) < len(found):
            self._note(f"{len(found) - len(kept)} chunks without loss terms were left out")
        return kept

    def _chunk(self, batch: batches.Batch) -> Chunk:
        arguments = (batch.inputs, batch.targets, batch.examples)
        terms = self._loss.terms(*arguments)
        each = losses.example_terms(self._loss, *arguments) if self.kind == "fisher" and terms else []
        return Chunk(*arguments, terms, tuple(each))

    def _first_examples(self) -> Chunk:
        """Return the first chunk, cut to what the checks need."""
        first = self._chunks[0]
        batch = batches.Batch(first.inputs, first.targets, first.examples)
        if first.examples <= SAMPLE or not batches.divisible(batch):
            return first
        cut = self._chunk(batches.piece(batch, 0, SAMPLE))
        return cut if cut.terms else first

    def _point(self, dtype: torch.dtype | None) -> Point:
        if dtype not in self._points:
            # Parameters stay where they are unless told otherwise: they may be on several devices.
            device = self._device if self._home(dtype) == self.device else self._home(dtype)
            self._points[dtype] = Point(self.model, self._loss, self._layout.names, device, dtype)
        return self._points[dtype]

    def _prepare(self) -> None:
        if self._product.method is None:
            self._product.prepare(self._sample, lambda parts: self._mean(parts, "product"))
            self._release()

    def _release(self) -> None:
        """Free the copies of the parameters that only checks and estimates need."""
        for dtype in set(self._points) - {None, self._product.precision}:
            del self._points[dtype]

    def _mean(self, parts: Callable[[Chunk], Parts], what: str, dtype: torch.dtype | None = None) -> Tensor:
        """Add up chunks by their loss terms, in float64 where the device has it."""
        device = self._home(dtype)
        wide = device.type != "mps"
        if not wide and len(self._chunks) > 1:
            self._note("chunks are added in float32: the device has no float64")
        total = torch.zeros(self.dim, dtype=torch.float64 if wide else torch.float32, device=device)
        for index, chunk in enumerate(self._chunks):
            self._layout.add_to(total, parts(chunk), chunk.terms / self.loss_terms)
            if index + 1 == len(self._chunks) and not bool(torch.isfinite(total).all()):
                raise NotFiniteError(f"the {what} contains NaN or infinity{self._where(total)}")
        return total.to(dtype or self.dtype)

    def _where(self, total: Tensor) -> str:
        for entry in self._layout.entries:
            if not bool(torch.isfinite(total[entry.offset : entry.offset + entry.size]).all()):
                return f", first in parameter {entry.name}"
        return ""

    def _home(self, dtype: torch.dtype | None) -> torch.device:
        """Return where products in a dtype are computed: MPS has no float64."""
        return torch.device("cpu") if dtype == torch.float64 and self.device.type == "mps" else self.device

    def _vector(self, given: Any, dtype: torch.dtype | None = None) -> Tensor:
        if not isinstance(given, Tensor):
            raise InvalidInputError(f"the vector must be a torch.Tensor, got {type(given).__name__}")
        if tuple(given.shape) != (self.dim,) or not given.is_floating_point():
            raise InvalidInputError(
                f"the vector must be real with shape [{self.dim}], got {given.dtype} {list(given.shape)}"
            )
        if given.is_meta:
            raise InvalidInputError("the vector is on the meta device and has no values")
        vector: Tensor = given.detach().to(dtype or self.dtype).to(self._home(dtype))
        if not bool(torch.isfinite(vector).all()):
            raise InvalidInputError("the vector contains NaN or infinity")
        return vector

    def _lowest(self) -> torch.dtype:
        dtypes = {p.dtype for p in self.model.parameters() if p.is_floating_point()}
        return min(dtypes, key=lambda dtype: (torch.finfo(dtype).bits, str(dtype)))

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _require_entered(self) -> None:
        if self._stack is None:
            raise OperatorError("use the operator inside its `with` block, which holds the model still")


def _device(device: torch.device | str | None) -> torch.device | None:
    if device is None:
        return None
    try:
        found = torch.empty(0, device=device).device
    except (RuntimeError, TypeError, AssertionError) as error:
        raise InvalidInputError(f"device {device!r} cannot be used: {error}") from error
    if found.type == "meta":
        raise InvalidInputError("device 'meta' holds no values")
    return found
