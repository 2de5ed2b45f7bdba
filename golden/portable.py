"""Numbers that Python and Rust produce bit for bit alike, from a seed and an index.

u(seed, i) lies in [0, 1) and s(seed, i) = 2 u - 1 in [-1, 1); both are exact multiples of a power of
two, so every later operation rounds once, in the order that the code states. README.md gives the rules.
"""

import math

import numpy as np

SEEDS = {
    "weights": 1000,
    "running": 2000,
    "images": 3000,
    "labels": 4000,
    "direction": 7000,
    "start": 8000,
    "probes": 9000,
}
"""First seed of each stream; tensor number j of a stream uses `first + j`."""

PROBES = 6
"""Number of probe vectors in a digest; probe p uses the seed `SEEDS["probes"] + p`."""

IMAGE_SCALE = 1.7
"""Image elements are IMAGE_SCALE * s: uniform with a variance of nearly one."""


def unit(seed, count):
    """u(seed, i) for i < count, as f64: the splitmix64 finaliser of a counter, its top 53 bits."""
    counter = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
    z = counter + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def signed(seed, count):
    """s(seed, i) = 2 u(seed, i) - 1 for i < count, as f64."""
    return 2.0 * unit(seed, count) - 1.0


def images(shape):
    """Images of shape [n, c, h, w]; the index i runs over all elements in row-major order."""
    return IMAGE_SCALE * signed(SEEDS["images"], math.prod(shape)).reshape(shape)


def labels(count, classes):
    """Class indices floor(classes * u), one for each of `count` examples."""
    return np.floor(classes * unit(SEEDS["labels"], count)).astype(np.int64)


def tensor(seed, entry):
    """The tensor offset + scale * s(seed, i) of entry["shape"]; i is the row-major element index."""
    shape = entry["shape"]
    values = entry["offset"] + entry["scale"] * signed(seed, math.prod(shape))
    return values.reshape(shape)


def digest(vector):
    """A small summary of a large vector: length, norm, dots with the probes, both ends."""
    dots = [float(vector @ signed(SEEDS["probes"] + p, vector.size)) for p in range(PROBES)]
    return {
        "length": vector.size,
        "norm": float(np.linalg.norm(vector)),
        "dots": dots,
        "first": vector[:8].tolist(),
        "last": vector[-8:].tolist(),
    }
