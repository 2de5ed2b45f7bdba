"""The solvers over callables, against dense decompositions."""

import os
import threading

import numpy as np
import pytest

import sharpness

DIM = 150


def symmetric(dim: int = DIM, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    values = np.concatenate([[-3.0, -1.0, 7.0, 6.5, 6.0], rng.uniform(0.0, 1.0, dim - 5)])
    return (orthogonal * values) @ orthogonal.T


def test_pairs_agree_with_a_dense_decomposition_within_their_bounds():
    a = symmetric()
    exact = np.linalg.eigvalsh(a)[::-1]
    r = sharpness.eigenpairs(lambda v: a @ v, dim=DIM, k=3, rtol=1e-8)
    assert r.converged and r.certified and len(r) == 3
    np.testing.assert_allclose(r.values, exact[:3], rtol=1e-10)
    for pair, value in zip(r, exact[:3], strict=True):
        assert pair.lower <= value <= pair.upper
        np.testing.assert_allclose(a @ pair.vector, pair.value * pair.vector, atol=2 * pair.residual + 1e-12)
    assert r.value == r[0].value and r.vectors.shape == (DIM, 3)


@pytest.mark.parametrize("method", ["lanczos", "dense"])
def test_the_smallest_eigenvalue_is_bounded_from_below(method):
    a = symmetric()
    r = sharpness.lambda_min(lambda v: a @ v, dim=DIM, method=method, rtol=1e-6)
    assert r.lower <= -3.0 + 1e-9 and -3.0 <= r.upper + 1e-9
    assert r.value == pytest.approx(-3.0, abs=1e-9)


def test_the_largest_magnitude_can_be_negative():
    a = -symmetric()
    assert sharpness.eigenpairs(lambda v: a @ v, dim=DIM, which="magnitude").value == pytest.approx(
        -7.0, rel=1e-5
    )


def test_float32_products_stay_within_their_bounds():
    a = symmetric().astype(np.float32)
    seen = []

    def hvp(v):
        seen.append(v.dtype)
        return a @ v.astype(np.float32)

    r = sharpness.lambda_max(hvp, dim=DIM)
    exact = np.linalg.eigvalsh(a.astype(np.float64))[-1]
    assert r.lower <= exact <= r.upper and "float32" in r.notes[0]
    assert seen[0] == np.float64 and set(seen[1:]) == {np.dtype(np.float32)}, (
        "the first product shows the precision"
    )
    assert len(seen) == r.products + r.solve.check_products, "and is not wasted"


def test_torch_vectors_stay_torch():
    torch = pytest.importorskip("torch")
    a = torch.from_numpy(symmetric())

    def hvp(v):
        assert isinstance(v, torch.Tensor) and v.dtype == torch.float64
        return a @ v

    r = sharpness.eigenpairs(hvp, like=torch.zeros(DIM, dtype=torch.float64))
    assert r.value == pytest.approx(7.0, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_of_tensors_needs_no_like(dtype):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 4).to(getattr(torch, dtype))
    x, y = torch.randn(30, 5, dtype=model.weight.dtype), torch.randint(4, (30,))
    parameters = tuple(model.parameters())

    def loss(theta):
        weights = {"weight": theta[:20].view(4, 5), "bias": theta[20:]}
        return torch.nn.functional.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)

    theta = torch.nn.utils.parameters_to_vector(parameters).detach()
    exact = torch.linalg.eigvalsh(torch.func.hessian(loss)(theta).double())[-1]
    gradient = torch.autograd.grad(loss(p := theta.clone().requires_grad_()), p, create_graph=True)[0]
    for hvp in (
        lambda v: torch.func.jvp(torch.func.grad(loss), (theta,), (v,))[1],
        lambda v: torch.autograd.grad(gradient @ v, p, retain_graph=True)[0],
        lambda v: torch.autograd.grad(gradient, p, v, retain_graph=True)[0],
    ):
        r = sharpness.eigenpairs(hvp, dim=24, k=2)
        assert r.value == pytest.approx(float(exact), rel=1e-4) and r.lower <= exact <= r.upper
        assert isinstance(r.vector, torch.Tensor)


def test_a_function_of_jax_needs_no_like():
    jax = pytest.importorskip("jax")
    a = jax.numpy.asarray(symmetric(), dtype="float32")
    hvp = jax.jit(lambda v: jax.jvp(lambda x: a @ x, (a[0],), (v,))[1])
    r = sharpness.eigenpairs(hvp, dim=DIM, k=2)
    assert r.values == pytest.approx([7.0, 6.5], rel=1e-4)


def test_an_exception_about_tensors_that_is_the_functions_own_surfaces():
    pytest.importorskip("torch")
    raised = TypeError("a tensor of mine")

    def hvp(v):
        raise raised

    with pytest.raises(TypeError) as caught:
        sharpness.lambda_max(hvp, dim=DIM)
    assert caught.value is raised


def test_a_warm_start_saves_products():
    a = symmetric()
    first = sharpness.lambda_max(lambda v: a @ v, dim=DIM, bound_rtol=None, rtol=1e-6)
    again = sharpness.lambda_max(lambda v: a @ v, dim=DIM, bound_rtol=None, rtol=1e-6, start=first.vector)
    assert again.products < first.products and again.value == pytest.approx(first.value)


def test_the_trace_and_the_norm_are_within_a_few_standard_errors():
    a = symmetric()
    t = sharpness.trace(lambda v: a @ v, dim=DIM, rtol=0.02)
    assert t.converged and abs(t.value - np.trace(a)) < 5 * t.standard_error
    f = sharpness.frobenius_norm(lambda v: a @ v, dim=DIM, rtol=0.02)
    assert f.converged and abs(f.value - np.linalg.norm(a)) < 5 * f.standard_error


def test_the_density_has_the_moments_and_the_outliers_of_the_spectrum():
    a = symmetric()
    exact = np.linalg.eigvalsh(a)
    r = sharpness.density(lambda v: a @ v, dim=DIM, probes=100, steps=40)
    assert r.products == 4000 and all(sum(w) == pytest.approx(1.0) for w in r.weights)
    for f in (lambda x: x, lambda x: x**2, lambda x: x > 5, lambda x: x < 0):
        value, error = r.average(f)
        assert abs(value - np.mean(f(exact))) < 4 * error + 1e-12
    value, error = r.trace()
    assert abs(value - exact.sum()) < 4 * error
    (value, error), sigma = r.smoothed([0.5, 6.5], 0.5), 0.5
    for found, near, point in zip(value, error, (0.5, 6.5), strict=True):
        gauss = np.exp(-0.5 * ((exact - point) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        assert abs(found - gauss.mean()) < 4 * near
    assert "share below 0" in r._repr_html_()
    with pytest.raises(sharpness.InvalidInputError, match="at least 2 probes"):
        sharpness.density(lambda v: v, dim=3, probes=1)


def test_equal_seeds_give_equal_bits():
    a = symmetric()
    one, other, third = (sharpness.lambda_max(lambda v: a @ v, dim=DIM, seed=s) for s in (3, 3, 4))
    assert one.value == other.value and (one.vector == other.vector).all()
    assert (one.vector != third.vector).any()


def test_an_operator_that_is_not_symmetric_is_refused():
    a = symmetric()
    a[0, 1] += 5.0
    for dim, matrix in ((DIM, a), (20, a[:20, :20])):
        with pytest.raises(sharpness.NotSymmetricError, match="not symmetric"):
            sharpness.lambda_max(lambda v, m=matrix: m @ v, dim=dim)
    with pytest.raises(sharpness.NotSymmetricError):
        sharpness.lambda_max(lambda v: np.roll(v, 1), dim=DIM)


def test_an_operator_that_changes_is_refused_with_the_way_out():
    a, rng = symmetric(), np.random.default_rng(0)
    with pytest.raises(sharpness.ChangingOperatorError, match="shuffling"):
        sharpness.lambda_max(lambda v: (a + 1e-3 * rng.standard_normal()) @ v, dim=DIM)


def test_exceptions_of_the_callable_surface_unchanged():
    class Mine(Exception):
        pass

    raised = Mine("from hvp")

    def hvp(v):
        raise raised

    for solver in (sharpness.lambda_max, sharpness.trace, sharpness.frobenius_norm):
        with pytest.raises(Mine) as caught:
            solver(hvp, dim=DIM)
        assert caught.value is raised
    with pytest.raises(KeyboardInterrupt):
        sharpness.lambda_max(lambda v: (_ for _ in ()).throw(KeyboardInterrupt()), dim=DIM)


@pytest.mark.parametrize(
    ("hvp", "arguments", "message"),
    [
        (lambda v: v[:-1], {"dim": DIM}, "149 entries"),
        (lambda v: v.reshape(1, -1), {"dim": DIM}, "shape"),
        (lambda v: v.astype(int), {"dim": DIM}, "float32 or float64"),
        (lambda v: v.astype(complex), {"dim": DIM}, "float32 or float64"),
        (lambda v: "text", {"dim": DIM}, "shape|dtype"),
        (lambda v: None, {"dim": DIM}, "shape|dtype"),
        (lambda v: v, {}, "pass dim"),
        (lambda v: v, {"dim": 0}, "at least 1"),
        (lambda v: v, {"dim": 2.5}, "whole number"),
        (lambda v: v, {"dim": DIM, "like": np.zeros(3)}, "like has 3 entries"),
        (lambda v: v, {"dim": DIM, "rtol": 2.0}, "rtol = 2"),
        (lambda v: v, {"dim": DIM, "which": "top"}, "largest, smallest or magnitude"),
        (lambda v: v, {"dim": DIM, "start": np.zeros(DIM)}, "norm 0"),
        (lambda v: v, {"dim": DIM, "start": np.ones(3)}, "3 entries"),
        (np.eye(3), {"dim": 3}, "lambda v: A @ v"),
        (lambda v: v, {"dim": DIM, "loss_fn": len}, "only for PyTorch modules"),
        (lambda v: v, {"dim": DIM, "kind": "ggn"}, "only for PyTorch modules"),
        (lambda v: v, {"dim": DIM, "memory_bytes": 10}, "memory_bytes"),
    ],
)
def test_mistakes_are_named(hvp, arguments, message):
    which = arguments.pop("which", None)
    with pytest.raises(sharpness.InvalidInputError, match=message):
        if which is None:
            sharpness.lambda_max(hvp, **arguments)
        else:
            sharpness.eigenpairs(hvp, which=which, **arguments)


def test_products_that_are_not_finite_are_named():
    with pytest.raises(sharpness.NotFiniteError, match="product 1"):
        sharpness.lambda_max(lambda v: v * np.nan, dim=DIM)


def test_too_few_products_are_not_called_converged():
    a = symmetric()
    r = sharpness.lambda_max(lambda v: a @ v, dim=DIM, max_products=3)
    assert (
        not r.converged and not r.certified and r.solve.stop == "product_limit" and "NOT CONVERGED" in str(r)
    )


def test_the_callable_may_keep_its_vectors():
    a, kept = symmetric(), []
    sharpness.lambda_max(lambda v: (kept.append(v), a @ v)[1], dim=DIM)
    assert len({id(v) for v in kept}) == len(kept)
    assert all(abs(np.linalg.norm(v) - 1) < 1e-9 for v in kept), "unit vectors, not overwritten"


def test_solves_in_several_threads_agree():
    a, values = symmetric(), []
    threads = [
        threading.Thread(target=lambda: values.append(sharpness.lambda_max(lambda v: a @ v, dim=DIM).value))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(values) == 4 and len(set(values)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_so():
    a = symmetric()
    sharpness.lambda_max(lambda v: a @ v, dim=DIM)
    child = os.fork()
    if child == 0:
        try:
            sharpness.lambda_max(lambda v: a @ v, dim=DIM)
        except sharpness.SharpnessError as error:
            os._exit(0 if "spawn" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_results_print_in_a_notebook():
    a = symmetric()
    r = sharpness.eigenpairs(lambda v: a @ v, dim=DIM, k=2)
    assert r._repr_html_().count("<tr>") == 3 and "products" in r._repr_html_()
    assert "<td>" in r[0]._repr_html_() and "<td>" in sharpness.trace(lambda v: v, dim=DIM)._repr_html_()
    assert r.solve.history[-1].products <= r.products


def test_convergence_is_drawn():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    a = symmetric()
    axes = sharpness.lambda_max(lambda v: a @ v, dim=DIM).plot()
    assert axes.get_xlabel() == "products" and len(axes.lines) == 2
    assert sharpness.density(lambda v: a @ v, dim=DIM, steps=10).plot().get_yscale() == "log"
