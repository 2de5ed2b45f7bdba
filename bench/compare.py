"""Time `sharpness` and its peers alternately, on the same weights, data and threads, and print the ratios.

    python -m venv target/peers && target/peers/bin/pip install -r bench/requirements.txt
    target/peers/bin/python bench/compare.py [--quick] [--only KEY,...] [--pairs N] [--layouts NAME,...]
        [--peers NAME,...] [--json FILE] [--from FILE] [--write]

Each side is a process that prepares its task once and then runs it once per line on standard input, so the two sides never run at
the same time. A ratio is the median over pairs of consecutive repetitions; below 1, `sharpness` is faster. `--only estimators` compares
traces and densities at equal error; see `bench/estimators.py`.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import estimators

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = ROOT / "target" / "bench"
LAYOUTS = ["contiguous", "channels_last"]
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "1073741824",
}
"""Let glibc keep the buffers that PyTorch frees, instead of returning their pages and faulting them in again."""

HVP = ["--examples", "500", "--bn-chunk", "500"]
LAMBDA = ["--examples", "1000", "--bn-chunk", "1000", "--rtol", "1e-3"]
SOLVERS = ["pyhessian", "curvlinops", "eigenthings"]

CASES = {
    "vgg11_step_100": ("vgg11", "step", ["--batch-size", "100"], ["step"], ["--batch-size", "100"], 0.31),
    "vgg11_step_500": ("vgg11", "step", ["--batch-size", "500"], ["step"], ["--batch-size", "500"], 0.31),
    "vgg11_bn_step_100": ("vgg11-bn", "step", ["--batch-size", "100"], ["step"], ["--batch-size", "100"], 0.36),
    "fixup_resnet32_step_100": (
        "fixup-resnet32", "step", ["--batch-size", "100"], ["step"], ["--batch-size", "100"], 0.5,
    ),
    "mlp_epoch": ("mlp", "epoch", ["--batch-size", "100"], ["epoch"], ["--batch-size", "100"], 0.42),
    "vgg11_hvp_500": ("vgg11", "hvp", HVP, ["hvp"], ["--examples", "500"], 0.19),
    "vgg11_hvp_500_retained": ("vgg11", "hvp", HVP, ["hvp-retained"], ["--examples", "500"], 0.29),
    "vgg11_bn_hvp_500": ("vgg11-bn", "hvp", HVP, ["hvp"], ["--examples", "500"], 0.15),
    "lambda_max_arpack": ("vgg11", "lambda-max-residual", LAMBDA, ["arpack"], ["--examples", "1000"], 0.06),
    "lambda_max_best": ("vgg11", "lambda-max-residual", LAMBDA, SOLVERS, ["--examples", "1000"], 0.3),
    "lambda_max_certified": ("vgg11", "lambda-max", LAMBDA, SOLVERS, ["--examples", "1000"], 0.5),
}
"""By key: architecture, our task and its options, the peers' tasks and their options, and the target ratio.

Peers check only the residual, and so do we in `lambda_max_arpack` and `lambda_max_best`. In `lambda_max_certified`, we also prove that
no larger eigenvalue was missed and check the value in double precision, as `measure` does, against the same peers.
"""
SUBSETS = [100, 500, 2000, 10000]
"""The numbers of images in the scaling table."""
QUICK = ["vgg11_step_100", "vgg11_hvp_500"]
PAIRS = {"lambda_max_arpack": 1, "lambda_max_best": 3, "lambda_max_certified": 3}
"""Repetitions per side for cases that take minutes. All others have 5."""


class Side:
    """A process that repeats one task."""

    def __init__(self, name, command, environment):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env=os.environ | environment,
        )
        self.runs = []
        self.answer()

    def answer(self):
        """Read the next line of the process as JSON."""
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.errors.seek(0)
            raise SystemExit(f"{self.name} exited with status {status}:\n{self.errors.read()}")
        return json.loads(line)

    def once(self, counts=True, line="go"):
        """Run the task once, as `line` asks, and return its outcome."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        outcome = self.answer()
        if counts:
            self.runs.append(outcome)
        return outcome

    def seconds(self):
        """The seconds of every counted repetition."""
        return [run["seconds"] for run in self.runs]

    def close(self):
        """End the process and return its peak memory in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        self.process.stdin.close()
        self.process.wait()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def ours(binary, arch, task, options, threads):
    """Start `sharpness`."""
    dataset = "fashion-mnist" if arch == "mlp" else "cifar10"
    command = [binary, "bench", "--interactive", "--only", task, "--arch", arch, "--dataset", dataset,
               "--weights", CACHE / f"{arch}.safetensors", "--standardize", "channel", "--subset", "first",
               "--threads", str(threads), *options]
    return Side("sharpness", list(map(str, command)), {})


def peer(arch, task, layout, options, threads):
    """Start a peer."""
    dataset = "fashion-mnist" if arch == "mlp" else "cifar10"
    command = [sys.executable, ROOT / "bench" / "peer.py", task, "--arch", arch, "--layout", layout,
               "--weights", CACHE / f"{arch}.safetensors", "--images", CACHE / f"{dataset}-images.npy",
               "--labels", CACHE / f"{dataset}-labels.npy", "--threads", str(threads), *options]
    return Side(f"{task}, {layout}, {threads} threads", list(map(str, command)), MALLOC)


def prepare(binary, arch):
    """Write the weights and data that do not exist yet."""
    dataset = "fashion-mnist" if arch == "mlp" else "cifar10"
    listed = json.loads(subprocess.check_output([binary, "data", "list", "--json"], text=True))
    place = next(entry["place"] for entry in listed if entry["name"] == dataset)
    if place is None:
        raise SystemExit(f"{dataset} not found; `sharpness data list` prints where it is searched")
    subprocess.check_call([sys.executable, ROOT / "bench" / "prepare.py", CACHE, arch, place])


def alternate(us, them, pairs, warm=True):
    """Run one uncounted repetition of each side, then pairs; return the median ratio."""
    if warm:
        us.once(counts=False)
        them.once(counts=False)
    for _ in range(pairs):
        us.once()
        them.once()
    return statistics.median(a / b for a, b in zip(us.seconds(), them.seconds()))


def agreement(us, them):
    """The relative differences between the values that both sides report."""
    shared = [key for key in ("loss", "gradient_norm", "product_norm", "value") if key in us and key in them]
    return {key: abs(us[key] - them[key]) / abs(them[key]) for key in shared}


def compare(binary, key, pairs, layouts, peers):
    """Compare a case with each of its peers; return the row of the fastest, and all rows."""
    arch, task, our_options, tasks, their_options, target = CASES[key]
    prepare(binary, arch)
    layouts = ["contiguous"] if arch == "mlp" else layouts
    threads = [1, 2] if task == "epoch" else [2]
    rows = []
    for name in [name for name in tasks if len(tasks) == 1 or name in peers]:
        for layout, count in [(layout, count) for layout in layouts for count in threads]:
            us = ours(binary, arch, task, our_options, 2)
            them = peer(arch, name, layout, their_options, count)
            # A measurement of λ_max takes so long that it needs no warm-up.
            ratio = alternate(us, them, pairs, warm=not task.startswith("lambda-max"))
            row = {
                "ratio": ratio, "target": target, "unit": "s", "peer": them.name, "layout": layout, "pairs": pairs,
                "ours": statistics.median(us.seconds()), "theirs": statistics.median(them.seconds()),
                "our_spread": [min(us.seconds()), max(us.seconds())],
                "their_spread": [min(them.seconds()), max(them.seconds())],
                "products": [us.runs[-1].get("products"), them.runs[-1].get("products")],
                "values": [us.runs[-1].get("value"), them.runs[-1].get("value")],
                "differences": {} if task in ("step", "epoch") else agreement(us.runs[-1], them.runs[-1]),
            }
            row["memory_mib"] = [us.close(), them.close()]
            print_row(key, row)
            rows.append(row)
    return max(rows, key=lambda row: row["ratio"]), rows


def threads_step(binary, pairs):
    """The speedup of our training step with 2 threads over 1."""
    prepare(binary, "vgg11")
    two, one = (ours(binary, "vgg11", "step", ["--batch-size", "100"], n) for n in (2, 1))
    ratio = 1 / alternate(two, one, pairs)
    row = {"ratio": ratio, "target": 1.85, "unit": "s", "peer": "sharpness, 1 thread", "pairs": pairs,
           "ours": statistics.median(two.seconds()), "theirs": statistics.median(one.seconds()),
           "memory_mib": [two.close(), one.close()]}
    print_row("threads_step", row)
    return row


def scaling(binary):
    """The time of our Hessian-vector product and the peak memory for several subset sizes, with 1 and 2 threads."""
    prepare(binary, "vgg11")
    rows = []
    for examples in SUBSETS:
        row = {"examples": examples}
        for threads in (1, 2):
            us = ours(binary, "vgg11", "hvp", ["--examples", str(examples)], threads)
            for _ in range(3 if examples <= 1000 else 1):
                us.once()
            row[f"milliseconds_{threads}"] = 1e3 * statistics.median(us.seconds()) / examples
            row["chunks"] = [us.runs[-1]["cached_chunks"], us.runs[-1]["chunks"]]
            row["memory_mib"] = us.close()
        print(f"scaling: {row}", file=sys.stderr, flush=True)
        rows.append(row)
    return {"rows": rows}


def package(binary, pairs):
    """The Python package against its peers in one process each: products and seconds until λ_max, alternately."""
    arch, options = "vgg11", ["--examples", "200", "--chunk", "100"]
    prepare(binary, arch)
    sides = {name: peer(arch, name, "contiguous", options, 2) for name in ["package", *SOLVERS]}
    for _ in range(pairs):
        for side in sides.values():
            side.once()
    rows = []
    for name, side in sides.items():
        last = side.runs[-1]
        row = {"name": name, "seconds": statistics.median(side.seconds()), "products": last["products"], "value": last["value"],
               "upper": last.get("upper"), "certified": last.get("certified", False)}
        if name == "package":
            # All that is not in products and checks: vectors, conversions and the solver.
            row["overhead"] = statistics.median(1 - run["in_products"] / run["solve"] for run in side.runs)
        row["memory_mib"] = side.close()
        print(f"package: {row}", file=sys.stderr, flush=True)
        rows.append(row)
    return {"rows": rows, "pairs": pairs}


def print_row(key, row):
    """Print a row as soon as it is measured."""
    more = [f"memory {row['memory_mib'][0]:.0f} / {row['memory_mib'][1]:.0f} MiB"]
    if any(row.get("products") or []):
        more.append("products {} / {}, λ_max {} / {}".format(*row["products"], *row["values"]))
    if row.get("differences"):
        more.append("differs by " + ", ".join(f"{k} {v:.1e}" for k, v in row["differences"].items()))
    print(f"{key:26} {row['ours']:8.3f} s {row['theirs']:8.3f} s  ratio {row['ratio']:.3f} (target {row['target']})  "
          f"{row['peer']}; {'; '.join(more)}", file=sys.stderr, flush=True)


def markdown(results, command):
    """The text of BENCHMARKS.md."""
    import torch

    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags"))
    isa = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "portable"
    lines = [
        "# Benchmarks", "",
        f"Generated by `{command}` on {datetime.date.today()}: {model}, {os.cpu_count()} cores, {isa}, "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}. Do not edit by hand.", "",
        "Times are medians. A ratio is the median over pairs of our time divided by that of the fastest peer. "
        "Peak memory is that of the whole process.", "",
        "| what | ours | theirs | ratio | target | pairs | peer | products | peak memory, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key, row in results.items():
        if key in ("scaling", "package", "estimators"):
            continue
        products = " / ".join(map(str, row.get("products") or [])).replace("None / None", "") or ""
        memory = " / ".join(f"{m:.0f}" for m in row["memory_mib"])
        lines.append(f"| `{key}` | {row['ours']:.3f} s | {row['theirs']:.3f} s | {row['ratio']:.3f} | {row['target']} "
                     f"| {row['pairs']} | {row['peer']} | {products} | {memory} |")
    if "scaling" in results:
        lines += [
            "", "## Scaling", "",
            "One Hessian-vector product of VGG-11 over subsets of the training set. Chunks of 250 images that do not fit in half of the "
            "free memory are linearized again for every product.", "",
            "| images | ms per image, 1 thread | 2 threads | ratio | chunks kept | peak memory, MiB |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row in results["scaling"]["rows"]:
            one, two = row["milliseconds_1"], row["milliseconds_2"]
            lines.append(f"| {row['examples']} | {one:.2f} | {two:.2f} | {one / two:.2f} "
                         f"| {row['chunks'][0]} of {row['chunks'][1]} | {row['memory_mib']:.0f} |")
    if "package" in results:
        lines += package_section(**results["package"])
    if "estimators" in results:
        lines += estimators.section(results["estimators"])
    return "\n".join(lines) + "\n"


def package_section(rows, pairs):
    """The section on the Python package."""
    names = ["torch", "scipy", "pyhessian", "curvlinops-for-pytorch", "hessian-eigenthings"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    ours = rows[0]
    lines = [
        "", "## The Python package", "",
        f"Measured on {datetime.date.today()} with {versions}; medians of {pairs} alternating solves. "
        "λ_max of VGG-11 near the end of training on 200 images in two batches, in PyTorch. `sharpness.lambda_max` proves that no larger "
        "eigenvalue was missed and checks the products, against finite differences among others; all of that is in its "
        f"time. Outside of products it spends {100 * ours['overhead']:.1f} % of the solve.", "",
        "| solver | products | seconds | ours / theirs | λ_max | certified | peak memory, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        certified = f"at most {row['upper']:.4g}" if row["certified"] else "no"
        lines.append(f"| {row['name']} | {row['products']} | {row['seconds']:.2f} | {ours['seconds'] / row['seconds']:.2f} "
                     f"| {row['value']:.5g} | {certified} | {row['memory_mib']:.0f} |")
    return lines


def formats(asked, key, results):
    """The memory formats of a case: if a peer takes minutes, only the one in which PyTorch's product was faster."""
    if asked:
        return asked.split(",")
    if CASES[key][1].startswith("lambda-max") and "vgg11_hvp_500" in results:
        return [min(results["vgg11_hvp_500"]["all"], key=lambda row: row["theirs"])["layout"]]
    return LAYOUTS


def measure(args, key, results):
    """Measure one key and add it to the results."""
    pairs = args.pairs or PAIRS.get(key, 5)
    if key == "threads_step":
        results[key] = threads_step(args.binary, pairs)
        return
    if key == "scaling":
        results[key] = scaling(args.binary)
        return
    if key == "package":
        results[key] = package(args.binary, args.pairs or 3)
        return
    if key == "estimators":
        setting = estimators.Setting(**json.loads(args.estimators))
        results[key] = estimators.estimators(sys.modules[__name__], args.binary, setting)
        return
    results[key], rows = compare(args.binary, key, pairs, formats(args.layouts, key, results), args.peers.split(","))
    results[key]["all"] = [dict(row) for row in rows]
    if key == "lambda_max_best":
        leanest = min(row["memory_mib"][1] for row in rows)
        results["lambda_max_memory"] = results[key] | {
            "ratio": results[key]["memory_mib"][0] / leanest, "target": 0.5, "peer": "the leanest", "unit": "MiB",
            "memory_mib": [results[key]["memory_mib"][0], leanest],
        }


def main():
    """Run the requested comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"run only {' and '.join(QUICK)}, which takes minutes")
    parser.add_argument("--only", help="comma-separated keys to run")
    parser.add_argument("--pairs", type=int, help="repetitions per side (default: 5, or fewer for cases that take minutes)")
    parser.add_argument("--layouts", help="comma-separated memory formats of PyTorch (default: both, and for λ_max the one in "
                                          "which PyTorch's product was faster)")
    parser.add_argument("--peers", default=",".join(SOLVERS), help="comma-separated peers of lambda_max_best and lambda_max_certified")
    parser.add_argument("--estimators", metavar="JSON", default="{}",
                        help="fields of Setting in bench/estimators.py, such as '{\"arch\": \"mlp\", \"target\": 0.1}'")
    parser.add_argument("--json", metavar="FILE", help="write all results to FILE, or to standard output if FILE is -")
    parser.add_argument("--from", metavar="FILE", dest="earlier", type=pathlib.Path,
                        help="include the results of an earlier run on this machine, as written by --json")
    parser.add_argument("--write", action="store_true", help="write BENCHMARKS.md")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "sharpness")
    args = parser.parse_args()
    every = [*CASES, "threads_step", "scaling", "package", "estimators"]
    keys = args.only.split(",") if args.only else QUICK if args.quick else every
    unknown = [key for key in keys if key not in every]
    strangers = [peer for peer in args.peers.split(",") if peer not in SOLVERS]
    if strangers:
        raise SystemExit(f"unknown peer: {', '.join(strangers)}; expected {', '.join(SOLVERS)}")
    strange = [layout for layout in (args.layouts or "").split(",") if layout and layout not in LAYOUTS]
    if strange:
        raise SystemExit(f"unknown memory format: {', '.join(strange)}; expected {', '.join(LAYOUTS)}")
    if unknown:
        raise SystemExit(f"unknown key: {', '.join(unknown)}; expected {', '.join(every)}")
    if not args.binary.exists():
        subprocess.check_call(["cargo", "build", "--release"], cwd=ROOT)
    results = json.loads(args.earlier.read_text()) if args.earlier else {}
    for key in keys:
        measure(args, key, results)
        if args.json and args.json != "-":
            pathlib.Path(args.json).write_text(json.dumps(results, indent=2) + "\n")
    if args.json == "-":
        print(json.dumps(results, indent=2))
    if args.write:
        # Leave out the folders of this machine.
        arguments = [pathlib.Path(part).name if part.startswith("/") else part for part in sys.argv[1:]]
        command = " ".join(["bench/compare.py", *arguments])
        (ROOT / "BENCHMARKS.md").write_text(markdown(results, command))


if __name__ == "__main__":
    main()
