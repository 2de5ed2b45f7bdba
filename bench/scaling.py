"""Predicts how far Hessian-vector products over MPI go: 1 to 64 nodes, 10,000 to 1,000,000 images.

    python bench/scaling.py             # the tables of docs/scaling.md
    python bench/scaling.py --write     # write them there, and the picture docs/scaling.svg
    python bench/scaling.py --check     # fail unless they are there

Needs NumPy. What was measured and what is assumed is said at each constant and, in full, in docs/scaling.md.
"""

import argparse
import pathlib
import sys
from dataclasses import dataclass

import numpy as np

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURE = DOCS / "scaling.md", DOCS / "scaling.svg"
MARKS = ("<!-- the tables of bench/scaling.py -->", "<!-- end of the tables -->")

#: Measured: parameters of VGG-11 for CIFAR-10 (`sharpness info --arch vgg11`).
DIM = 9_750_922
#: Measured: seconds of a product per image on one thread, and on a node of two cores (BENCHMARKS.md, "Scaling", 10,000 images).
SECONDS_PER_IMAGE = {1: 2.59e-3, 2: 1.42e-3}
#: The program's own rule: chunks of 250 images, in at most 64 groups whose sums are added in a fixed order.
CHUNK, GROUPS = 250, 64
#: Measured: bytes per second of adding the slices of all nodes in order, on one thread (bench/exchange.py, 10,000,000 numbers).
SUM_BYTES_PER_SECOND = 2.7e9

NODES = (1, 2, 4, 8, 16, 32, 48, 64)
IMAGES = (10_000, 100_000, 1_000_000)
#: Assumed: each node's time of each product varies by this much, log-normally.
STRAGGLING = 0.05
PRODUCTS = 20_000


@dataclass(frozen=True)
class Network:
    """What joins the nodes: seconds of a message without content, and bytes per second of a node and direction."""

    name: str
    latency: float
    bandwidth: float


#: Assumed; for the sources see docs/scaling.md.
NETWORKS = (
    Network("10 Gb/s Ethernet, TCP", 30e-6, 1.1e9),
    Network("100 Gb/s InfiniBand", 2e-6, 10e9),
    Network("200 Gb/s InfiniBand", 2e-6, 20e9),
)


@dataclass(frozen=True)
class Node:
    """A node, by its number of cores."""

    name: str
    seconds_per_image: float


#: The first is measured. The second is assumed: 64 cores, each as fast as the measured one, with the measured loss of two.
NODES_OF = (
    Node("2 cores (measured)", SECONDS_PER_IMAGE[2]),
    Node("64 cores (assumed)", SECONDS_PER_IMAGE[2] * 2 / 64),
)


def most_images(images: int, nodes: int) -> int:
    """Return the images of the node that has most: nodes hold whole groups, and groups whole chunks."""
    chunks = -(-images // CHUNK)
    groups = min(GROUPS, chunks)
    # Both are dealt out as evenly as whole groups and chunks allow, in order.
    first_chunk = np.arange(groups + 1) * chunks // groups
    first_group = np.arange(nodes + 1) * groups // nodes
    return min(images, int(np.diff(first_chunk[first_group]).max()) * CHUNK)


def exchange(network: Network, nodes: int, dim: int = DIM) -> float:
    """Return the seconds of all-to-all, the sums in order, and all-gather of vectors of float64."""
    if nodes == 1:
        return 0.0
    messages = 2 * (nodes - 1) * network.latency
    moved = 2 * (nodes - 1) / nodes * dim * 8 / network.bandwidth
    return messages + moved + dim * 8 / SUM_BYTES_PER_SECOND


def product(node: Node, network: Network, nodes: int, images: int, straggling: float = STRAGGLING) -> float:
    """Return the mean seconds of a product; the exchange begins when the slowest node is done."""
    compute = most_images(images, nodes) * node.seconds_per_image
    random = np.random.default_rng(0).standard_normal((PRODUCTS, nodes))
    # The mean of a node's times does not depend on how much they vary.
    slowest = np.exp(straggling * random - straggling**2 / 2).max(axis=1).mean() if nodes > 1 else 1.0
    return float(compute * slowest + exchange(network, nodes))


def efficiency(
    node: Node, network: Network, nodes: int, images: int, straggling: float = STRAGGLING
) -> float:
    """Return the share of the nodes' time that goes into what one node would compute."""
    return images * node.seconds_per_image / (nodes * product(node, network, nodes, images, straggling))


def shown(seconds: float) -> str:
    """Return a time with three digits."""
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables() -> str:
    """Return all tables with their captions."""
    middle = NETWORKS[1]
    parts = []
    for node in NODES_OF:
        rows = [
            [str(nodes)]
            + [
                f"{shown(product(node, middle, nodes, images))} ({efficiency(node, middle, nodes, images):.0%})"
                for images in IMAGES
            ]
            for nodes in NODES
        ]
        caption = (
            f"Time of a product (and efficiency) on nodes of {node.name}, {middle.name}, 5 % straggling:"
        )
        parts += [caption, table(["nodes", *(f"{images:,} images" for images in IMAGES)], rows)]
    rows = [
        [network.name, *(f"{1e3 * exchange(network, nodes):.0f} ms" for nodes in NODES[1:])]
        for network in NETWORKS
    ]
    parts += ["The exchange alone, whatever the images:", table(["network", *map(str, NODES[1:])], rows)]
    rows = []
    for node in NODES_OF:
        for network in NETWORKS:
            without, with_ = (
                efficiency(node, network, 64, IMAGES[-1], straggling) for straggling in (0, STRAGGLING)
            )
            share = exchange(network, 64) / product(node, network, 64, IMAGES[-1], 0)
            rows.append([node.name, network.name, f"{share:.1%}", f"{without:.1%}", f"{with_:.1%}"])
    header = ["nodes of", "network", "exchange", "efficiency", "with 5 % straggling"]
    parts += ["64 nodes, 1,000,000 images:", table(header, rows)]
    return "\n\n".join(parts)


def picture() -> str:
    """Return the efficiency over the number of nodes as SVG."""
    width, height, left, top = 660, 370, 60, 34
    right, bottom = width - 205, height - 50
    colors = ("#9ecae1", "#4292c6", "#084594")
    x = {nodes: left + (right - left) * np.log2(nodes) / 6 for nodes in NODES}

    def y(value: float) -> float:
        return bottom - (bottom - top) * value

    text = '<text x="{:.0f}" y="{:.0f}" text-anchor="{}">{}</text>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    parts.append(
        text.format(left, 18, "start", f"efficiency, {NETWORKS[1].name}, {STRAGGLING:.0%} straggling")
    )
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#ddd"/>'
        )
        parts.append(text.format(left - 8, y(share) + 4, "end", f"{share:.0%}"))
    for nodes in NODES:
        if nodes != 48:
            parts.append(text.format(x[nodes], bottom + 18, "middle", nodes))
    parts.append(text.format((left + right) / 2, height - 12, "middle", "nodes"))
    line = top + 14
    for node, dash in zip(NODES_OF, ("", ' stroke-dasharray="5 4"'), strict=True):
        parts.append(text.format(right + 14, line, "start", f"nodes of {node.name}"))
        line += 18
        for images, color in zip(IMAGES, colors, strict=True):
            points = " ".join(
                f"{x[nodes]:.1f},{y(efficiency(node, NETWORKS[1], nodes, images)):.1f}" for nodes in NODES
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
            legend = (
                f'<line x1="{right + 14}" x2="{right + 44}" y1="{line - 4}" y2="{line - 4}" stroke="{color}"'
            )
            parts.append(f'{legend} stroke-width="2"{dash}/>')
            parts.append(text.format(right + 50, line, "start", f"{images:,} images"))
            line += 18
        line += 10
    return "\n".join([*parts, "</svg>", ""])


def page() -> str:
    """Return docs/scaling.md with these tables."""
    before, rest = PAGE.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    return f"{before}{MARKS[0]}\n\n{tables()}\n\n{MARKS[1]}{after}"


def main() -> None:
    """Print, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", action="store_true")
    group.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.write or arguments.check):
        print(tables())
        return
    for path, content in ((PAGE, page()), (PICTURE, picture())):
        if arguments.write:
            path.write_text(content)
        elif path.read_text() != content:
            sys.exit(f"{path.name} is not what bench/scaling.py gives; write it with --write")


if __name__ == "__main__":
    main()
