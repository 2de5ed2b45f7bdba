"""Recompute what `sharpness claims` says of a table of runs, with numpy alone: Kendall's tau with its interval, the granulated Psi, the
normalized conditional mutual information and the robust sign-error of several predictors of the test error and of the generalization
gap, and findings 3.4 (i), (ii) and (iii).

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
TARGETS = ("test_error", "generalization_gap")
# The columns of predictors; hyperparameters predict with the sign with which larger is worse.
COLUMNS = {
    "lambda_max": "measurement.lambda_max.value",
    "trace.value": "measurement.trace.value",
    "gradient_norm": "measurement.gradient_norm",
    "parameter_norm": "measurement.parameter_norm",
    "training.epochs": "training.epochs",
    "training.train_loss": "training.train_loss",
}
SIGNS = {"learning_rate": -1, "batch_size": 1, "dropout": -1}


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


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read(path):
    """{(batch, learning rate, dropout): {seed: {name: number}}} and the number of test examples."""
    cells, rows = {}, read_rows(path)
    for row in rows:
        key = tuple(float(row["config." + name]) for name in ("training.batch_size", "training.learning_rate", "model.dropout"))
        run = {name: float(row[column]) for name, column in COLUMNS.items() if row.get(column)}
        run |= {name: sign * key[AXES[name]] for name, sign in SIGNS.items()}
        run["test_error"] = 1 - float(row["training.test_accuracy"])
        run["generalization_gap"] = float(row["training.train_accuracy"]) - float(row["training.test_accuracy"])
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
    accuracy = lambda run: 100 * (1 - run["test_error"])
    log_lambda = lambda run: np.log10(run["lambda_max"])
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


def signs(numbers):
    """The signs of all differences."""
    numbers = np.array(numbers)
    return np.sign(numbers[:, None] - numbers[None, :])


def tau(points):
    target, predictor = np.array(points).T
    return np.sum(signs(target) * signs(predictor)) / (len(points) * (len(points) - 1))


def interval_over_settings(points):
    """Samara and Randles 1988, with quantiles of Student's t; none if there is no spread."""
    target, predictor = np.array(points).T
    n, mean = len(points), tau(points)
    sums = np.sum(signs(target) * signs(predictor), axis=1)
    variance = 2 * (n - 2) / (n * (n - 1)) * np.var(sums, ddof=1) + 1 - mean**2
    half = t_quantile(n - 2) * np.sqrt(max(0, variance) * 2 / (n * (n - 1)))
    return (max(-1, mean - half), min(1, mean + half)) if half > 1e-5 else None


def tau_along(axis, points):
    groups = {}
    for key, point in points.items():
        groups.setdefault(key[:axis] + key[axis + 1 :], []).append(point)
    taus = [tau(group) for group in groups.values() if len(group) > 1]
    return np.mean(taus) if taus else None


def entropy(*columns):
    """Of the rows of columns, in bits."""
    codes = np.zeros(len(columns[0]), dtype=int)
    for column in columns:
        values, places = np.unique(column, return_inverse=True)
        codes = np.unique(codes * len(values) + places, return_inverse=True)[1]
    shares = np.bincount(codes) / len(codes)
    return -np.sum(shares * np.log2(shares))


def conditional_information(keys, points):
    """The least I(V_mu; V_g | U) / H(V_g | U) over sets of at most two hyperparameters, over ordered pairs of different runs."""
    target, predictor = np.array(points).T
    first, second = np.nonzero(~np.eye(len(points), dtype=bool))
    g, mu = signs(target)[first, second], signs(predictor)[first, second]
    keys = np.array(keys)
    ratios = []
    for axes in itertools.chain.from_iterable(itertools.combinations(range(3), size) for size in range(3)):
        u = [np.zeros(len(g))] + [keys[pair, axis] for axis in axes for pair in (first, second)]
        uncertainty = entropy(g, *u) - entropy(*u)
        if uncertainty > 1e-9:
            ratios.append((entropy(mu, *u) + entropy(g, *u) - entropy(mu, g, *u) - entropy(*u)) / uncertainty)
    return max(0, min(ratios)) if ratios else None


def environment(a, b, test_examples):
    """The weighted sign-error of two settings; none if fewer than 12 pairs of runs count."""
    pairs = [(x[0] - y[0], x[1] - y[1]) for x in a for y in b]
    certain = [max(0, 1 - 2 * np.exp(-2 * test_examples * (error / 2) ** 2)) for error, _ in pairs]
    weights = np.maximum(np.square(certain) - 0.5, 0)
    wrong = np.array([(1 - np.sign(target) * np.sign(predictor)) / 2 for target, predictor in pairs])
    enough = weights.sum() > 0 and weights.sum() ** 2 / np.sum(weights**2) >= 12
    return np.sum(weights * wrong) / weights.sum() if enough else None


def prediction(cells, test_examples, predictor, target):
    """The statistics of a predictor over the settings that have it; {} if there is no tau."""
    points = {key: {seed: (run[target], run[predictor]) for seed, run in cell.items() if predictor in run} for key, cell in cells.items()}
    points = {key: cell for key, cell in points.items() if cell}
    if len(points) < 3:
        return {}
    seeds = common_seeds(points.values())
    if len(seeds) >= 3:
        views = [{key: cell[seed] for key, cell in points.items()} for seed in seeds]
    else:
        middle = (lambda x: np.exp(np.mean(np.log(x)))) if predictor == "lambda_max" else np.mean
        mean = lambda cell: (np.mean([point[0] for point in cell]), middle([point[1] for point in cell]))
        views = [{key: mean(list(cell.values())) for key, cell in points.items()}]
    if any(all(len({point[i] for point in view.values()}) == 1 for view in views) for i in (0, 1)):
        return {}
    taus = np.array([tau(list(view.values())) for view in views])
    along = {name: [tau_along(axis, view) for view in views] for name, axis in AXES.items()}
    along = {name: np.mean(values) for name, values in along.items() if values[0] is not None}
    found = {"settings": len(points), "kendall_tau": taus.mean(), "granulated_psi": np.mean(list(along.values()))}
    found |= {f"along {name}": value for name, value in along.items()}
    if len(taus) == 1:
        interval = interval_over_settings(list(views[0].values()))
    else:
        half = t_quantile(len(taus) - 1) * taus.std(ddof=1) / np.sqrt(len(taus))
        interval = (max(-1, taus.mean() - half), min(1, taus.mean() + half)) if taus.std() > 0 else None
    if interval:
        found |= dict(zip(("lower", "upper"), interval))
    runs = [(key, point) for key, cell in points.items() for point in cell.values()]
    information = conditional_information(*zip(*runs))
    if information is not None:
        found["conditional_information"] = information
    pairs = [(a, b) for a, b in itertools.combinations(points, 2) if sum(x != y for x, y in zip(a, b)) == 1]
    errors = [environment(points[a].values(), points[b].values(), test_examples) for a, b in pairs]
    errors = [error for error in errors if error is not None]
    if errors:
        found |= {"max": max(errors), "percentile_90": np.quantile(errors, 0.9), "mean": np.mean(errors), "environments": len(errors)}
    return found


def said_of_prediction(prediction):
    if prediction["kendall_tau"] is None:
        return {}
    said = {key: prediction[key] for key in ("settings", "kendall_tau", "granulated_psi")}
    said |= {f"along {name}": value for name, value in prediction["along"].items()}
    if prediction["interval"]:
        said |= dict(zip(("lower", "upper"), prediction["interval"]))
    if prediction["conditional_information"]:
        said["conditional_information"] = prediction["conditional_information"]["value"]
    errors = prediction["sign_error"] or {}
    return said | {key: errors[key] for key in ("max", "percentile_90", "mean", "environments") if key in errors}


def compare(name, own, said):
    if own is None or said is None or abs(own - said) > TOLERANCE * max(1, abs(own)):
        sys.exit(f"{name}: {own} by numpy, {said} by sharpness")


def check(program, table):
    claims = subprocess.run([program, "claims", "--table", str(table), "--json"], check=True, capture_output=True).stdout
    claims = json.loads(claims)
    cells, test_examples = read(table)
    predictions = {(found["predictor"], found["target"]): said_of_prediction(found) for found in claims["predictions"]}
    compared, counted = 0, 0
    for name, target in itertools.product([*COLUMNS, *SIGNS], TARGETS):
        own, said = prediction(cells, test_examples, name, target), predictions.get((name, target), {})
        for key in sorted(own.keys() | said.keys()):
            compare(f"{table}: {key} of {name} and {target}", own.get(key), said.get(key))
        compared, counted = compared + len(own), counted + (len(own) > 0)
    sections = {finding["section"]: finding["runs"] for finding in claims["findings"]}
    for (section, condition), effects in findings(cells).items():
        judged = sections[section][0]["conditions"][condition]["effects"]
        compare(f"{table}: effects of {section}", len(effects), len(judged))
        for effect, own in zip(judged, effects):
            for key, a, b in zip(("value", "lower", "upper"), own, (effect["value"], *effect["interval"])):
                compare(f"{table}: {section}, {effect['place']}: {key}", a, b)
                compared += 1
    environments = predictions["lambda_max", "test_error"].get("environments")
    errors = f"sign-error over {environments} environments" if environments else "no sign-error"
    print(f"{table.name}: {compared} numbers agree to {TOLERANCE}, those of {counted} predictions among them; {errors}")


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
                # Of both signs, often equal, and missing in one setting.
                run["measurement.trace.value"] = repr(float(round(random.normal(3 * scale - 3, 2)))) if place else ""
                run["measurement.parameter_norm"] = repr(level * random.uniform(9, 11))
                made.append(run)
    return made


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent / "target/release/sharpness")
    table = HERE / "fig8" / "runs.csv"
    check(program, table)
    rows = read_rows(table)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for paired in (True, False):
            made = pathlib.Path(folder) / ("paired.csv" if paired else "not-paired.csv")
            with open(made, "w", newline="") as file:
                writer = csv.DictWriter(file, [*rows[0], "measurement.trace.value", "measurement.parameter_norm"])
                writer.writeheader()
                writer.writerows(synthetic(rows, paired, random))
            check(program, made)


if __name__ == "__main__":
    main()
