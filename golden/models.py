"""The project's architectures in PyTorch, with the state-dict names that the project promises."""

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}
"""Elementwise activations by name; nn.GELU is the exact one, x Phi(x)."""

VGG11_LAYERS = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
"""Output channels of each convolution; "M" is a 2x2 max-pool."""


def convolutions(channels, layers, activation, batch_norm):
    """3x3 convolutions (padding 1, bias), each with optional batch norm and an activation; "M" pools."""
    modules = []
    for width in layers:
        if width == "M":
            modules.append(nn.MaxPool2d(2))
            continue
        modules.append(nn.Conv2d(channels, width, 3, padding=1))
        if batch_norm:
            modules.append(nn.BatchNorm2d(width))
        modules.append(ACTIVATIONS[activation]())
        channels = width
    return nn.Sequential(*modules)


class Convolutional(nn.Module):
    """`features`, flattened, then `classifier`: the VGG-11 and the small CNN."""

    def __init__(self, features, classifier):
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, x):
        """Logits [n, classes] of images [n, c, h, w]."""
        return self.classifier(self.features(x).flatten(1))


def vgg11(activation="relu", batch_norm=False):
    """VGG-11 for 3x32x32 images: 9,750,922 parameters, with batch norm 9,756,426."""
    act = ACTIVATIONS[activation]
    classifier = nn.Sequential(
        nn.Linear(512, 512), act(), nn.Linear(512, 512), act(), nn.Linear(512, 10)
    )
    return Convolutional(convolutions(3, VGG11_LAYERS, activation, batch_norm), classifier)


def cnn(input_shape, classes=10, activation="relu", batch_norm=False):
    """A small CNN of widths 16 and 32 for images of input_shape [c, h, w], h and w multiples of 4."""
    c, h, w = input_shape
    features = convolutions(c, (16, "M", 32, "M"), activation, batch_norm)
    return Convolutional(features, nn.Linear(32 * (h // 4) * (w // 4), classes))


class Mlp(nn.Module):
    """Linear layers fc1, fc2, ... with ReLU between; no dropout, since measures switch it off."""

    def __init__(self, inputs, hidden, classes=10):
        super().__init__()
        widths = [inputs, *hidden, classes]
        self.depth = len(widths) - 1
        for i in range(self.depth):
            self.add_module(f"fc{i + 1}", nn.Linear(widths[i], widths[i + 1]))

    def forward(self, x):
        """Logits [n, classes] of inputs [n, ...], flattened in row-major order."""
        x = x.flatten(1)
        for i in range(1, self.depth):
            x = functional.relu(self.get_submodule(f"fc{i}")(x))
        return self.get_submodule(f"fc{self.depth}")(x)


def scalar(value):
    """A learnable scalar of shape [1]."""
    return nn.Parameter(torch.full((1,), value))


class FixupBlock(nn.Module):
    """Basic block of Fixup (Zhang, Dauphin and Ma 2019, Figure 1 right); y = ReLU(branch + shortcut)."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.stride = stride
        self.bias1a = scalar(0.0)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bias1b = scalar(0.0)
        self.bias2a = scalar(0.0)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.scale = scalar(1.0)
        self.bias2b = scalar(0.0)

    def forward(self, x):
        """[n, channels, h, w] to [n, width, h/stride, w/stride]."""
        biased = x + self.bias1a
        hidden = functional.relu(self.conv1(biased) + self.bias1b)
        branch = self.conv2(hidden + self.bias2a) * self.scale + self.bias2b
        shortcut = x
        if self.stride == 2:
            sampled = biased[:, :, ::2, ::2]
            shortcut = functional.pad(sampled, (0, 0, 0, 0, 0, sampled.shape[1]))
        return functional.relu(branch + shortcut)


class FixupResNet(nn.Module):
    """Fixup ResNet of depth 6 k + 2: three stages of k blocks, widths 16, 32 and 64."""

    def __init__(self, depth):
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bias1 = scalar(0.0)
        self.layer1 = self.stage(16, 16, 1, blocks)
        self.layer2 = self.stage(16, 32, 2, blocks)
        self.layer3 = self.stage(32, 64, 2, blocks)
        self.bias2 = scalar(0.0)
        self.fc = nn.Linear(64, 10)

    @staticmethod
    def stage(channels, width, stride, blocks):
        """`blocks` blocks, the first of which changes width and resolution."""
        rest = [FixupBlock(width, width, 1) for _ in range(blocks - 1)]
        return nn.Sequential(FixupBlock(channels, width, stride), *rest)

    def forward(self, x):
        """Logits [n, 10] of images [n, 3, h, w]."""
        x = functional.relu(self.conv1(x) + self.bias1)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)) + self.bias2)


def build(architecture, input_shape):
    """The module described by a case's `architecture`, for images of input_shape [c, h, w]."""
    name = architecture["name"]
    batch_norm = architecture.get("batch_norm", "none") != "none"
    activation = architecture.get("activation", "relu")
    if name == "vgg11":
        return vgg11(activation, batch_norm)
    if name == "cnn":
        return cnn(input_shape, activation=activation, batch_norm=batch_norm)
    if name == "mlp":
        c, h, w = input_shape
        return Mlp(c * h * w, architecture["hidden"])
    if name.startswith("fixup-resnet"):
        return FixupResNet(int(name.removeprefix("fixup-resnet")))
    raise ValueError(f"unknown architecture {name!r}; models.py builds vgg11, cnn, mlp and fixup-resnetN")
