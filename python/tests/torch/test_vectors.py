"""The solver's vectors on the device of the products: on CPU tensors, against dense float64 decompositions and the host."""

from __future__ import annotations

import dataclasses

import dense
import numpy as np
import pytest
import torch
from models import Mlp, build, classes, draws
from torch import Tensor, nn
from torch.nn import functional as F

import sharpness
from sharpness import _native, _operators, _placement
from sharpness._torch import vectors
from sharpness._torch.vectors import TorchVectors

DIM = 300
CPU = torch.device("cpu")
DTYPES = [torch.float64, torch.float32]
# Of values, relative to the norm of the operator, which is 9.
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-5}


def matrix(top: tuple[float, ...] = (9.0, 8.5, 8.0, 7.0, -6.0)) -> Tensor:
    rng = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(rng.standard_normal((DIM, DIM)))
    values = np.concatenate([top, 5 * 0.97 ** np.arange(DIM - len(top))])
    return torch.from_numpy((orthogonal * values) @ orthogonal.T)


def exact_values(a: Tensor) -> np.ndarray:
    return np.linalg.eigvalsh(a.double().numpy())[::-1]


def solve(a: Tensor, where: str, **options):
    options = {"rtol": 1e-6, "like": torch.zeros(len(a), dtype=a.dtype), **options}
    return sharpness.eigenpairs(lambda v: a @ v, vectors=where, **options)


def space(a: Tensor, **options) -> TorchVectors:
    return TorchVectors(lambda v: a @ v, len(a), a.dtype, CPU, **options)


def params(**changes):
    defaults = dict(k=1, which="largest", method="auto", rtol=1e-6, bound_rtol=0.1, max_products=500)
    return {
        **defaults,
        "memory_bytes": 1 << 30,
        "start": [],
        "seed": 0,
        "failure_probability": 1e-3,
        **changes,
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 5])
def test_pairs_agree_with_a_dense_decomposition_and_with_the_host(k, dtype):
    a = matrix().to(dtype)
    expected = exact_values(a)
    device, host = solve(a, "device", k=k), solve(a, "host", k=k)
    assert (device.solve.vectors_in, host.solve.vectors_in) == ("cpu", "host memory")
    tolerance = 9 * ROUNDING[dtype]
    np.testing.assert_allclose(device.values, host.values, atol=tolerance)
    for pair, value in zip(device, expected, strict=False):
        assert pair.converged and pair.certified
        assert abs(pair.value - value) < tolerance and pair.lower <= value <= pair.upper
        assert pair.vector.dtype == dtype and pair.vector.device == CPU
        vector = pair.vector.double()
        residual = float(torch.linalg.vector_norm(a.double() @ vector - pair.value * vector))
        assert residual == pytest.approx(pair.residual, abs=tolerance)


@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
def test_every_end_of_the_spectrum_is_found(which):
    a = matrix((3.0, 2.0, -7.0))
    expected = {"largest": exact_values(a)[0], "smallest": -7.0, "magnitude": -7.0}
    assert solve(a, "device", which=which).value == pytest.approx(expected[which], rel=1e-9)


def test_a_result_on_the_device_has_every_field_of_one_in_host_memory():
    a = matrix()
    host, device = solve(a, "host"), solve(a, "device")
    assert host.to_dict().keys() == device.to_dict().keys()
    empty = [f.name for f in dataclasses.fields(device.solve) if getattr(device.solve, f.name) is None]
    assert not empty and device.solve.check_products == host.solve.check_products == 1
    assert len(device.solve.history) > 5 and device.solve.history[-1].value == pytest.approx(device.value)
    assert 0 < device.solve.seconds_in_products < device.solve.seconds
    assert device.solve.rounding == pytest.approx(host.solve.rounding, rel=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 3])
def test_a_basis_within_its_memory_restarts_and_finds_the_same(k, dtype):
    a = matrix().to(dtype)
    entry = a.element_size()
    capacity = 2 * k + 8
    memory = (capacity * entry + (k + 1) * 8) * DIM
    own = space(a, rows=memory // (entry * DIM))
    found = _native.eigenpairs_on_device(
        own, params(k=k, rtol=1e-4, memory_bytes=memory, bound_rtol=None), None
    )
    assert found["stop"] == "converged" and found["products"] > capacity
    assert len(own._basis) <= memory // (entry * DIM)
    values = [pair["value"] for pair in found["pairs"]]
    np.testing.assert_allclose(values, exact_values(a)[:k], atol=1e-4)


def test_a_warm_start_saves_products():
    a = matrix()
    first = solve(a, "device", bound_rtol=None)
    again = solve(a, "device", bound_rtol=None, start=first.vector)
    assert again.products < first.products and again.value == pytest.approx(first.value, rel=1e-9)


def test_equal_seeds_give_equal_vectors_in_any_precision():
    one, other = (TorchVectors(lambda v: v, 1000, dtype, CPU, seed=5) for dtype in DTYPES)
    first = one.random_unit()
    assert torch.equal(first, other.random_unit()) and not torch.equal(first, one.random_unit())
    assert float(first.norm()) == pytest.approx(1.0, abs=1e-14)


def test_sums_in_float32_alone_find_the_values_of_float32():
    a = matrix().float()
    own = space(a)
    # As on a device without float64.
    own._wide = torch.float32
    found = _native.eigenpairs_on_device(own, params(k=3, rtol=1e-4), None)
    assert found["stop"] == "converged" and found["vectors"][0].dtype == torch.float32
    for pair, value in zip(found["pairs"], exact_values(a), strict=False):
        assert abs(pair["value"] - value) < 1e-4 and pair["lower"] <= value <= pair["upper"]


class Unusual(Exception):
    pass


@pytest.mark.parametrize("error", [Unusual("at the third product"), KeyboardInterrupt(), MemoryError()])
def test_an_exception_of_the_product_surfaces_unchanged(error):
    a, calls = matrix(), []

    def hvp(v):
        calls.append(v)
        if len(calls) == 3:
            raise error
        return a @ v

    with pytest.raises(type(error)) as raised:
        sharpness.eigenpairs(hvp, like=torch.zeros(DIM, dtype=torch.float64), vectors="device")
    assert raised.value is error and len(calls) == 3


def test_an_exception_of_any_operation_surfaces_unchanged(monkeypatch):
    a = matrix()
    for name in ("random_unit", "norm", "project", "push", "get", "combine", "rotate", "keep", "scale"):
        error = Unusual(name)

        def fail(*_, error=error):
            raise error

        own = space(a)
        monkeypatch.setattr(own, name, fail)
        with pytest.raises(Unusual) as raised:
            _native.eigenpairs_on_device(own, params(k=3), None)
        assert raised.value is error


def test_an_operator_that_changes_is_refused():
    noise = torch.Generator().manual_seed(0)
    a = matrix()

    def hvp(v):
        return a @ v + 1e-6 * torch.randn(DIM, generator=noise, dtype=torch.float64)

    like = torch.zeros(DIM, dtype=torch.float64)
    with pytest.raises(sharpness.ChangingOperatorError, match="two products with the same vector"):
        sharpness.eigenpairs(hvp, like=like, vectors="device")
    assert sharpness.eigenpairs(hvp, like=like, vectors="device", check=False).solve.check_products == 0


def test_an_operator_that_is_not_symmetric_is_refused():
    a = matrix()
    a[:, 0] *= 2
    with pytest.raises(sharpness.NotSymmetricError):
        solve(a, "device")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_products_that_are_not_finite_are_refused(bad):
    a = matrix()
    a[3, 4] = bad
    with pytest.raises(sharpness.NotFiniteError, match="product 1"):
        solve(a, "device")


def test_products_of_a_wrong_shape_or_dtype_are_refused():
    for product in (torch.zeros(DIM + 1), torch.zeros(DIM, 1), torch.zeros(DIM, dtype=torch.int64), None):
        with pytest.raises(sharpness.InvalidInputError, match="the result of hvp"):
            sharpness.eigenpairs(lambda v, product=product: product, like=torch.zeros(DIM), vectors="device")


def test_a_callable_may_change_its_argument_and_reuse_its_result():
    d = torch.linspace(0.0, 3.0, DIM, dtype=torch.float64)
    out = torch.empty(DIM, dtype=torch.float64)

    def hvp(v):
        torch.mul(d, v, out=out)
        v.zero_()
        return out

    r = sharpness.eigenpairs(hvp, like=d, vectors="device", rtol=1e-8, bound_rtol=None)
    assert r.value == pytest.approx(3.0, rel=1e-9)


def test_products_of_any_layout_in_memory_are_read():
    d = torch.linspace(0.0, 3.0, DIM, dtype=torch.float64)
    a = torch.diag(d)
    layouts = [
        lambda v: torch.stack([d * v, v], dim=1)[:, 0],
        lambda v: a @ v.requires_grad_(),
        lambda v: (d * v).numpy(),
    ]
    for hvp in layouts:
        r = sharpness.eigenpairs(hvp, like=d, vectors="device", rtol=1e-8, bound_rtol=None)
        assert r.value == pytest.approx(3.0, rel=1e-9) and not r.vector.requires_grad
    ones = sharpness.eigenpairs(lambda v: v.sum().expand(DIM), like=d, vectors="device", bound_rtol=None)
    assert ones.value == pytest.approx(DIM, rel=1e-9), "the matrix of ones"


def test_the_users_defaults_and_autocast_change_nothing():
    a = matrix()
    plain = solve(a, "device")
    with torch.device("meta"), torch.autocast("cpu", dtype=torch.bfloat16):
        again = sharpness.eigenpairs(lambda v: a @ v, like=a[0], vectors="device", rtol=1e-6)
    assert again.value == plain.value and torch.equal(again.vector, plain.vector)
    single = space(a.float(), tolerances=None)
    # As on a device without float64.
    single._wide = torch.float32
    vector = single.random_unit()
    single.push(vector.clone())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (coefficient,), _ = single.project(vector, None)
        combined = single.combine(0, [1.0])
    assert abs(coefficient - 1.0) < 1e-6 and torch.equal(combined, single.get(0))


def test_results_in_double_precision_replace_those_of_single_products():
    wide = matrix()
    a = wide.float()
    products = []

    def exact(vector):
        products.append(vector)
        assert isinstance(vector, np.ndarray) and vector.dtype == np.float64
        return wide.numpy() @ vector

    operator = _operators.Operator(
        lambda v: a.numpy() @ v, DIM, True, exact=exact, on_tensors=lambda v: a @ v, like=a[0]
    )
    arguments = operator.arguments(check=False)
    found, host = (
        _placement.solve(operator, arguments, params(k=2), place, lambda *_: None, lambda: None)
        for place in ("device", "host")
    )
    assert found["check_products"] == host["check_products"] == 2 and len(products) == 4
    for pair, value in zip(found["pairs"], exact_values(wide), strict=False):
        assert abs(pair["value"] - value) < 1e-9, "float32 products alone leave about 1e-6"
        assert pair["lower"] <= value <= pair["upper"]
    assert found.keys() == host.keys()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_is_measured_on_its_device(dtype, seed):
    model, x, y = build(Mlp, 3, 40, seed=seed).to(dtype).eval(), draws(20, 3).to(dtype), classes(20, count=3)
    hessian = dense.hessian(model, lambda call: F.cross_entropy(call(x.double()), y))
    expected = float(torch.linalg.eigvalsh(hessian)[-1])
    r = sharpness.lambda_max(
        model, nn.CrossEntropyLoss(), (x, y), rtol=1e-4, vectors="device", recompute=True
    )
    assert r.solve.vectors_in == "cpu" and r.vector.dtype == dtype and r.solve.operator["kind"] == "hessian"
    assert r.lower <= expected <= r.upper and r.value == pytest.approx(expected, rel=1e-6)
    # A product in double precision, if the model is not.
    assert r.solve.check_products == (dtype == torch.float32)


# Operations.


@pytest.fixture
def small_blocks(monkeypatch):
    # Blocks of 1024 entries, which divide no vector below.
    monkeypatch.setitem(vectors.BLOCK_BYTES, "cpu", 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_operations_are_what_they_say_in_blocks(dtype, small_blocks):
    dim, count = 3000, 37
    rng = np.random.default_rng(1)
    basis = rng.standard_normal((count, dim)).astype(np.float32).astype(np.float64)
    own = TorchVectors(lambda v: v, dim, dtype, CPU)
    for row in basis:
        own.push(own.from_numpy(row.copy()))
    w, c = rng.standard_normal(dim), rng.standard_normal(count)
    vector = own.from_numpy(w.copy())
    found, norm = own.project(vector, list(c))
    rest = w - c @ basis
    np.testing.assert_allclose(vector.numpy(), rest, atol=1e-12)
    np.testing.assert_allclose(found, basis @ rest, atol=1e-9)
    assert norm == pytest.approx(np.linalg.norm(rest), rel=1e-13)
    assert own.dot(vector, own.get(2)) == pytest.approx(rest @ basis[2], rel=1e-11)
    np.testing.assert_allclose(own.combine(3, list(c[:5])).numpy(), c[:5] @ basis[3:8], atol=1e-12)
    columns = rng.standard_normal((4, 30))
    own.rotate(2, 30, columns.tolist())
    rotated = np.concatenate([basis[:2], columns @ basis[2:32]])
    own.keep([5, 0, 32, 1])
    # The basis in float32 rounds the combinations.
    atol = 1e-12 if dtype == torch.float64 else 1e-5
    for i, expected in enumerate([rotated[5], rotated[0], basis[32], rotated[1]]):
        np.testing.assert_allclose(own.get(i).numpy(), expected, atol=atol)
    own.get(1).zero_()
    again, _ = own.project(own.from_numpy(w.copy()), None)
    np.testing.assert_allclose(again[1], rotated[0] @ w, atol=1e-9)
    assert len(again) == 4


@pytest.mark.parametrize("size", [1e-200, 1e-300, 1e200])
def test_norms_survive_squares_that_overflow_or_underflow(size):
    own = TorchVectors(lambda v: v, 3000, torch.float64, CPU)
    own.push(own.from_numpy(np.zeros(3000)))
    vector = own.from_numpy(np.full(3000, size))
    assert own.norm(vector) == pytest.approx(np.sqrt(3000) * size, rel=1e-12)
    assert own.project(vector, None)[1] == pytest.approx(np.sqrt(3000) * size, rel=1e-12)
    for bad in (np.nan, np.inf):
        vector[7] = bad
        assert not np.isfinite(own.norm(vector))
    assert own.norm(own.from_numpy(np.zeros(3000))) == 0.0


def test_a_basis_grows_to_the_rows_that_it_may_have():
    own = TorchVectors(lambda v: v, 10, torch.float32, CPU, rows=37)
    for i in range(37):
        own.push(torch.full((10,), float(i), dtype=torch.float64))
        assert len(own._basis) <= 37
    assert [float(own.get(i)[0]) for i in range(37)] == list(range(37))


# Places.


@pytest.fixture
def cpu_is_a_device(monkeypatch):
    monkeypatch.setattr(_placement, "HOSTS", ())


def test_vectors_of_a_device_stay_there_if_a_basis_fits(cpu_is_a_device):
    r = solve(matrix(), "auto")
    assert r.solve.vectors_in == "cpu" and not r.notes


def test_vectors_of_cpu_tensors_are_in_host_memory_without_a_note():
    r = solve(matrix(), "auto")
    assert r.solve.vectors_in == "host memory" and not r.notes


@pytest.mark.parametrize(
    ("free", "reason"), [(1000, "may take half of the"), (None, "does not say how much memory is free")]
)
def test_a_note_says_why_vectors_are_in_host_memory(cpu_is_a_device, monkeypatch, free, reason):
    monkeypatch.setattr(vectors, "free_bytes", lambda device: free)
    r = solve(matrix(), "auto")
    assert r.converged and r.solve.vectors_in == "host memory"
    assert len(r.notes) == 1 and reason in r.notes[0] and "in host memory" in r.notes[0]


def test_the_dense_method_is_in_host_memory(cpu_is_a_device):
    r = solve(matrix(), "auto", method="dense")
    assert r.solve.vectors_in == "host memory" and "only Lanczos" in r.notes[0]


def test_a_basis_may_take_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr(vectors, "free_bytes", lambda device: 8000)
    assert vectors.fits(100, torch.float64, CPU, 5) and not vectors.fits(100, torch.float64, CPU, 6)
    assert vectors.fits(100, torch.float16, CPU, 10), "the basis of half-precision products is in float32"


def test_a_device_that_runs_out_of_memory_hands_over_to_the_host(cpu_is_a_device, monkeypatch):
    def full(self):
        if self._stored:
            raise torch.OutOfMemoryError("16 MiB free")
        self._basis = torch.empty(5, self.dim, dtype=torch.float64)

    monkeypatch.setattr(TorchVectors, "_grow", full)
    r = solve(matrix(), "auto")
    assert r.converged and r.solve.vectors_in == "host memory" and "ran out of memory" in r.notes[0]
    assert [step.products for step in r.solve.history] == sorted(step.products for step in r.solve.history)
    with pytest.raises(torch.OutOfMemoryError, match="16 MiB free"):
        solve(matrix(), "device")


def test_the_free_memory_of_the_device_limits_the_basis(monkeypatch):
    rows = []

    class Recorded(TorchVectors):
        def push(self, vector):
            super().push(vector)
            rows.append(len(self._basis))

    monkeypatch.setattr(vectors, "TorchVectors", Recorded)
    monkeypatch.setattr(vectors, "free_bytes", lambda device: 2 * 14 * 8 * DIM)
    r = solve(matrix(), "device", bound_rtol=None)
    # Of half of what is free, two vectors are the operand and the result.
    assert r.converged and r.products > 14 and 10 <= max(rows) <= 14
    rows.clear()
    solve(matrix(), "device", bound_rtol=None, memory_bytes=12 * 8 * DIM)
    assert max(rows) <= 12, "the user's limit is lower"


def test_the_seed_and_the_error_of_products_reach_the_solver():
    a = matrix()
    runs = [solve(a, "device", seed=seed).solve.history[0].value for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    operator = _operators.Operator(
        lambda v: a.numpy() @ v, DIM, False, product_error=1e-4, on_tensors=lambda v: a @ v, like=a[0]
    )
    arguments = operator.arguments(check=False)
    found = _placement.solve(operator, arguments, params(), "device", lambda *_: None, lambda: None)
    assert found["rounding"] == pytest.approx(1e-4 * found["norm"])


def test_places_that_cannot_be_are_refused():
    a = matrix()
    with pytest.raises(sharpness.InvalidInputError, match="vectors = 'gpu'"):
        solve(a, "gpu")
    with pytest.raises(sharpness.InvalidInputError, match="like="):
        sharpness.eigenpairs(lambda v: v, dim=DIM, vectors="device")
    with pytest.raises(sharpness.InvalidInputError, match="method='lanczos'"):
        solve(a, "device", method="dense")
    with pytest.raises(sharpness.InvalidInputError, match="memory_bytes"):
        solve(a, "device", memory_bytes=1000)
