"""Traces and densities at equal error: `bench/compare.py --only estimators`.

A long run of `sharpness` is the reference. Each contender then runs with more and more products, several times with other seeds, until
its error is at most the target; its time at the target is interpolated between the last two numbers of products.

The error of a trace is, for Hutchinson's estimators, their common standard error with that many probes, of which the reference knows the
spread, and for others the root mean square deviation from the reference. That of a density is the root mean square of the Wasserstein
distance to the reference, the area between the distribution functions, relative to the mean magnitude of an eigenvalue. The target for
densities is what `sharpness` attains with its default, 5 vectors of 50 steps, and a fifth more for peers, since few runs show it.

Our time is that of a whole process of `sharpness measure`, with its start, the data and λ_max; that of peers begins when network and
data are in memory.
"""

import dataclasses
import functools
import json
import math
import statistics
import subprocess
import sys
import time

import numpy as np

SLACK = 1.2
"""Errors of densities that differ by less than this factor count as equal."""


@dataclasses.dataclass
class Setting:
    """What is estimated, and how exactly."""

    arch: str = "vgg11"
    examples: int = 500
    target: float = 0.05
    """The standard error of a trace, relative to it."""
    repeats: int = 5
    """Runs per number of products."""
    reference: tuple = (2000, 40)
    """Probes of the trace and vectors of the density."""
    vectors: int = 5
    """Vectors of our density."""
    steps: int = 50
    """Lanczos steps from each."""
    threads: int = 2
    budgets: int = 8
    """How often the number of products grows, by 1.6, before a contender is given up."""


class Ours:
    """`sharpness measure` as a process per run."""

    def __init__(self, compare, binary, setting):
        dataset = "fashion-mnist" if setting.arch == "mlp" else "cifar10"
        # λ_max is not what is timed: take as few products for it as possible.
        self.command = [
            binary, "measure", "--weights", compare.CACHE / f"{setting.arch}.safetensors", "--arch", setting.arch, "--dataset", dataset,
            "--standardize", "channel", "--subset", "first", "--examples", setting.examples, "--bn-chunk", setting.examples,
            "--threads", setting.threads, "--rtol", "0.5", "--bound-rtol", "off", "--json",
        ]

    def __call__(self, *options):
        """Run once; return the seconds and the outcomes of the measures."""
        start = time.perf_counter()
        run = subprocess.run(list(map(str, [*self.command, *options])), text=True, capture_output=True)
        seconds = time.perf_counter() - start
        if run.returncode:
            raise SystemExit(f"sharpness exited with status {run.returncode}:\n{run.stderr}")
        return seconds, json.loads(run.stdout)

    def trace(self, budget, seed, method="hutchinson"):
        """Estimate the trace."""
        seconds, found = self(f'--trace={{ probes = {budget}, method = "{method}" }}', "--seed", seed)
        return {"seconds": seconds, **outcome(found, "trace")}

    def density(self, budget, seed, steps):
        """Estimate the density."""
        seconds, found = self(f"--density={{ probes = {budget}, steps = {steps} }}", "--seed", seed)
        return {"seconds": seconds, "nodes": outcome(found, "density")["probes"]}


def outcome(found, name):
    """The outcome of a measure, wherever the JSON document has it."""
    if isinstance(found, dict):
        if isinstance(found.get(name), dict):
            return found[name]
        for value in found.values():
            if (inner := outcome(value, name)) is not None:
                return inner
    return None


def wasserstein(nodes, reference):
    """The area between the distribution functions of two densities, each a mean over its vectors."""
    a, b = (np.concatenate([np.asarray(vector, float) for vector in density]) for density in (nodes, reference))
    at = np.concatenate([a[:, 0], b[:, 0]])
    weight = np.concatenate([a[:, 1] / len(nodes), -b[:, 1] / len(reference)])
    order = np.argsort(at)
    return float(np.abs(np.cumsum(weight[order])[:-1]) @ np.diff(at[order]))


def mean_magnitude(nodes):
    """The mean magnitude of an eigenvalue."""
    return float(np.mean([sum(weight * abs(value) for value, weight in vector) for vector in nodes]))


def root_mean_square(values):
    """The root of the mean of the squares."""
    return math.sqrt(statistics.mean(value * value for value in values))


def attain(name, run, error_of, target, first, setting, multiple=1):
    """Run with more and more products, multiples of `multiple`, until the error is at most `target`; return the row of the table."""
    points, budget = [], first
    for _ in range(setting.budgets):
        runs = [run(budget, 100 + seed) for seed in range(setting.repeats)]
        seconds, error = statistics.median(one["seconds"] for one in runs), error_of(budget, runs)
        points.append((budget, seconds, error))
        print(f"estimators: {name}, {budget}: {seconds:.2f} s, error {error:.3g} of {target:.3g}", file=sys.stderr, flush=True)
        if error <= target:
            break
        budget = multiple * max(budget // multiple + 1, math.ceil(1.6 * budget / multiple))
    row = {"name": name, "points": points, "target": target, "seconds": None}
    if points[-1][2] <= target:
        row["seconds"] = points[-1][1]
        if len(points) > 1:
            (_, s0, e0), (_, s1, e1) = points[-2:]
            share = (math.log(e0) - math.log(target)) / (math.log(e0) - math.log(e1)) if e1 > 0 else 1.0
            row["seconds"] = math.exp(math.log(s0) + share * (math.log(s1) - math.log(s0)))
    return row


def traces(ours, start, setting):
    """Our trace and those of the peers."""
    reference = ours.trace(setting.reference[0], 1)
    value, probes = reference["value"], reference["probes"]
    spread = reference["standard_error"] * math.sqrt(probes)
    target = setting.target * abs(value)
    if target < 3 * reference["standard_error"]:
        print("estimators: the trace of the reference is less than three times as exact as the target", file=sys.stderr)

    def known(budget, _):
        return spread / math.sqrt(budget)

    def deviation(_, runs):
        return root_mean_square([run["value"] - value for run in runs])

    needed = max(8, math.ceil((spread / target) ** 2))
    rows = [attain("sharpness", ours.trace, known, target, needed, setting)]
    for method in ("hutch++", "xtrace"):
        run = functools.partial(ours.trace, method=method)
        rows.append(attain(f"sharpness, {method}", run, deviation, target, 6, setting, multiple=6))
    for name in ("pyhessian-trace", "curvlinops-hutchinson", "curvlinops-hutchpp", "curvlinops-xtrace"):
        is_plain = name in ("pyhessian-trace", "curvlinops-hutchinson")
        with start(name) as run:
            if is_plain:
                rows.append(attain(name, run, known, target, needed, setting))
            else:
                # Products come in pairs or threes.
                rows.append(attain(name, run, deviation, target, 6, setting, multiple=6))
    return {"value": value, "standard_error": reference["standard_error"], "rows": rows}


def densities(ours, start, setting):
    """Our density and those of the peers."""
    reference = ours.density(setting.reference[1], 1, 2 * setting.steps)["nodes"]
    scale = mean_magnitude(reference)

    def distance(_, runs):
        return root_mean_square([wasserstein(run["nodes"], reference) / scale for run in runs])

    our_run = lambda budget, seed: ours.density(budget, seed, setting.steps)
    first = attain("sharpness", our_run, distance, math.inf, setting.vectors, setting)
    target = first["target"] = first["points"][0][2]
    rows = [first]
    for name in ("pyhessian-density", "curvlinops-density"):
        with start(name) as run:
            # Of few runs, the root mean square itself is known to about this fraction.
            rows.append(attain(name, run, distance, SLACK * target, setting.vectors, setting))
    return {"scale": scale, "rows": rows}


class Peer:
    """A peer's process, which takes lines `BUDGET SEED`."""

    def __init__(self, compare, name, setting):
        self.compare, self.name, self.setting = compare, name, setting

    def __enter__(self):
        setting, cache = self.setting, self.compare.CACHE
        dataset = "fashion-mnist" if setting.arch == "mlp" else "cifar10"
        command = [
            sys.executable, self.compare.ROOT / "bench" / "estimator_peer.py", self.name, "--arch", setting.arch, "--layout", "contiguous",
            "--weights", cache / f"{setting.arch}.safetensors", "--images", cache / f"{dataset}-images.npy",
            "--labels", cache / f"{dataset}-labels.npy", "--threads", setting.threads, "--examples", setting.examples,
            "--steps", setting.steps,
        ]
        self.side = self.compare.Side(self.name, list(map(str, command)), self.compare.MALLOC)
        return lambda budget, seed: self.side.once(counts=False, line=f"{budget} {seed}")

    def __exit__(self, *_):
        self.side.close()


def estimators(compare, binary, setting):
    """The section of the results."""
    compare.prepare(binary, setting.arch)
    ours = Ours(compare, binary, setting)
    start = lambda name: Peer(compare, name, setting)
    overhead = statistics.median(ours("--seed", seed)[0] for seed in range(setting.repeats))
    results = {"setting": dataclasses.asdict(setting), "without_estimate": overhead}
    return results | {"trace": traces(ours, start, setting), "density": densities(ours, start, setting)}


def section(results):
    """The section of BENCHMARKS.md, as lines."""
    setting = results["setting"]
    lines = [
        "", "## Trace and density at equal error", "",
        f"{setting['arch']} on {setting['examples']} images. The trace is {results['trace']['value']:.4g} ± "
        f"{results['trace']['standard_error']:.2g}, from {setting['reference'][0]} probes at most; each estimates it to "
        f"{100 * setting['target']:g} %. A density is that of {setting['steps']} Lanczos steps per vector, to the Wasserstein distance that "
        f"ours has with {setting['vectors']} vectors, within 20 %. Times are medians of {setting['repeats']} runs, interpolated to the same error; ratios are those of our fastest. Ours "
        f"contain {results['without_estimate']:.2f} s for the start of the program, the data and λ_max, which those of peers do not, and which "
        "the last column leaves out.", "",
        "| what | solver | products | seconds | ours / theirs | products alone |", "| --- | --- | --- | --- | --- | --- |",
    ]
    for what in ("trace", "density"):
        rows = results[what]["rows"]
        ours = min(row["seconds"] or math.inf for row in rows if row["name"].startswith("sharpness"))
        for row in rows:
            budget = row["points"][-1][0] * (setting["steps"] if what == "density" else 1)
            if row["seconds"] is None:
                lines.append(f"| {what} | {row['name']} | more than {budget} | - | - | - |")
            else:
                is_ours = row["name"].startswith("sharpness")
                alone = ours if is_ours else max(ours - results["without_estimate"], 0.0)
                lines.append(f"| {what} | {row['name']} | {budget} | {row['seconds']:.2f} | {ours / row['seconds']:.2f} "
                             f"| {alone / row['seconds']:.2f} |")
    return lines

