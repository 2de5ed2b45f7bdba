"""Time a Hessian-vector product and a training step on several MPI ranks of this machine, and print a table in Markdown.

    cargo build --release -p sharpness-cli --features mpi
    python bench/mpi.py [--examples N] [--repetitions N] [--ranks 1,2,4]

Each rank has one thread. The overhead is what the ranks take beyond an even share of the time of one, or, if there are more ranks than
cores, of the time of as many threads as there are cores. The exchange is what the first rank spends on sending vectors, after all ranks
have met.
"""

import argparse
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "target" / "release" / "sharpness"
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
TASKS = {
    "hvp": ["--bn-chunk", "250"],
    "step": ["--batch-size", "1000", "--micro-batch-size", "125"],
}


def timed(arguments, task, ranks, threads):
    """The timings of a task on `ranks` processes of `threads` threads."""
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, str(PROGRAM), "bench", "--arch", "vgg11", "--dataset", "cifar10", "--random", "--json"]
    command += ["--only", task, "--threads", str(threads), "--repetitions", str(arguments.repetitions)]
    command += ["--examples", str(arguments.examples), *TASKS[task]]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    document = json.loads(done.stdout)
    return document["parameters"], document["tasks"][0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--tasks", default="hvp,step")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print("| task | processes | threads of each | seconds | exchange | overhead |")
    print("| --- | --- | --- | --- | --- | --- |")
    for task in arguments.tasks.split(","):
        parameters, alone = timed(arguments, task, 1, 1)
        _, threads = timed(arguments, task, 1, cores)
        print(f"| {task} | 1 | 1 | {alone['median_seconds']:.3f} | | |")
        print(f"| {task} | 1 | {cores} | {threads['median_seconds']:.3f} | | |")
        for ranks in map(int, arguments.ranks.split(",")):
            _, shared = timed(arguments, task, ranks, 1)
            seconds = shared["median_seconds"]
            ideal = alone["median_seconds"] / ranks if ranks <= cores else threads["median_seconds"]
            exchange = f"{shared['exchange_seconds']:.3f} ({shared['exchange_seconds'] / seconds:.1%})"
            print(f"| {task} | {ranks} | 1 | {seconds:.3f} | {exchange} | {seconds / ideal - 1:.1%} |")
    print(f"\nVGG-11, {parameters:,} parameters; a product over {arguments.examples:,} images, a step of 1,000 in parts of 125.")


if __name__ == "__main__":
    main()
