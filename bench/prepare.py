"""Write the input of both sides of a comparison: standardized images, labels, and weights with PyTorch's names.

    python bench/prepare.py FOLDER ARCH PLACE

ARCH is an architecture of `sharpness`, and PLACE is where `sharpness data list` finds its data set. Existing files are kept.
Images are float32 [n, c, h, w], standardized per channel over the whole training set, as `sharpness` does with
`--standardize channel`.
"""

import gzip
import pathlib
import sys
import tarfile

import numpy as np

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

CIFAR_RECORD = 1 + 3 * 32 * 32
CIFAR_EXAMPLES = 10_000
"""The number of CIFAR-10 images for the peers. No comparison uses more."""

TRAINING = {
    "vgg11": (1_000, 180),
    "vgg11-bn": (1_000, 20),
    "fixup-resnet32": (1_000, 20),
    "mlp": (10_000, 100),
}
"""How the weights are trained: on how many of the first examples, and for how many steps. VGG-11 fits its examples, so that λ_max
is that of a trained network; to time a step, any weights will do."""
BATCH = 100
LEARNING_RATE = 0.02
MOMENTUM = 0.9


def dataset_of(arch):
    """The name of the data set in `sharpness`."""
    return "fashion-mnist" if arch == "mlp" else "cifar10"


def read_cifar(place):
    """Pixels u8 [50000, 3, 32, 32] and labels [50000] from a folder or an archive of binary batches."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)]
    if pathlib.Path(place).is_dir():
        batches = [(pathlib.Path(place) / name).read_bytes() for name in names]
    else:
        with tarfile.open(place) as archive:
            batches = [archive.extractfile(f"cifar-10-batches-bin/{name}").read() for name in names]
    records = np.frombuffer(b"".join(batches), dtype=np.uint8).reshape(-1, CIFAR_RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def read_idx(place):
    """Pixels u8 [n, 1, 28, 28] and labels [n] from a folder of IDX files, plain or gzipped."""

    def content(name, header):
        path = pathlib.Path(place) / name
        data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(name + ".gz").read_bytes())
        return np.frombuffer(data, dtype=np.uint8, offset=header)

    return content("train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28), content("train-labels-idx1-ubyte", 8)


def write_random_idx(folder):
    """Write IDX files of random images with the size of Fashion-MNIST, for machines without it."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for prefix, count in ("train", 60_000), ("t10k", 10_000):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = np.array([0x803, count, 28, 28], dtype=">i4").tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = random.integers(0, 10, count, dtype=np.uint8)
        header = np.array([0x801, count], dtype=">i4").tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


def standardized(pixels):
    """Float32 images, standardized by the mean and population deviation of each channel of pixels / 255."""
    images = np.empty(pixels.shape, dtype=np.float32)
    for channel in range(pixels.shape[1]):
        values = pixels[:, channel]
        counts = np.bincount(values.reshape(-1), minlength=256)
        levels = np.arange(256) / 255.0
        mean = counts @ levels / counts.sum()
        deviation = np.sqrt(counts @ (levels - mean) ** 2 / counts.sum())
        images[:, channel] = ((levels - mean) / deviation).astype(np.float32)[values]
    return images


def write_data(folder, dataset, place):
    """Write `DATASET-images.npy` and `DATASET-labels.npy`."""
    images, labels = folder / f"{dataset}-images.npy", folder / f"{dataset}-labels.npy"
    if images.exists() and labels.exists():
        return
    pixels, classes = read_cifar(place) if dataset == "cifar10" else read_idx(place)
    count = CIFAR_EXAMPLES if dataset == "cifar10" else len(classes)
    np.save(images, standardized(pixels)[:count])
    np.save(labels, classes[:count].astype(np.int64))


def build(arch):
    """The untrained network."""
    import models

    if arch == "mlp":
        return models.Mlp(28 * 28, [256, 256])
    if arch.startswith("vgg11"):
        return models.vgg11(batch_norm=arch.endswith("-bn"))
    return models.FixupResNet(int(arch.removeprefix("fixup-resnet")))


def initialize(network):
    """Initialize with He's scale, so that training starts quickly, and Fixup blocks as in Zhang, Dauphin and Ma (2019)."""
    import models
    from torch import nn

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    blocks = [module for module in network.modules() if isinstance(module, models.FixupBlock)]
    for block in blocks:
        block.conv1.weight.data.mul_(len(blocks) ** -0.5)
        nn.init.zeros_(block.conv2.weight)


def write_weights(folder, arch):
    """Write `ARCH.safetensors`, from a short seeded training in PyTorch."""
    import torch
    from safetensors.torch import save_file
    from torch.nn import functional

    path = folder / f"{arch}.safetensors"
    if path.exists():
        return
    torch.manual_seed(0)
    examples, steps = TRAINING[arch]
    dataset = dataset_of(arch)
    images = torch.from_numpy(np.load(folder / f"{dataset}-images.npy", mmap_mode="r")[:examples].copy())
    labels = torch.from_numpy(np.load(folder / f"{dataset}-labels.npy")[:examples])
    network = build(arch)
    initialize(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    for step in range(steps):
        batch = (step * BATCH + torch.arange(BATCH)) % examples
        loss = functional.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 20 == 0:
            print(f"weights of {arch}: step {step + 1} of {steps}, loss {loss.item():.4f}", file=sys.stderr)
    save_file({name: t.contiguous() for name, t in network.state_dict().items()}, path)


def main():
    """Write the files that do not exist yet."""
    folder, arch, place = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    if place == "random":
        place = folder / "random" / "fashion-mnist"
        if not place.exists():
            write_random_idx(place)
    write_data(folder, dataset_of(arch), place)
    write_weights(folder, arch)


if __name__ == "__main__":
    main()
