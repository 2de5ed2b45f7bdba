"""λ_max of a model whose data are spread over processes, by ``torch.distributed``.

Every process holds a share of the data. A Hessian-vector product sums over its own examples and then over the processes,
and every process runs the same solver on the same products::

    torchrun --standalone --nproc-per-node 2 python/examples/torch_distributed.py
    torchrun --standalone --nproc-per-node 2 python/examples/torch_distributed.py --ordered
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist

import sharpness

#: The data are cut into this many groups, whatever the number of processes, which must divide it.
GROUPS = 8

Product = Callable[[torch.Tensor], torch.Tensor]


def model_and_data() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Return the same model and data in every process; a real program loads its own share alone."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.Tanh(), torch.nn.Linear(32, 5))
    x = torch.randn(800, 20, generator=generator)
    y = torch.randint(5, (800,), generator=generator)
    return model, x, y


def group_products(
    model: torch.nn.Module, groups: list[tuple[torch.Tensor, torch.Tensor]], examples: int, v: torch.Tensor
) -> list[torch.Tensor]:
    """Return the share of each group in the product of ``v`` and the Hessian of the mean over all ``examples``."""
    parameters = list(model.parameters())
    products = []
    for x, y in groups:
        loss = torch.nn.functional.cross_entropy(model(x), y, reduction="sum") / examples
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
        flat = torch.cat([part.reshape(-1) for part in gradient])
        product = torch.autograd.grad(flat @ v, parameters)
        products.append(torch.cat([part.reshape(-1) for part in product]).double())
    return products


def all_reduced(local: Callable[[torch.Tensor], list[torch.Tensor]]) -> Product:
    """Sum by ``all_reduce``: the fastest way. Its order, and so the last bits, depend on the number of processes."""

    def product(v: torch.Tensor) -> torch.Tensor:
        total = torch.stack(local(v)).sum(0)
        dist.all_reduce(total)
        return total.to(v.dtype)

    return product


def ordered(local: Callable[[torch.Tensor], list[torch.Tensor]]) -> Product:
    """Gather the groups' sums and add them in the order of the groups: the same bits for every number of processes."""

    def product(v: torch.Tensor) -> torch.Tensor:
        own = torch.stack(local(v))
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        total = torch.zeros_like(own[0])
        for group in torch.cat(parts):
            total += group
        return total.to(v.dtype)

    return product


def main() -> None:
    """Measure, and print the result in the first process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ordered", action="store_true", help="sum in the order of the groups")
    arguments = parser.parse_args()

    # A process that is lost ends the others after this time, in place of the default of half an hour.
    dist.init_process_group("gloo", timeout=timedelta(minutes=2))
    rank, processes = dist.get_rank(), dist.get_world_size()
    if GROUPS % processes:
        raise SystemExit(f"the number of processes must divide {GROUPS}, got {processes}")
    # Sums within a group depend on the number of threads, so every process has the same one.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    model, x, y = model_and_data()
    groups = list(zip(x.chunk(GROUPS), y.chunk(GROUPS), strict=True))
    share = GROUPS // processes
    own = groups[rank * share : (rank + 1) * share]
    dim = sum(parameter.numel() for parameter in model.parameters())

    def local(v: torch.Tensor) -> list[torch.Tensor]:
        return group_products(model, own, len(x), v)

    product = ordered(local) if arguments.ordered else all_reduced(local)
    # The seed is the same everywhere, and so are the products: all processes take the same steps.
    found = sharpness.lambda_max(product, dim=dim, like=torch.zeros(dim), seed=0, progress=False)
    if rank == 0:
        print(f"{found.value.hex()} {found.value:.6f} ± {found.residual:.1e}, {found.products} products")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
