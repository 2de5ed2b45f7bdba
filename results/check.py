"""Recompute what `sharpness claims` says of a table of runs, with numpy alone: Kendall's tau, the granulated Psi, the robust
sign-error, and findings 3.4 (i), (ii) and (iii).

    python3 results/check.py [PROGRAM]

compares to 1e-9 on the runs of results/fig8, and on tables made from them: with large batches, five seeds and errors that differ more,
where the seeds of all settings are the same, and where they are not. PROGRAM is target/release/sharpness if unset.
"""

import csv
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent
TOLERANCE = 1e-9
AXES = {"batch_size": 0, "learning_rate": 1, "dropout": 2}


def t_quantile(freedom, p=0.975):
    """Student's t, by its integral over angles: t = sqrt(freedom) tan(a), with density cos(a)^(freedom - 1)."""
    x, w = np.polynomial.legendre.leggauss(200)
    integral = lambda a: np.sum(w * np.cos((x + 1) * a / 2) ** (freedom - 1)) * a / 2
    low, high = 0.0, np.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        below = integral(middle) < (2 * p - 1) * integral(np.pi / 2)
        low, high = (middle, high) if below else (low, middle)
    return np.sqrt(freedom) * np.tan(low)


def read(path):
    """{(batch, learning rate, dropout): {seed: (test error, lambda_max)}} and the number of test examples."""
    cells = {}
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        key = tuple(float(row["config." + name]) for name in ("training.batch_size", "training.learning_rate", "model.dropout"))
        run = (1 - float(row["training.test_accuracy"]), float(row["measurement.lambda_max.value"]))
        cells.setdefault(key, {})[int(row["config.seed"])] = run
    return cells, float(rows[0]["training.test_examples"])


def common_seeds(cells):
    return sorted(set.intersection(*(set(cell) for cell in cells)))


def contrast(terms, value):
    """A sum of c times the mean of value(run) over terms (cell, c), and its interval."""
    seeds = common_seeds([cell for cell, _ in terms])
    if len(seeds) >= 3:
        within = np.array([sum(c * value(cell[seed]) for cell, c in terms) for seed in seeds])
        mean, error, freedom = within.mean(), within.std(ddof=1) / np.sqrt(len(seeds)), len(seeds) - 1
    else:
        samples = [np.array([value(run) for run in cell.values()]) for cell, _ in terms]
        mean = sum(c * sample.mean() for (_, c), sample in zip(terms, samples))
        parts = np.array([c**2 * sample.var(ddof=1) / len(sample) for (_, c), sample in zip(terms, samples)])
        freedom = parts.sum() ** 2 / sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, samples))
        error = np.sqrt(parts.sum())
    half = t_quantile(freedom) * error
    return mean, mean - half, mean + half


def slope(cells, x):
    """The least-squares slope over x as a contrast."""
    x = np.array(x) - np.mean(x)
    return [(cell, c) for cell, c in zip(cells, x / np.sum(x**2)) if c != 0]


def findings(cells):
    """{(section, condition): [(effect, lower, upper) for each batch and learning rate]}, as points or factors."""
    accuracy = lambda run: 100 * (1 - run[0])
    log_lambda = lambda run: np.log10(run[1])
    factor = lambda numbers: tuple(10.0**number for number in numbers)
    found = {}
    for batch, rate in sorted({key[:2] for key in cells}):
        line = {p: cell for (b, r, p), cell in sorted(cells.items()) if (b, r) == (batch, rate)}
        pick = lambda wanted, sign: [(line[p], sign / len(wanted)) for p in wanted]
        modest, none, excessive = [p for p in line if 0 < p <= 0.2], [0.0], [p for p in line if p >= 0.5]
        large = int(batch > 600)
        add = lambda section, condition, effect: found.setdefault((section, condition), []).append(effect)
        add("3.4 (i)", large, contrast(pick(modest, 1) + pick(none, -1), accuracy))
        add("3.4 (ii)", large, factor(contrast(slope(line.values(), np.array(list(line)) / 0.1), log_lambda)))
        difference = pick(excessive, 1) + pick(modest, -1)
        add("3.4 (iii)", large, contrast(difference, accuracy))
        add("3.4 (iii)", 2 + large, factor(contrast(difference, log_lambda)))
    return found


def tau(points):
    error, lam = np.array(points).T
    pairs = [np.sign(error[i] - error[j]) * np.sign(lam[i] - lam[j]) for i, j in itertools.combinations(range(len(points)), 2)]
    return np.mean(pairs)


def tau_along(axis, points):
    groups = {}
    for key, point in points.items():
        groups.setdefault(key[:axis] + key[axis + 1 :], []).append(point)
    taus = [tau(group) for group in groups.values() if len(group) > 1]
    return np.mean(taus) if taus else None


def environment(a, b, test_examples):
    """The weighted sign-error of two settings; none if fewer than 12 pairs of runs count."""
    pairs = [(x[0] - y[0], x[1] - y[1]) for x in a.values() for y in b.values()]
    certain = [max(0, 1 - 2 * np.exp(-2 * test_examples * (error / 2) ** 2)) for error, _ in pairs]
    weights = np.maximum(np.square(certain) - 0.5, 0)
    wrong = np.array([(1 - np.sign(error) * np.sign(lam)) / 2 for error, lam in pairs])
    enough = weights.sum() > 0 and weights.sum() ** 2 / np.sum(weights**2) >= 12
    return np.sum(weights * wrong) / weights.sum() if enough else None


def prediction(cells, test_examples):
    seeds = common_seeds(cells.values())
    if len(seeds) >= 3:
        views = [{key: cell[seed] for key, cell in cells.items()} for seed in seeds]
    else:
        mean = lambda cell: (np.mean([run[0] for run in cell.values()]), np.exp(np.mean([np.log(run[1]) for run in cell.values()])))
        views = [{key: mean(cell) for key, cell in cells.items()}]
    taus = np.array([tau(list(view.values())) for view in views])
    along = {name: [tau_along(axis, view) for view in views] for name, axis in AXES.items()}
    along = {name: np.mean(values) for name, values in along.items() if values[0] is not None}
    found = {"kendall_tau": taus.mean(), "granulated_psi": np.mean(list(along.values()))}
    found |= {f"along {name}": value for name, value in along.items()}
    if len(taus) > 1 and taus.std() > 0:
        half = t_quantile(len(taus) - 1) * taus.std(ddof=1) / np.sqrt(len(taus))
        found |= {"lower": max(-1, taus.mean() - half), "upper": min(1, taus.mean() + half)}
    pairs = [(a, b) for a, b in itertools.combinations(cells, 2) if sum(x != y for x, y in zip(a, b)) == 1]
    errors = [environment(cells[a], cells[b], test_examples) for a, b in pairs]
    errors = [error for error in errors if error is not None]
    if errors:
        found |= {"max": max(errors), "percentile_90": np.quantile(errors, 0.9), "mean": np.mean(errors), "environments": len(errors)}
    return found


def said_of_prediction(prediction):
    said = {key: prediction[key] for key in ("kendall_tau", "granulated_psi")}
    said |= {f"along {name}": value for name, value in prediction["along"].items()}
    if prediction["interval"]:
        said |= dict(zip(("lower", "upper"), prediction["interval"]))
    return said | (prediction["sign_error"] or {})


def compare(name, own, said):
    if own is None or said is None or abs(own - said) > TOLERANCE * max(1, abs(own)):
        sys.exit(f"{name}: {own} by numpy, {said} by sharpness")


def check(program, table):
    claims = subprocess.run([program, "claims", "--table", str(table), "--json"], check=True, capture_output=True).stdout
    claims = json.loads(claims)
    cells, test_examples = read(table)
    own, said = prediction(cells, test_examples), said_of_prediction(claims["predictions"][0])
    for key in sorted(own.keys() | said.keys()):
        compare(f"{table}: {key}", own.get(key), said.get(key))
    compared = len(own)
    sections = {finding["section"]: finding["runs"] for finding in claims["findings"]}
    for (section, condition), effects in findings(cells).items():
        judged = sections[section][0]["conditions"][condition]["effects"]
        compare(f"{table}: effects of {section}", len(effects), len(judged))
        for effect, own in zip(judged, effects):
            for key, a, b in zip(("value", "lower", "upper"), own, (effect["value"], *effect["interval"])):
                compare(f"{table}: {section}, {effect['place']}: {key}", a, b)
                compared += 1
    signs = f"sign-error over {own_count} environments" if (own_count := said.get("environments")) else "no sign-error"
    print(f"{table.name}: {compared} numbers agree to {TOLERANCE}; {signs}")


def synthetic(rows, paired, random):
    """The settings of `rows` with small and large batches and five seeds each; errors and lambda_max of every run are random."""
    settings = {}
    for row in rows:
        settings.setdefault((row["config.training.learning_rate"], row["config.model.dropout"]), row)
    made = []
    for batch in ("100", "5000"):
        for place, row in enumerate(settings.values()):
            level, scale = random.uniform(0.5, 0.9), random.uniform(0, 2)
            for seed in range(5):
                run = dict(row)
                run["id"] = f"{batch}-{place}-{seed}"
                run["config.seed"] = str(seed if paired else 1000 * int(batch) + 5 * place + seed)
                run["config.training.batch_size"] = run["config.training.micro_batch_size"] = batch
                run["training.test_accuracy"] = repr(level + random.normal(0, 0.02))
                run["measurement.lambda_max.value"] = repr(10 ** (scale + random.normal(0, 0.2)))
                made.append(run)
    return made


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent / "target/release/sharpness")
    table = HERE / "fig8" / "runs.csv"
    check(program, table)
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for paired in (True, False):
            made = pathlib.Path(folder) / ("paired.csv" if paired else "not-paired.csv")
            with open(made, "w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(synthetic(rows, paired, random))
            check(program, made)


if __name__ == "__main__":
    main()
