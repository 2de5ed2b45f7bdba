"""A thousand random misuses end in a result or an exception, never in a crash."""

import random
import threading

import numpy as np
import pytest

import sharpness


class Own(Exception):
    """An exception of the user's callable."""


def returns(rng: random.Random, dim: int):
    """A random function of a vector, most of them wrong."""
    numpy = np.random.default_rng(rng.randrange(1 << 30))
    matrix = numpy.standard_normal((dim, dim))
    symmetric = matrix + matrix.T

    def fail(v):
        raise Own

    def later(v, left=[rng.randrange(1, 5)]):  # noqa: B006
        left[0] -= 1
        return symmetric @ v if left[0] else fail(v)

    def nested(v):
        inner = sharpness.lambda_max(lambda w: 2.0 * w, dim=3)
        return inner.value * v

    def in_place(v):
        v *= 2.0
        return v

    choices = [
        lambda v: symmetric @ v,
        lambda v: matrix @ v,
        lambda v: symmetric @ v * numpy.standard_normal(),
        lambda v: np.full_like(v, rng.choice([np.nan, np.inf, -np.inf, 1e308, 1e-320, 0.0])),
        lambda v: v[: rng.randrange(dim + 1)],
        lambda v: np.concatenate([v, v]),
        lambda v: np.concatenate([v, v])[::2],
        lambda v: v[::-1],
        lambda v: v.reshape(-1, 1),
        lambda v: v.astype(rng.choice(["f2", "f4", ">f8", "i4", "c16", "O", "U4", "M8[s]", "?"])),
        lambda v: list(v),
        lambda v: rng.choice([None, 3, "text", b"bytes", {}, object(), iter(()), Own, Own()]),
        lambda v: np.ma.masked_array(v, mask=v > 0),
        lambda v: memoryview(v),
        lambda: 0,
        lambda v, w: 0,
        fail,
        later,
        nested,
        in_place,
        np.eye(dim),
        None,
        "hvp",
        sharpness,
    ]
    return rng.choice(choices)


WRONG = [
    None,
    -1,
    0,
    1,
    2,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    1 << 40,
    1 << 70,
    "",
    "x",
    [],
    {},
    object(),
    True,
]


def arguments(rng: random.Random, dim: int) -> dict:
    """Random arguments, some wrong."""
    numpy = np.random.default_rng(rng.randrange(1 << 30))
    given = {"dim": dim}
    vector = numpy.standard_normal(dim)
    pool = {
        "dim": [dim, dim + 1, *WRONG],
        "k": [1, 2, dim, dim + 1, *WRONG],
        "which": ["largest", "smallest", "magnitude", *WRONG],
        "method": ["auto", "lanczos", "dense", "power", *WRONG],
        "rtol": [1e-3, 1e-12, *WRONG],
        "bound_rtol": [0.1, *WRONG],
        "max_products": [1, 2, 30, *WRONG],
        "memory_bytes": [1, 10_000, *WRONG],
        "seed": [0, (1 << 64) - 1, 1 << 64, *WRONG],
        "failure_probability": [1e-3, *WRONG],
        "start": [vector, vector.astype("f4"), vector[1:], [vector, vector], [], vector * np.nan, *WRONG],
        "like": [vector, vector.astype("f4"), vector[1:], vector.astype(int), *WRONG],
        "check": [True, False],
        "progress": [False, None],
        "kind": ["ggn"],
        "unknown": [1],
    }
    for name in rng.sample(sorted(pool), rng.randrange(4)):
        given[name] = rng.choice(pool[name])
    # Not a misuse, but hours of work.
    if isinstance(given.get("dim"), int) and given["dim"] > 1 << 20:
        given["dim"] = dim
    return given


@pytest.mark.parametrize("seed", range(1000))
def test_a_misuse_ends_in_a_result_or_an_exception(seed):
    rng = random.Random(seed)
    dim = rng.choice([1, 2, 3, 7, 120])
    solver = rng.choice(
        [
            sharpness.eigenpairs,
            sharpness.lambda_max,
            sharpness.lambda_min,
            sharpness.trace,
            sharpness.frobenius_norm,
        ]
    )
    hvp, given = returns(rng, dim), arguments(rng, dim)
    given.setdefault("progress", False)
    given.setdefault(
        "max_probes" if solver in (sharpness.trace, sharpness.frobenius_norm) else "max_products", 200
    )
    outcome = []

    def run():
        try:
            outcome.append(solver(hvp, **given))
        except (sharpness.SharpnessError, TypeError, ValueError, OverflowError, Own) as error:
            outcome.append(error)

    if seed % 4:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    (result,) = outcome
    if isinstance(result, Exception):
        assert isinstance(result, Own) or str(result), "an exception says what is wrong"
    else:
        assert np.isfinite(result.value)
