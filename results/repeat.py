"""Repeat runs of a committed table and compare every result, to the last bit.

    python3 results/repeat.py PROGRAM TABLE RECIPE... [--runs N] [--seed S] [--only RUN]...

Draws N runs (5 if unset) of TABLE that the recipes contain, or takes those of --only, executes each by the command that
results/*/points.md states, in a new store, and compares all settings, results and measurements. Times, memory and provenance may
differ. The bits are those of the table only on its instruction set.
"""

import argparse
import csv
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile

FREE = (
    "provenance.",
    "training.seconds",
    "measurement.seconds",
    "measurement.costs",
    "measurement.memory.",
    "measurement.chunks",
    "measurement.cached_chunks",
)


def run(*arguments):
    done = subprocess.run([*map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, arguments))}` failed with status {done.returncode}")
    return done.stdout


def parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[])
    return parser.parse_args()


def main(options):
    known = {row["id"]: row for row in csv.DictReader(io.StringIO(options.table.read_text()))}
    places = {}
    for recipe in options.recipes:
        planned = json.loads(run(options.program, "sweep", recipe, "--dry-run", "--json", "--store", "no-store"))
        places |= {each["id"]: recipe for each in planned if each["id"] in known}
    if unknown := set(options.only) - set(places):
        sys.exit(f"{options.table} and the recipes do not share {', '.join(sorted(unknown))}")
    chosen = options.only or random.Random(options.seed).sample(sorted(places), min(options.runs, len(places)))
    wrong = 0
    for name in chosen:
        with tempfile.TemporaryDirectory() as store:
            print(f"sharpness sweep {places[name]} --only {name}", flush=True)
            run(options.program, "sweep", places[name], "--only", name, "--store", store)
            rows = csv.DictReader(io.StringIO(run(options.program, "runs", "export", "--store", store)))
            again = next(row for row in rows if row["id"] == name)
        keys = [key for key in known[name] if key in again and not key.startswith(FREE)]
        different = [key for key in keys if known[name][key] != again[key]]
        wrong += bool(different)
        print("\n".join(f"  {key}: {known[name][key]} in the table, {again[key]} again" for key in different) or f"  {len(keys)} columns are the same")
    print(f"{len(chosen) - wrong} of {len(chosen)} runs are the same to the last bit")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(parsed()))
