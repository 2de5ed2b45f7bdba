"""One peer of a comparison: prepare one task in PyTorch, then run it once per line on standard input.

The protocol is that of `sharpness bench --interactive`: one line of JSON when the task is ready, and one per repetition with its
seconds and values. Preparation (building the network, reading files) is not timed.
"""

import argparse
import json
import sys
import time

import numpy as np
import torch
from prepare import build
from safetensors.torch import load_file
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

LEARNING_RATE = 0.05
"""The default of `sharpness`."""


def criterion(logits, labels):
    """The mean loss."""
    return functional.cross_entropy(logits, labels)


class Subject:
    """The network in training mode with given weights, and its examples."""

    def __init__(self, args):
        data = [np.load(path, mmap_mode="r") for path in (args.images, args.labels)]
        count = args.examples or len(data[1])
        self.images, self.labels = (torch.from_numpy(array[:count].copy()) for array in data)
        self.network = build(args.arch)
        self.network.load_state_dict(load_file(args.weights), strict=False)
        if args.layout == "channels_last":
            self.network = self.network.to(memory_format=torch.channels_last)
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.network.train()
        self.parameters = list(self.network.parameters())
        self.batch_size = args.batch_size
        self.chunk = args.chunk or count
        self.products = 0

    def batches(self, size):
        """Batches of images and labels in the order of the data, without a smaller one at the end."""
        count = len(self.labels) // size * size
        return [(self.images[i : i + size], self.labels[i : i + size]) for i in range(0, count, size)]

    def unflatten(self, vector):
        """A flat vector as tensors with the shapes of the parameters."""
        parts = vector.split([p.numel() for p in self.parameters])
        return [part.view_as(p) for part, p in zip(parts, self.parameters)]

    def gradients(self, batch):
        """The loss of a batch and the graph of its gradient."""
        images, labels = batch
        loss = criterion(self.network(images), labels)
        return loss, torch.autograd.grad(loss, self.parameters, create_graph=True)

    def product(self, vector):
        """The Hessian of the mean loss times `vector`, by double backward over chunks of equal size, as one flat vector."""
        self.products += 1
        total = 0
        chunks = self.batches(self.chunk)
        for batch in chunks:
            _, gradients = self.gradients(batch)
            parts = torch.autograd.grad(gradients, self.parameters, vector)
            total = total + torch.cat([part.reshape(-1) for part in parts]) / len(chunks)
        return total


def steps(subject, all_of_them):
    """A function that takes one step of SGD, or all steps of an epoch."""
    optimizer = torch.optim.SGD(subject.parameters, lr=LEARNING_RATE, fused=True)
    batches = subject.batches(subject.batch_size)
    done = 0

    def step(batch):
        images, labels = batch
        loss = criterion(subject.network(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    def one():
        nonlocal done
        done += 1
        return {"loss": step(batches[(done - 1) % len(batches)])}

    def epoch():
        return {"loss": sum(map(step, batches)) / len(batches)}

    return epoch if all_of_them else one


def hvp(subject, retained):
    """The product with the normalized gradient on one batch, optionally retaining the graph of the gradient."""
    [batch] = subject.batches(subject.chunk)
    loss, gradients = subject.gradients(batch)
    flat = parameters_to_vector([g.contiguous() for g in gradients]).detach()
    norm = flat.norm()
    along = flat / norm
    vector = subject.unflatten(along)
    facts = {"loss": loss.item(), "gradient_norm": norm.item()}
    if not retained:
        del loss, gradients

    def again():
        if retained:
            parts = torch.autograd.grad(gradients, subject.parameters, vector, retain_graph=True)
            product = torch.cat([part.reshape(-1) for part in parts])
        else:
            product = subject.product(vector)
        return facts | {"product_norm": product.norm().item(), "curvature": (along @ product).item()}

    return again


def arpack(subject):
    """The method of the paper's authors: ARPACK, six eigenvalues of largest magnitude, to machine precision, by double backward."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    size = sum(p.numel() for p in subject.parameters)

    def matvec(vector):
        vector = torch.from_numpy(vector.reshape(-1)).float()
        return subject.product(subject.unflatten(vector)).numpy().astype(np.float64)

    def again():
        subject.products = 0
        operator = LinearOperator((size, size), matvec=matvec, dtype=np.float64)
        values = eigsh(operator, k=6, which="LM", tol=0, return_eigenvectors=False)
        return {"value": float(values.max()), "products": subject.products}

    return again


def pyhessian(subject):
    """PyHessian with its defaults: power iteration on one retained graph until the value changes by less than 1e-3."""
    from pyhessian import hessian

    module = sys.modules["pyhessian.hessian"]
    counted = module.hessian_vector_product

    def counting(*arguments):
        subject.products += 1
        return counted(*arguments)

    module.hessian_vector_product = counting
    over_batches = hessian.dataloader_hv_product

    def counting_batches(*arguments):
        subject.products += 1
        return over_batches(*arguments)

    hessian.dataloader_hv_product = counting_batches

    def again():
        subject.products = 0
        subject.network.zero_grad(set_to_none=True)
        data = dict(data=(subject.images, subject.labels))
        if subject.chunk < len(subject.labels):
            data = dict(dataloader=subject.batches(subject.chunk))
        values, _ = hessian(subject.network, criterion, cuda=False, **data).eigenvalues()
        subject.network.zero_grad(set_to_none=True)
        return {"value": float(values[0]), "products": subject.products}

    return again


def curvlinops(subject):
    """curvlinops and SciPy's eigsh: forward-over-reverse products, one eigenvalue to 1e-3."""
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import LinearOperator, eigsh

    data = subject.batches(subject.chunk)

    def again():
        subject.products = 0
        hessian = HessianLinearOperator(
            subject.network, torch.nn.CrossEntropyLoss(), subject.parameters, data,
            check_deterministic=False, num_data=len(subject.labels),
        ).to_scipy(dtype=np.float32)

        def matvec(vector):
            subject.products += 1
            return hessian @ vector

        operator = LinearOperator(hessian.shape, matvec=matvec, dtype=np.float32)
        values = eigsh(operator, k=1, which="LA", tol=1e-3, return_eigenvectors=False)
        return {"value": float(values[0]), "products": subject.products}

    return again


def eigenthings(subject):
    """hessian-eigenthings: the fewest Lanczos steps that reach a residual of 1e-3, determined in advance and not timed."""
    from hessian_eigenthings.algorithms.lanczos import lanczos
    from hessian_eigenthings.loss_fns.standard import supervised_loss
    from hessian_eigenthings.operators.hessian import HessianOperator

    data = subject.batches(subject.chunk)
    operator = HessianOperator(subject.network, data, supervised_loss(criterion))

    def run(iterations):
        return lanczos(operator, k=1, max_iter=iterations, tol=1e-3, which="LA", seed=0)

    iterations = next(m for m in range(6, 51) if run(m).converged[0])

    def again():
        found = run(iterations)
        return {"value": found.eigenvalues[0].item(), "products": found.iterations}

    return again


def package(subject):
    """The Python package: certified to the default tolerances, with its checks."""
    import sharpness

    data = subject.batches(subject.chunk)
    loss = torch.nn.CrossEntropyLoss()

    def again():
        found = sharpness.lambda_max(subject.network, loss, data, rtol=1e-3, progress=False)
        facts = {"value": found.value, "products": found.products, "certified": found.certified}
        solve = found.solve
        return facts | {"in_products": solve.seconds_in_products, "solve": solve.seconds, "upper": found.upper}

    return again


TASKS = {
    "step": lambda subject: steps(subject, False),
    "epoch": lambda subject: steps(subject, True),
    "hvp": lambda subject: hvp(subject, False),
    "hvp-retained": lambda subject: hvp(subject, True),
    "arpack": arpack,
    "pyhessian": pyhessian,
    "curvlinops": curvlinops,
    "eigenthings": eigenthings,
    "package": package,
}


def arguments(tasks, add=lambda parser: None):
    """Parse the command line of a peer that has these tasks, and what `add` adds to it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=tasks)
    add(parser)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--layout", choices=["contiguous", "channels_last"], default="contiguous")
    parser.add_argument("--batch-size", type=int, default=100, help="examples per step")
    parser.add_argument("--examples", type=int, help="use only the first N")
    parser.add_argument("--chunk", type=int, help="examples per batch of a Hessian (default: all)")
    return parser.parse_args()


def main():
    """Prepare the task, then run it on request."""
    args = arguments(list(TASKS))
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    again = TASKS[args.task](Subject(args))
    print(json.dumps({"ready": args.task}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        outcome = again()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds} | outcome), flush=True)


if __name__ == "__main__":
    main()
