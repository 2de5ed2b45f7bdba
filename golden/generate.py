"""Writes the golden files: `python golden/generate.py [CASE ...]`, all cases when none is named.

Needs torch, numpy, scipy and mpmath. Everything is computed in float64 on the CPU. README.md describes the format.
"""

import json
import math
import pathlib
import platform
import sys

import models
import mpmath
import numpy as np
import portable
import scipy
import torch
import training
from curvature import Linearization

CLASSES = 10
ARPACK_TOLERANCE = 1e-9


def vgg11(activation="relu", batch_norm="none"):
    """Description of a VGG-11."""
    return {"name": "vgg11", "activation": activation, "batch_norm": batch_norm}


def cnn(batch_norm):
    """Description of a small CNN."""
    return {"name": "cnn", "activation": "relu", "batch_norm": batch_norm}


MLP = {"name": "mlp", "hidden": [256, 256]}
CIFAR = [3, 32, 32]

MEASURES = {
    "vgg11-relu": (vgg11(), [4, *CIFAR], "cross_entropy"),
    "vgg11-gelu": (vgg11("gelu"), [4, *CIFAR], "cross_entropy"),
    "vgg11-bn-batch": (vgg11(batch_norm="batch"), [8, *CIFAR], "cross_entropy"),
    "vgg11-bn-running": (vgg11(batch_norm="running"), [4, *CIFAR], "cross_entropy"),
    "fixup-resnet32": ({"name": "fixup-resnet32"}, [4, *CIFAR], "cross_entropy"),
    "mlp-relu": (MLP, [16, 1, 28, 28], "cross_entropy"),
    "mlp-squared-error": (MLP, [16, 1, 28, 28], "squared_error"),
    "cnn-bn-batch": (cnn("batch"), [12, 1, 8, 8], "cross_entropy"),
    "cnn-bn-running": (cnn("running"), [12, 1, 8, 8], "cross_entropy"),
}
"""Cases of loss, gradient and curvature at a point: (architecture, input shape, loss function)."""


def optimizer(method="sgd", momentum=0.0, weight_decay=0.0, nesterov=False, **sharpness_aware):
    """Description of an optimiser with the learning rate 0.05."""
    return {
        "method": method,
        "learning_rate": 0.05,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        **sharpness_aware,
    }


ADAM = {
    "method": "adam",
    "learning_rate": 0.01,
    "betas": [0.8, 0.95],
    "epsilon": 1e-4,
    "weight_decay": 0.1,
}

TRAINING = {
    "train-sgd": optimizer(),
    "train-momentum": optimizer(momentum=0.9, weight_decay=5e-4),
    "train-nesterov": optimizer(momentum=0.9, weight_decay=5e-4, nesterov=True),
    "train-sam-first": optimizer("sam", rho=0.05, bn_stats="first"),
    "train-sam-both": optimizer("sam", rho=0.05, bn_stats="both"),
    "train-asam": optimizer("asam", rho=0.5, eta=training.ASAM_ETA, bn_stats="first"),
    "train-adam": ADAM,
}
"""Cases of twenty training steps of the small CNN, with batch norm except under Adam: there the gradient of a bias before
batch norm is rounding noise, which Adam would scale up to a step."""


def parameter_entry(name, parameter, batch_norm_prefixes):
    """How a parameter tensor is filled: offset + scale * s, with scales that keep activations O(1)."""
    shape = list(parameter.shape)
    prefix, _, kind = name.rpartition(".")
    offset, scale = 0.0, 0.1
    if prefix in batch_norm_prefixes:
        offset, scale = (1.0, 0.3) if kind == "weight" else (0.0, 0.2)
    elif kind == "scale":
        offset, scale = 1.0, 0.2
    elif kind == "weight":
        gain = 0.5 if ".conv" in name else 1.0
        scale = gain * math.sqrt(6.0 / math.prod(shape[1:]))
    return {"name": name, "shape": shape, "offset": offset, "scale": scale}


def parameter_entries(network):
    """The parameters in the order of named_parameters. Convolutions of Fixup blocks have half He's scale."""
    batch_norms = {n for n, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    return [parameter_entry(n, p, batch_norms) for n, p in network.named_parameters()]


def buffer_entries(network, fresh):
    """The running statistics: as a new network has them (means 0, variances 1), or random."""
    entries = []
    for name, buffer in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            continue
        offset, scale = (0.0, 0.2) if name.endswith("running_mean") else (1.0, 0.5)
        scale = 0.0 if fresh else scale
        entries.append({"name": name, "shape": list(buffer.shape), "offset": offset, "scale": scale})
    return entries


def fill(network, entries, first_seed):
    """Sets the tensors named in `entries`; number j gets the seed first_seed + j."""
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    with torch.no_grad():
        for j, entry in enumerate(entries):
            values = portable.tensor(first_seed + j, entry)
            tensors[entry["name"]].copy_(torch.from_numpy(values))


def problem(architecture, input_shape, loss_function, fresh=False):
    """The filled network, its data, and the part of the golden file that says how to rebuild them."""
    network = models.build(architecture, input_shape[1:])
    parameters, buffers = parameter_entries(network), buffer_entries(network, fresh)
    fill(network, parameters, portable.SEEDS["weights"])
    fill(network, buffers, portable.SEEDS["running"])
    network.train(architecture.get("batch_norm") == "batch")
    images = torch.from_numpy(portable.images(input_shape))
    labels = torch.from_numpy(portable.labels(input_shape[0], CLASSES))
    description = {
        "architecture": architecture,
        "input_shape": input_shape,
        "classes": CLASSES,
        "image_scale": portable.IMAGE_SCALE,
        "loss_function": loss_function,
        "seeds": portable.SEEDS,
        "parameters": parameters,
        "buffers": buffers,
    }
    return network, images, labels, description


def measure(architecture, input_shape, loss_function):
    """Loss, gradient, products and lambda_max at one point."""
    network, images, labels, description = problem(architecture, input_shape, loss_function)
    at = Linearization(network, images, labels, loss_function)
    gradient = at.gradient()
    direction = portable.signed(portable.SEEDS["direction"], gradient.size)
    start = portable.signed(portable.SEEDS["start"], gradient.size)
    return description | {
        "loss": at.loss,
        "correct": at.correct,
        "gradient": portable.digest(gradient),
        "hvp": portable.digest(at.hvp(direction)),
        "gauss_newton_product": portable.digest(at.gauss_newton_product(direction)),
        "lambda_max": at.lambda_max(start, ARPACK_TOLERANCE),
    }


def train(settings):
    """Twenty steps of the small CNN."""
    network, images, labels, description = problem(
        cnn("none" if settings["method"] == "adam" else "batch"), [64, 1, 8, 8], "cross_entropy", fresh=True
    )
    losses = training.train(network, images, labels, settings)
    parameters, norms, running = training.final_state(network)
    return description | {
        "optimizer": settings,
        "batch_size": training.BATCH,
        "losses": losses,
        "final_parameters": portable.digest(parameters),
        "final_parameter_norms": norms,
        "final_buffers": running,
    }


def check_silu(x, values):
    """The formulas of SiLU against PyTorch's function and its automatic derivatives."""
    point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    value = torch.nn.functional.silu(point)
    (first,) = torch.autograd.grad(value, point, create_graph=True)
    (second,) = torch.autograd.grad(first, point)
    for own, torchs in zip(values, (value, first, second)):
        assert abs(float(own) - torchs.item()) < 1e-14, (x, own, torchs)


def activations():
    """f, f' and f'' of exact GELU, x Phi(x), of tanh and of SiLU, x sigma(x), at 41 points, correctly rounded from 40 digits."""
    mpmath.mp.dps = 40
    points = [(k - 20) * 2 / 5 for k in range(41)]
    rows = {"gelu": [], "tanh": [], "silu": []}
    for x in map(mpmath.mpf, points):
        density, t = mpmath.npdf(x), mpmath.tanh(x)
        distribution = mpmath.erfc(-x / mpmath.sqrt(2)) / 2
        gelu = (x * distribution, distribution + x * density, (2 - x * x) * density)
        tanh = (t, 1 - t * t, -2 * t * (1 - t * t))
        p, q = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
        silu = (x * p, p * (1 + x * q), p * q * (2 + x * (q - p)))
        rows["gelu"].append([float(y) for y in gelu])
        rows["tanh"].append([float(y) for y in tanh])
        rows["silu"].append([float(y) for y in silu])
        check_silu(float(x), silu)
    columns = {name: dict(zip(("f", "df", "d2f"), zip(*values))) for name, values in rows.items()}
    return {"x": points, **columns}


CASES = {
    **{name: (measure, arguments) for name, arguments in MEASURES.items()},
    **{name: (train, (settings,)) for name, settings in TRAINING.items()},
    "activations": (activations, ()),
    "schedules": (training.schedules, ()),
}


def versions():
    """What the numbers were computed with."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "mpmath": mpmath.__version__,
    }


def to_json(document):
    """JSON with one line for each top-level entry, and for each item of a list of objects."""
    lines = []
    for key, value in document.items():
        text = json.dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(names):
    """Writes the named cases, or all."""
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"unknown case {unknown[0]!r}; the cases are: {', '.join(CASES)}")
    torch.set_default_dtype(torch.float64)
    for name in names or CASES:
        compute, arguments = CASES[name]
        header = {"case": name, "command": f"python golden/generate.py {name}", "versions": versions()}
        document = header | compute(*arguments)
        path = pathlib.Path(__file__).with_name(f"{name}.json")
        path.write_text(to_json(document), encoding="utf-8")
        print(f"wrote {path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
