"""An independent measurement of VGG-11 on CIFAR-10, to hold `sharpness measure` against, by hand.

    python golden/check_measure.py --data DIR --save-random W.safetensors --seed 1 --train-steps 50
    python golden/check_measure.py --data DIR --weights W.safetensors --examples 100

The second prints JSON with the loss, gradient norm and lambda_max (ARPACK, largest algebraic) in float64 over
the first `--examples` training images, standardised per channel by the whole training set's mean and population
deviation. Its counterpart is `sharpness measure --arch vgg11 --weights W.safetensors --dataset cifar10
--data-dir DIR --examples 100 --subset first --standardize channel --json`.
"""

import argparse
import json
import pathlib
import sys

import models
import numpy as np
import portable
import torch
from curvature import Linearization
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

RECORD = 1 + 3 * 32 * 32
TRAIN_BATCH = 100
LEARNING_RATE = 0.05
MOMENTUM = 0.9


def read_training_set(folder):
    """Pixels u8 [50000, 3, 32, 32] and labels [50000] of data_batch_1.bin to data_batch_5.bin."""
    paths = [pathlib.Path(folder) / f"data_batch_{k}.bin" for k in range(1, 6)]
    records = np.concatenate([np.fromfile(path, dtype=np.uint8) for path in paths])
    records = records.reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def channel_moments(pixels):
    """Mean and population deviation of each channel of pixels / 255, exact up to one rounding each."""
    values = np.arange(256) / 255.0
    moments = []
    for channel in range(3):
        counts = np.bincount(pixels[:, channel].reshape(-1), minlength=256)
        mean = (counts @ values) / counts.sum()
        variance = (counts @ (values - mean) ** 2) / counts.sum()
        moments.append((mean, np.sqrt(variance)))
    return np.array(moments).T.reshape(2, 1, 3, 1, 1)


def standardized(pixels, moments):
    """Float64 images [n, 3, 32, 32]."""
    mean, deviation = moments
    return torch.from_numpy((pixels / 255.0 - mean) / deviation)


def train(network, pixels, labels, moments, steps):
    """SGD with momentum in float32 on consecutive batches of the training set."""
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    for k in range(steps):
        batch = (k * TRAIN_BATCH + np.arange(TRAIN_BATCH)) % len(labels)
        images = standardized(pixels[batch], moments).float()
        loss = functional.cross_entropy(network(images), torch.from_numpy(labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {k + 1}/{steps}: loss {loss.item():.4f}", file=sys.stderr)


def initialize_he(network):
    """Convolutions N(0, 2 / (9 out)) with zero bias: PyTorch's default would leave the net on a plateau."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            nn.init.zeros_(module.bias)


def load(network, path):
    """Sets the parameters from a safetensors file whose names must be exactly the network's."""
    network.load_state_dict({name: t.double() for name, t in load_file(path).items()})


def measure(network, images, labels, tolerance):
    """Loss, gradient norm and lambda_max of the mean cross-entropy over all given examples."""
    at = Linearization(network, images, labels)
    gradient = at.gradient()
    start = portable.signed(portable.SEEDS["start"], gradient.size)
    return {
        "loss": at.loss,
        "correct": at.correct,
        "gradient_norm": float(np.linalg.norm(gradient)),
        "examples": len(labels),
        "lambda_max": at.lambda_max(start, tolerance),
    }


def main():
    """Saves or measures weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the CIFAR-10 binary batches")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--weights", help="safetensors file to measure")
    action.add_argument("--save-random", help="safetensors file to write, in float32")
    parser.add_argument("--examples", type=int, default=100, help="measure the first N (default 100)")
    parser.add_argument("--tolerance", type=float, default=1e-10, help="of ARPACK (default 1e-10)")
    parser.add_argument("--activation", choices=models.ACTIVATIONS, default="relu")
    parser.add_argument("--seed", type=int, default=0, help="of --save-random (default 0)")
    parser.add_argument("--init", choices=["he", "default"], default="he", help="of --save-random")
    parser.add_argument("--train-steps", type=int, default=0, help="of SGD before --save-random")
    args = parser.parse_args()

    pixels, labels = read_training_set(args.data)
    moments = channel_moments(pixels)
    torch.manual_seed(args.seed)
    network = models.vgg11(args.activation)
    if args.save_random:
        if args.init == "he":
            initialize_he(network)
        train(network, pixels, labels, moments, args.train_steps)
        save_file(network.state_dict(), args.save_random)
        return
    load(network.double(), args.weights)
    images = standardized(pixels[: args.examples], moments)
    targets = torch.from_numpy(labels[: args.examples])
    print(json.dumps(measure(network, images, targets, args.tolerance), indent=2))


if __name__ == "__main__":
    main()
