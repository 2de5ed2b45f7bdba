"""Times how products over MPI exchange their sums, for a range of sizes.

    mpirun -n 2 python -m mpi4py bench/exchange.py            # a line for each size
    mpirun -n 4 --oversubscribe python -m mpi4py bench/exchange.py

Every process holds one vector of float64. All-to-all gives each process its slice of all vectors, it adds them in the order of
the processes, and all-gather gives everyone the sums. Needs NumPy and mpi4py. The lines are the input of `bench/scaling.py`.
"""

import sys
import time

import numpy as np
from mpi4py import MPI

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
REPEATS = {1_000: 200, 10_000: 100, 100_000: 50, 1_000_000: 20, 10_000_000: 10}


def times(size: int) -> tuple[float, float, float]:
    """Return the seconds of all-to-all, sum and all-gather of the slowest process, each the fastest of all repeats."""
    comm = MPI.COMM_WORLD
    ranks = comm.Get_size()
    slice_ = -(-size // ranks)
    own = np.full(slice_ * ranks, 1.0 + comm.Get_rank())
    slices, total, gathered = np.empty((ranks, slice_)), np.empty(slice_), np.empty(slice_ * ranks)
    seconds = []
    # The first exchanges set up connections and buffers.
    for repeat in range(-3, REPEATS[size]):
        comm.Barrier()
        begun = time.perf_counter()
        comm.Alltoall(own, slices)
        received = time.perf_counter()
        total[:] = slices[0]
        for other in slices[1:]:
            total += other
        summed = time.perf_counter()
        comm.Allgather(total, gathered)
        ended = time.perf_counter()
        own_times = np.array([received - begun, summed - received, ended - summed])
        of_all = np.empty(3)
        comm.Allreduce(own_times, of_all, op=MPI.MAX)
        if repeat >= 0:
            seconds.append(of_all)
    expected = ranks * (ranks + 1) / 2
    if not (gathered == expected).all():
        sys.exit("the sums are wrong")
    return tuple(np.min(seconds, axis=0))


def main() -> None:
    """Print a line for each size: processes, length, and seconds of the three parts."""
    for size in SIZES:
        parts = times(size)
        if MPI.COMM_WORLD.Get_rank() == 0:
            print(MPI.COMM_WORLD.Get_size(), size, *(f"{part:.3e}" for part in parts), flush=True)


main()
