"""Estimates from random probes, against dense matrices."""

import numpy as np
import pytest

import sharpness

DIM = 120


def symmetric(values: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return (orthogonal * values) @ orthogonal.T


def spiked() -> np.ndarray:
    """Ten outliers, a bulk near 0 and a few negative values, as of a Hessian."""
    bulk = 0.05 + 0.1 * np.sin(np.arange(DIM - 14))
    return np.concatenate([40 * 0.8 ** np.arange(10), [-1.0, -0.8, -0.6, -0.5], bulk])


@pytest.mark.parametrize(("method", "most"), [("hutchinson", 1000), ("hutch++", 70), ("xtrace", 80)])
def test_a_trace_lies_within_its_standard_error_by_any_method(method, most):
    a = symmetric(spiked())
    r = sharpness.trace(lambda v: a @ v, dim=DIM, method=method, rtol=0.02, seed=1)
    assert r.converged and abs(r.value - np.trace(a)) < 3 * r.standard_error, r
    assert r.probes == r.products <= most and r.solve.history[-1].value == r.value


def test_the_sketch_of_hutch_plus_plus_is_the_users():
    a = symmetric(np.concatenate([np.arange(1.0, 6.0), np.zeros(DIM - 5)]))
    r = sharpness.trace(lambda v: a @ v, dim=DIM, method="hutch++", sketch=8)
    assert r.value == pytest.approx(15.0, rel=1e-10) and r.standard_error == 0.0
    with pytest.raises(sharpness.InvalidInputError, match="hutch\\+\\+"):
        sharpness.trace(lambda v: a @ v, dim=DIM, sketch=8)
    with pytest.raises(sharpness.InvalidInputError, match="sketch = 2.5"):
        sharpness.trace(lambda v: a @ v, dim=DIM, method="hutch++", sketch=2.5)
    with pytest.raises(sharpness.InvalidInputError, match="'xtrace'"):
        sharpness.trace(lambda v: a @ v, dim=DIM, method="girard")
    with pytest.raises(sharpness.InvalidInputError, match="at least 62"):
        sharpness.trace(lambda v: a @ v, dim=DIM, method="hutch++", sketch=30, max_probes=50)


def test_the_diagonal_lies_within_its_standard_errors():
    a = symmetric(spiked())
    r = sharpness.diagonal(lambda v: a @ v, dim=DIM, probes=400)
    near = np.abs(r.values - np.diag(a)) < 2 * r.standard_errors
    assert 0.88 < near.mean() < 1.0 and r.probes == r.products == 400
    exact = np.sqrt((a**2).sum(1) - np.diag(a) ** 2) / 20
    np.testing.assert_allclose(r.standard_errors, exact, rtol=0.3)
    assert r.relative_error == pytest.approx(np.linalg.norm(exact) / np.linalg.norm(np.diag(a)), rel=0.1)
    assert r.solve.stop == "converged" and "relative error" in r._repr_html_()


def test_scaled_products_are_those_of_the_scaled_matrix():
    a, scale = symmetric(spiked()), np.linspace(-1.0, 2.0, DIM)
    scaled = scale[:, None] * a * scale
    r = sharpness.lambda_max(lambda v: a @ v, dim=DIM, scale=scale, rtol=1e-8)
    exact = np.linalg.eigvalsh(scaled)[-1]
    assert r.value == pytest.approx(exact, rel=1e-10) and r.lower <= exact <= r.upper
    trace = sharpness.trace(lambda v: a @ v, dim=DIM, scale=scale)
    assert abs(trace.value - np.trace(scaled)) < 3 * trace.standard_error
    norm = sharpness.frobenius_norm(lambda v: a @ v, dim=DIM, scale=scale)
    assert abs(norm.value - np.linalg.norm(scaled)) < 3 * norm.standard_error
    mean, error = sharpness.density(lambda v: a @ v, dim=DIM, scale=scale, steps=20).trace()
    assert abs(mean - np.trace(scaled)) < 4 * error
    both = sharpness.adaptive(lambda v: a @ v, dim=DIM, scale=scale)
    assert both.lambda_max.value == pytest.approx(exact, rel=1e-3) and both.trace.value == trace.value
    assert both.products == both.lambda_max.products + both.trace.products and "trace" in both._repr_html_()


def test_scaled_products_in_float32_stay_within_their_bounds():
    a, scale = symmetric(spiked()).astype(np.float32), np.linspace(-1.0, 2.0, DIM)
    r = sharpness.lambda_max(lambda v: a @ v.astype(np.float32), dim=DIM, scale=scale)
    exact = np.linalg.eigvalsh(scale[:, None] * a.astype(np.float64) * scale)[-1]
    assert r.lower <= exact <= r.upper and "float32" in r.notes[0]


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (np.ones(3), "scale has 3 entries"),
        (np.full(DIM, np.nan), "entry 0 of scale is nan"),
        ("magnitude", "for PyTorch modules"),
        ("abs", "must be 'magnitude'"),
    ],
)
def test_a_wrong_scale_is_an_error(scale, message):
    with pytest.raises(sharpness.InvalidInputError, match=message):
        sharpness.trace(lambda v: v, dim=DIM, scale=scale)


def test_effective_ranks_are_those_of_the_spectrum():
    values = spiked()
    a = symmetric(values)
    r = sharpness.effective_rank(lambda v: a @ v, dim=DIM, probes=60, steps=40)
    p = np.maximum(values, 0.0) / np.maximum(values, 0.0).sum()
    exact = {
        "trace_rank": values.sum() / values.max(),
        "stable_rank": (values**2).sum() / values.max() ** 2,
        "entropy_rank": np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()),
    }
    for name, expected in exact.items():
        value, error = getattr(r, name)
        assert 0 < error and abs(value - expected) < 3 * error, name
    for alpha in (0.1, 1.0, 10.0):
        value, error = r.effective_dimension(alpha)
        assert abs(value - (np.maximum(values, 0) / (np.maximum(values, 0) + alpha)).sum()) < 3 * error
    assert r.trace.products == max(r.trace.probes, r.squared_norm.probes), "they share their products"
    assert r.products == r.lambda_max.products + r.trace.products + 60 * 40
    assert set(r.to_dict()) >= set(exact) and "entropy" in r._repr_html_()


def test_effective_ranks_need_a_positive_eigenvalue():
    r = sharpness.effective_rank(lambda v: -v, dim=DIM, probes=2, steps=3)
    assert np.isnan([r.trace_rank, r.stable_rank, r.entropy_rank]).all()
    with pytest.raises(sharpness.InvalidInputError, match="alpha = 0"):
        r.effective_dimension(0.0)


def test_each_probe_of_a_density_has_the_mean_of_its_vector():
    a, starts = symmetric(spiked()), []

    def hvp(v):
        starts.append(v.copy())
        return a @ v

    r = sharpness.density(hvp, dim=DIM, probes=3, steps=12, check=False)
    for values, weights, start in zip(r.values, r.weights, starts[::12], strict=True):
        assert np.sum(weights) == pytest.approx(1.0, abs=1e-12)
        for power, product in ((1, a @ start), (2, a @ (a @ start))):
            assert np.dot(weights, np.power(values, power)) == pytest.approx(start @ product, rel=1e-10)


def test_every_estimate_is_the_same_for_the_same_seed():
    a = symmetric(spiked())
    for method in ("hutchinson", "hutch++", "xtrace"):
        first, second, third = (
            sharpness.trace(lambda v: a @ v, dim=DIM, method=method, rtol=0.1, seed=seed)
            for seed in (3, 3, 4)
        )
        assert first == second != third


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_of_a_callable_are_those_of_its_matrix(dtype):
    a = symmetric(spiked()).astype(dtype)
    blocks = {"first": (0, 50), "second": (50, 120)}
    r = sharpness.per_layer(
        lambda v: a @ v.astype(dtype), dim=DIM, blocks=blocks, trace_rtol=0.0, max_probes=100
    )
    for layer, (start, stop) in zip(r, blocks.values(), strict=True):
        block = a[start:stop, start:stop].astype(np.float64)
        top, trace = layer.lambda_max, layer.trace
        assert top.lower <= np.linalg.eigvalsh(block)[-1] <= top.upper
        assert abs(trace.value - np.trace(block)) < 3 * trace.standard_error and trace.probes == 100
    assert [layer.name for layer in r] == ["first", "second"]


@pytest.mark.parametrize(
    "blocks", [{}, {"all": (0, DIM + 1)}, {"none": (3, 3)}, {"last": (-3, 3)}, {"half": (0.5, 3)}]
)
def test_impossible_blocks_are_errors(blocks):
    with pytest.raises(sharpness.InvalidInputError, match="block"):
        sharpness.per_layer(lambda v: v, dim=DIM, blocks=blocks)
