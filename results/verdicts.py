"""Judge every finding of crates/study/src/claims/findings.toml by a table of runs, with numpy alone, and compare each effect, interval and
verdict with `sharpness claims`.

    python3 results/verdicts.py PROGRAM TABLE...

It shares nothing with the program but the definitions of the findings. The tables must be of one protocol: of the settings, only those
in `KEYS` may differ.
"""

import itertools
import json
import math
import pathlib
import subprocess
import sys
import tomllib

import numpy as np

from check import TOLERANCE, read_rows, t_quantile

FINDINGS = pathlib.Path(__file__).parent.parent / "crates/study/src/claims/findings.toml"
# The settings that may differ, with the values of empty cells.
KEYS = {
    "data.name": None,
    "data.train_examples": "all",
    "model.arch": None,
    "model.activation": None,
    "model.width_divisor": "1",
    "model.dropout": "0",
    "training.learning_rate": None,
    "training.batch_size": None,
    "training.sam.rho": "0",
    "measure.between_iterates": "false",
}
RATIO = "batch_size / learning_rate"
ALPHA, FEWEST = 0.05, 3


def plain(text):
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def cells_of(rows, keys):
    """A list of settings, each with {seed: run}; trainings that missed their target are left out."""
    cells = {}
    for row in rows:
        if row["training.outcome"] != "converged":
            continue
        settings = {key: plain(row.get("config." + key) or default) for key, default in KEYS.items() if key in keys}
        examples = float(row["training.train_examples"])
        share = settings["training.batch_size"] / examples
        settings["regime"] = "small" if share <= 0.01 else "large" if share >= 0.02 else None
        settings[RATIO] = float(f"{settings['training.batch_size'] / settings['training.learning_rate']:.6e}")
        cell = cells.setdefault(json.dumps(settings, sort_keys=True), (settings, {}))
        # A second run of a seed is the same training, and adds what it measured on the way.
        cell[1].setdefault(int(row["config.seed"]), {}).update(outcomes(row))
    return list(cells.values())


def outcomes(row):
    run = {"test_accuracy": 100 * float(row["training.test_accuracy"])}
    between = row.get("measurement.between_iterates.maximum")
    value = between or row["measurement.lambda_max.value"]
    points = json.loads(row.get("measurement.between_iterates.points") or "[]")
    if value and row["measurement.lambda_max.converged"] == "true" and all(p.get("converged", True) for p in points):
        run["lambda_max"] = math.log10(float(value))
    curve = [(p["step"], p["value"]) for p in json.loads(row.get("training.lambda_max") or "[]")]
    for quarter in range(4) if curve else ():
        low, high = (curve[-1][0] * (quarter + i) / 4 for i in (0, 1))
        within = [math.log10(value) for step, value in curve if low < step <= high and value > 0]
        if within:
            run[f"lambda_max_in_quarter{quarter + 1}"] = float(np.mean(within))
    return run


def allows(wanted, settings):
    for key, rule in wanted.items():
        value = settings[key]
        if isinstance(rule, dict):
            tests = {"above": value.__gt__, "below": value.__lt__, "from": value.__ge__, "to": value.__le__}
            if not all(tests[name](float(bound)) for name, bound in rule.items()):
                return False
        elif value not in (rule if isinstance(rule, list) else [rule]):
            return False
    return True


def grouped(cells, keys):
    groups = {}
    for cell in cells:
        groups.setdefault(tuple(cell[0][key] for key in keys), []).append(cell)
    return [groups[key] for key in sorted(groups, key=lambda key: tuple(map(str, key)))]


def abscissas(cells, rule):
    per = rule.get("per")
    found = [(cell, cell[0][rule["x"]]) for cell in cells]
    return [(cell, x / per if per else math.log10(x)) for cell, x in found if per or x > 0]


def slope(groups):
    terms, squares = [], 0.0
    for points in filter(None, groups):
        mean = np.mean([x for _, x in points])
        terms += [(cell, x - mean) for cell, x in points]
        squares += sum((x - mean) ** 2 for _, x in points)
    return [(cell, c / squares) for cell, c in terms] if squares > 1e-12 else None


def contrasts(name, rule, cells, y):
    """Lists of terms (cell, c), and what is subtracted from their sum."""
    has = lambda cell, key=y: any(key in run for run in cell[1].values())
    if name == "slope":
        groups = [abscissas(group, rule) for group in grouped(cells, rule.get("within", []))]
        values = {round(x, 9) for points in groups for _, x in points}
        terms = slope(groups) if len(values) >= rule.get("settings", 2) else None
        return [(terms, 0.0)] if terms else []
    if name == "contrast":
        pairs = [[[c for c in group if allows(rule[side], c[0])] for side in ("of", "minus")] for group in grouped(cells, rule.get("at", []))]
        pairs = [(of, minus) for of, minus in pairs if of and minus]
        terms = [(c, sign / len(side) / len(pairs)) for pair in pairs for side, sign in zip(pair, (1, -1)) for c in side]
        return [(terms, 0.0)] if terms else []
    if name == "equivalence":
        by_rate = lambda group: sorted(group, key=lambda cell: cell[0]["training.learning_rate"])
        pairs = [pair for group in grouped(cells, rule.get("within", [])) for pair in itertools.combinations(by_rate(group), 2)]
        return [([(b, 1.0), (a, -1.0)], 0.0) for a, b in pairs]
    if name == "ratio_to_edge":
        return [([(cell, 1.0)], math.log10(2 / cell[0]["training.learning_rate"])) for cell in cells]
    if name == "slope_change":
        lines = [abscissas(group, rule) for group in sorted(grouped(cells, [rule["across"]]), key=lambda g: g[0][0][rule["across"]])]
        common = set.intersection(*({round(x, 6) for _, x in line} for line in lines)) if lines else set()
        lines = [slope([[(cell, x) for cell, x in line if round(x, 6) in common]]) for line in lines]
        if None in lines or len(lines) < max(2, rule.get("settings", 2)):
            return []
        pairs = zip(lines, lines[1:]) if rule.get("stepwise") else [(lines[0], lines[-1])]
        return [(b + [(cell, -c) for cell, c in a], 0.0) for a, b in pairs]
    level = lambda cell: np.mean([run["lambda_max"] for run in cell[1].values() if "lambda_max" in run])
    sides = [[c for c in cells if allows(rule[side], c[0]) and has(c) and has(c, "lambda_max")] for side in ("of", "minus")]
    pairs = [(a, b) for a, b in itertools.product(*sides) if abs(level(a) - level(b)) <= math.log10(rule["factor"])]
    sums = {}
    for cell, c in ((cell, sign / len(pairs)) for pair in pairs for cell, sign in zip(pair, (1, -1))):
        sums[id(cell)] = (cell, sums.get(id(cell), (cell, 0.0))[1] + c)
    return [(list(sums.values()), 0.0)] if sums else []


def estimate(terms, y):
    """The sum, its error, the degrees of freedom and the seeds; none if a cell lacks the outcome."""
    terms = [(cell, c) for cell, c in terms if c]
    values = [{seed: run[y] for seed, run in cell[1].items() if y in run} for cell, _ in terms]
    if not all(values):
        return None
    seeds = sorted(set.intersection(*map(set, values)))
    if len(seeds) >= FEWEST:
        within = np.array([sum(c * v[seed] for v, (_, c) in zip(values, terms)) for seed in seeds])
        return within.mean(), within.std(ddof=1) / math.sqrt(len(seeds)), len(seeds) - 1, len(seeds)
    mean = sum(c * np.mean(list(v.values())) for v, (_, c) in zip(values, terms))
    fewest = min(map(len, values))
    if fewest < 2:
        return mean, None, None, fewest
    parts = [(c**2 * np.var(list(v.values()), ddof=1) / len(v), len(v) - 1) for v, (_, c) in zip(values, terms)]
    total = sum(part for part, _ in parts)
    return mean, math.sqrt(total), total**2 / sum(part**2 / freedom for part, freedom in parts), fewest


def judge(found, bounds, need, count):
    """The interval of one of `count` numbers, and whether it holds (True), does not (False) or is open (None)."""
    value, error, freedom, seeds = found
    interval = lambda alpha: [value + sign * error * t_quantile(freedom, 1 - alpha / 2) for sign in (-1, 1)]
    if not error:
        return None, None
    inside, outside = {"all": (ALPHA, ALPHA / count), "most": (ALPHA, ALPHA), "any": (ALPHA / count, ALPHA)}[need]
    low, high = interval(inside)
    if seeds >= FEWEST and low > bounds[0] and high < bounds[1]:
        return interval(ALPHA), True
    low, high = interval(outside)
    return interval(ALPHA), False if seeds >= FEWEST and (high < bounds[0] or low > bounds[1]) else None


def bounds_of(condition):
    is_log = condition["y"] != "test_accuracy"
    margin = condition.get("margin")
    low, high = condition.get("above", -math.inf), condition.get("below", math.inf)
    if margin is not None:
        low, high = (1 / margin, margin) if is_log else (-margin, margin)
    return tuple((math.log10(max(0, x)) if x > 0 else -math.inf) if is_log else x for x in (low, high))


def together(verdicts, need):
    held, refuted = verdicts.count(True), verdicts.count(False)
    if need == "all":
        return False if refuted else True if verdicts and held == len(verdicts) else None
    if need == "most":
        return True if 2 * held > len(verdicts) else False if verdicts and 2 * refuted >= len(verdicts) else None
    return True if held else False if verdicts and refuted == len(verdicts) else None


def effects_of(condition, cells):
    (name, rule), = condition["statistic"].items()
    y = condition["y"]
    sums = [sum_ for group in grouped(cells, condition.get("each", [])) for sum_ in contrasts(name, rule, group, y)]
    found = [(estimate(terms, y), offset) for terms, offset in sums]
    found = [(value - offset, *rest) for (value, *rest), offset in (pair for pair in found if pair[0])]
    need = condition.get("need", "all")
    return [(one[0], *judge(one, bounds_of(condition), need, max(1, len(sums)))) for one in found]


def condition_of(condition, cells):
    seeds = lambda cell: sum(condition["y"] in run for run in cell[1].values())
    chosen = [cell for cell in cells if allows(condition.get("where", {}), cell[0]) and seeds(cell)]
    # Settings with few seeds are left out, unless there are no others.
    effects = effects_of(condition, [cell for cell in chosen if seeds(cell) >= FEWEST]) or effects_of(condition, chosen)
    return effects, together([verdict for _, _, verdict in effects], condition.get("need", "all"))


def word(verdict):
    return {"holds": True, "does-not-hold": False}.get(verdict if isinstance(verdict, str) else "open")


def compare(name, own, said):
    if own is None and said is None:
        return
    if own is None or said is None or abs(own - said) > TOLERANCE * max(1, abs(own)):
        sys.exit(f"{name}: {own} by numpy, {said} by sharpness")


def uses_lambda_max(finding):
    return any(condition["y"] != "test_accuracy" or "matched_pairs" in condition["statistic"] for condition in finding["condition"])


def check(finding, rows, judgements):
    """Compares each group of comparable runs. Returns how many numbers agree."""
    # However a training was measured, its accuracy counts once.
    keys = [key for key in KEYS if not key.startswith("measure.") or uses_lambda_max(finding)]
    cells = cells_of(rows, keys)
    is_about = lambda settings: any(allows(filter, settings) for filter in finding["runs"])
    own = [cell for cell in cells if is_about(cell[0])]
    groups = grouped(own, [key for key in keys if key not in finding["varies"]])
    if len(groups) != len(judgements):
        sys.exit(f"{finding['section']}: {len(groups)} groups by numpy, {len(judgements)} by sharpness")
    scaled = lambda y, x: x if y == "test_accuracy" else 10**x
    numbers, matched = 0, []
    for cells in groups:
        computed = [(c["y"], *condition_of(c, cells)) for c in finding["condition"]]
        name = str(cells[0][0]["data.train_examples"])
        same = [j for j in judgements if str(j["settings"].get("data.train_examples", "all")) == name and j not in matched]
        matched.append(same[0])
        for place, (condition, (y, effects, verdict)) in enumerate(zip(same[0]["conditions"], computed)):
            where = f"{finding['section']} ({same[0]['runs']}), condition {place + 1}"
            said = sorted(condition["effects"], key=lambda effect: effect["value"])
            if len(said) != len(effects):
                sys.exit(f"{where}: {len(effects)} effects by numpy, {len(said)} by sharpness")
            for effect, (value, interval, holds) in zip(said, sorted(effects, key=lambda effect: effect[0])):
                compare(where, scaled(y, value), effect["value"])
                for a, b in zip(interval or (), effect["interval"] or ()):
                    compare(f"{where}: interval", scaled(y, a), b)
                if holds is not word(effect["verdict"]):
                    sys.exit(f"{where}: {holds} by numpy, {effect['verdict']} by sharpness")
                numbers += 3
            if verdict is not word(condition["verdict"]):
                sys.exit(f"{where}: {verdict} by numpy, {condition['verdict']} by sharpness")
        if together([verdict for _, _, verdict in computed], "all") is not word(same[0]["verdict"]):
            sys.exit(f"{finding['section']}: another verdict than {same[0]['verdict']}")
    return numbers


def main(program, tables):
    rows = [row for table in tables for row in read_rows(table)]
    arguments = [argument for table in tables for argument in ("--table", table)]
    claims = json.loads(subprocess.run([program, "claims", *arguments, "--json"], check=True, capture_output=True).stdout)
    said = {finding["section"]: finding["runs"] for finding in claims["findings"]}
    findings = tomllib.loads(FINDINGS.read_text())["finding"]
    numbers = sum(check(finding, rows, said[finding["section"]]) for finding in findings)
    verdicts = sum(len(runs) for runs in said.values())
    print(f"{len(rows)} runs: {verdicts} verdicts and {numbers} numbers agree to {TOLERANCE}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
