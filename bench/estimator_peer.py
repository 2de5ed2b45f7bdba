"""One peer of the comparison of trace and density: for each line `BUDGET SEED` on standard input, estimate once and print the time.

As in `bench/peer.py`, building the network and reading files is not timed, and all that a user's call does is: the graph or operator of
the Hessian and all products.
"""

import json
import sys
import time

import numpy as np
import torch
from peer import Subject, arguments, criterion


def pyhessian_of(subject):
    """The Hessian of PyHessian, on one retained graph if the data are one batch."""
    from pyhessian import hessian

    # PyHessian's density calls torch.eig, which PyTorch has removed.
    def eig(matrix, eigenvectors):
        values, vectors = torch.linalg.eigh(matrix)
        return values[:, None], vectors

    torch.eig = eig
    data = dict(data=(subject.images, subject.labels))
    if subject.chunk < len(subject.labels):
        data = dict(dataloader=subject.batches(subject.chunk))
    subject.network.zero_grad(set_to_none=True)
    return hessian(subject.network, criterion, cuda=False, **data)


def curvlinops_of(subject):
    """The Hessian of curvlinops."""
    from curvlinops import HessianLinearOperator

    return HessianLinearOperator(
        subject.network, torch.nn.CrossEntropyLoss(), subject.parameters, subject.batches(subject.chunk),
        check_deterministic=False, num_data=len(subject.labels),
    )


def pyhessian_trace(subject, budget):
    """Hutchinson's estimate, without the rule that stops when two means agree by chance."""
    return {"value": float(np.mean(pyhessian_of(subject).trace(maxIter=budget, tol=0.0)))}


def curvlinops_trace(estimator):
    """An estimator of curvlinops."""

    def trace(subject, budget):
        import curvlinops

        return {"value": float(getattr(curvlinops, estimator)(curvlinops_of(subject), num_matvecs=budget))}

    return trace


def pyhessian_density(steps):
    """Stochastic Lanczos quadrature with full reorthogonalization, from `budget` vectors."""

    def density(subject, budget):
        values, weights = pyhessian_of(subject).density(iter=steps, n_v=budget)
        return {"nodes": [list(zip(map(float, v), map(float, w))) for v, w in zip(values, weights)]}

    return density


def curvlinops_density(steps):
    """The quadrature in `lanczos_approximate_spectrum`, without reorthogonalization, before it is widened and put on a grid."""

    def density(subject, budget):
        from curvlinops.papyan2020traces.spectrum import fast_lanczos

        operator, nodes = curvlinops_of(subject), []
        for _ in range(budget):
            values, vectors = fast_lanczos(operator, steps)
            nodes.append(list(zip(values.tolist(), (vectors[0] ** 2).tolist())))
        return {"nodes": nodes}

    return density


def tasks(steps):
    """The tasks by name; a density takes `steps` Lanczos steps per vector."""
    return {
        "pyhessian-trace": pyhessian_trace,
        "curvlinops-hutchinson": curvlinops_trace("hutchinson_trace"),
        "curvlinops-hutchpp": curvlinops_trace("hutchpp_trace"),
        "curvlinops-xtrace": curvlinops_trace("xtrace"),
        "pyhessian-density": pyhessian_density(steps),
        "curvlinops-density": curvlinops_density(steps),
    }


def main():
    """Prepare the task, then run it on request."""
    args = arguments(list(tasks(1)), lambda parser: parser.add_argument("--steps", type=int, default=50))
    torch.set_num_threads(args.threads)
    estimate, subject = tasks(args.steps)[args.task], Subject(args)
    # The first call imports and compiles.
    estimate(subject, 1 if args.task.endswith("density") else 6)
    print(json.dumps({"ready": args.task}), flush=True)
    for line in sys.stdin:
        budget, seed = map(int, line.split())
        torch.manual_seed(seed)
        start = time.perf_counter()
        outcome = estimate(subject, budget)
        seconds = time.perf_counter() - start
        subject.network.zero_grad(set_to_none=True)
        print(json.dumps({"seconds": seconds} | outcome), flush=True)


if __name__ == "__main__":
    main()
