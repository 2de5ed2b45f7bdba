"""Write results/README.md: results/page.md, with every number that stands between double braces computed from the committed tables.

    python3 results/page.py [--check] [PROGRAM]

With --check, write nothing and fail if the page, a figure or a verdict is not what the tables say. PROGRAM is
target/release/sharpness if unset. An expression between braces is Python and sees the names of `Page`.
"""

import csv
import difflib
import functools
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
# The folders with runs of the recipes of the same name, and the figures that are drawn from their tables.
FIGURES = {"desk": (1, 2, 3, 4, 5, 7, 10)}


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    return float(text) if text not in ("", None) else None


def digits(value, error):
    """A value and its error, with two digits of the error."""
    if not error:
        return f"{value:.4g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def mean_and_deviation(values):
    """The mean of some numbers and their standard deviation; of one number, none."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1)) if len(values) > 1 else None
    return mean, deviation


def spread(values):
    """The mean of some numbers, with their standard deviation."""
    return digits(*mean_and_deviation(values)) if values else "–"


def spread_of_logarithms(values):
    """The geometric mean of some numbers, with the standard deviation of their logarithms times it, as figures show λ_max."""
    if not values:
        return "–"
    logarithm, deviation = mean_and_deviation([math.log(value) for value in values])
    return digits(math.exp(logarithm), math.exp(logarithm) * (deviation or 0))


def interval(effect):
    """An effect with its interval; factors and points of accuracy as `sharpness claims` prints them."""
    if effect is None:
        return "–"
    is_factor = effect["outcome"] != "test_accuracy"
    form = (lambda x: f"{x:.3g}") if is_factor else (lambda x: f"{x:+.2f}")
    value = ("×" if is_factor else "") + form(effect["value"])
    unit = effect["unit"] if is_factor else " points" + effect["unit"]
    low, high = effect.get("interval") or (None, None)
    bounds = "" if low is None else f" [{form(low)}, {form(high)}]"
    return value + bounds + unit


def located(effect):
    """An effect with its interval, and the settings of which it is one, unless they are many."""
    place = effect["place"] if effect else ""
    return interval(effect) + (f" ({place})" if place and ":" not in place else "")


def word(verdict):
    """A verdict in words, with the power that is missing."""
    if isinstance(verdict, str):
        return verdict.replace("-", " ")
    (name, details), = verdict.items()
    seeds = (details or {}).get("more_seeds")
    text = name.replace("-", " ")
    return f"{text} ({seeds} more seed{'s' if seeds > 1 else ''} would do)" if seeds else text


def deciding(judgement):
    """The effect that decides: that of the first condition with the judgement's own verdict, or of the first with any effect."""
    conditions = judgement["conditions"]
    for condition in sorted(conditions, key=lambda c: c["verdict"] != judgement["verdict"]):
        effects = condition["effects"]
        chosen = [e for e in effects if e["verdict"] == condition["verdict"]] or effects
        if chosen:
            return {**chosen[0], "outcome": condition["outcome"], "unit": condition["unit"]}
    return None


def effect_of(condition, place=None):
    """The effect of a condition at a place, or the first."""
    effects = [effect for effect in condition["effects"] if place is None or effect["place"] == place]
    return interval({**effects[0], "outcome": condition["outcome"], "unit": condition["unit"]} if effects else None)


def picture(name, folder):
    """The name of a figure, linked to its picture from the runs of a folder if there is one."""
    path = f"{folder}/fig{name.rstrip('ab')}.png"
    return f"[{name}]({path})" if folder and (HERE / path).exists() else name


def linked(section):
    """A section of the paper, linked to the heading of page.md that begins with its number."""
    number = re.match(r"[A3]\.\d", section)[0]
    headings = re.findall(r"^## (.+)$", (HERE / "page.md").read_text(), re.MULTILINE)
    [heading] = [text for text in headings if covers(text.split(), number)]
    return f"[{section}](#{re.sub(r'[^a-z0-9 -]', '', heading.lower()).replace(' ', '-')})"


def covers(words, number):
    """Whether a heading such as `A.2 to A.4 Fixup` is about a section."""
    last = words[2] if len(words) > 2 and words[1] == "to" else words[0]
    return words[0] <= number <= last


def judged(folder):
    """The arguments of `sharpness claims` for the runs of a folder, which may have findings of its own."""
    own = HERE / folder / "findings.toml"
    return ["--table", HERE / folder / "runs.csv", *(["--findings", own] if own.exists() else [])]


class Page:
    """What the expressions of page.md may use."""

    def __init__(self, program):
        self.program = program

    def run(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            sys.exit(f"`sharpness {' '.join(map(str, arguments))}` failed: {done.stderr.strip()}")
        return done.stdout

    @functools.cache
    def claims(self, folder):
        return json.loads(self.run("claims", *judged(folder), "--json"))

    @functools.cache
    def table(self, folder):
        return read(HERE / folder / "runs.csv")

    def runs(self, folder):
        return len(self.table(folder))

    def hours(self, folder):
        """Hours of training and measuring, each run on one core. A run that took over a training has its seconds."""
        columns = ("training.seconds", "measurement.seconds")
        seconds = {(column, number(row.get(column)) or 0) for row in self.table(folder) for column in columns}
        return f"{sum(taken for _, taken in seconds) / 3600:.1f}"

    def verdicts(self, *folders):
        """One row for each finding and folder with runs that say something of it."""
        lines = ["| finding | | figures | runs | ours | the paper's | verdict on ours | on theirs |", "|" + " --- |" * 8]
        for place, finding in enumerate(self.claims(folders[0])["findings"]):
            found = [(folder, group) for folder in folders for group in self.claims(folder)["findings"][place]["runs"] if deciding(group)]
            theirs = finding["published"]
            for folder, group in found or [(None, None)]:
                link, ours = (f"[{folder}]({folder}/)", word(group["verdict"])) if folder else ("–", "settings missing")
                effects = [located(group and deciding(group)), located(deciding(theirs))]
                figures = ", ".join(picture(name, folder) for name in finding["figures"])
                cells = [linked(finding["section"]), finding["sentence"], figures, link, *effects, ours, word(theirs["verdict"])]
                lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def progress(self, folder):
        """Of the recipes of a folder, one row for each figure: the runs, those that are done, and the settings that can decide."""
        known = {row["id"] for row in self.table(folder)}
        lines = ["| figure | runs of the recipe | done | settings | with three seeds or more |", "|" + " --- |" * 5]
        for number in range(1, 16):
            [recipe] = recipes(folder, [number])
            planned = json.loads(self.run("sweep", recipe, "--dry-run", "--json", "--store", HERE / "no-store"))
            cells = {}
            for run in planned:
                settings = {key: value for key, value in run["settings"].items() if key != "seed"}
                cells.setdefault((run["block"], json.dumps(settings)), []).append(run["id"] in known)
            done = sum(map(sum, cells.values()))
            row = [picture(str(number), folder), len(planned), done, len(cells), sum(sum(seeds) >= 3 for seeds in cells.values())]
            lines.append(f"| {' | '.join(map(str, row))} |")
        return "\n".join(lines)

    def settings(self, folder, **columns):
        """Means over the seeds of each setting of a table, geometric for λ_max; `columns` gives heads and the names of settings."""
        cells = {}
        for row in self.table(folder):
            cells.setdefault(tuple(row["config." + name] for name in columns.values()), []).append(row)
        heads = [*columns, "seeds", "test accuracy", "λ_max", "epochs"]
        lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
        for key in sorted(cells, key=lambda key: [float(text or "inf") for text in key]):
            rows = sorted(cells[key], key=lambda row: int(row["config.seed"]))
            accuracies, sharpness = ([float(row[name]) for row in rows if row[name]] for name in ("training.test_accuracy", "measurement.lambda_max.value"))
            results = [spread(accuracies), spread_of_logarithms(sharpness)]
            epochs = ", ".join(row["training.epochs"] for row in rows)
            ended = "" if all(row["training.outcome"] == "converged" for row in rows) else f" ({rows[0]['training.outcome']})"
            lines.append(f"| {' | '.join([*(text or 'all' for text in key), str(len(rows)), *results, epochs + ended])} |")
        return "\n".join(lines)

    def subsets(self, folder, name, *axes):
        """λ_max on several numbers of examples: one row for each run that was measured on them."""
        rows = read(HERE / folder / f"{name}-examples.csv")
        sizes = sorted({int(row["examples"]) for row in rows})
        runs = {row.get("training_id") or row["id"]: row for row in self.table(folder)}
        found = {}
        for row in rows:
            found.setdefault(row["run"], {})[int(row["examples"])] = digits(float(row["lambda_max"]), number(row["lambda_max_deviation"]))
        keys = {run: tuple(float(runs[run]["config." + axis]) for axis in axes) for run in found}
        heads = [*(axis.rsplit(".", 1)[-1].replace("_", " ") for axis in axes), *(f"{size:,} examples" for size in sizes)]
        lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
        for run in sorted(found, key=keys.get):
            lines.append(f"| {' | '.join([*(f'{x:g}' for x in keys[run]), *(found[run].get(size, '–') for size in sizes)])} |")
        return "\n".join(lines)

    def subset(self, folder, name, examples, **settings):
        """λ_max of the one run with these settings that was measured on so many examples: a mean over disjoint subsets, or all."""
        runs = {row["training_id"]: row for row in self.table(folder)}
        matches = lambda row: all(float(row["config.training." + key]) == value for key, value in settings.items())
        rows = read(HERE / folder / f"{name}-examples.csv")
        [found] = [row for row in rows if int(row["examples"]) == examples and matches(runs[row["run"]])]
        return digits(float(found["lambda_max"]), number(found["lambda_max_deviation"]))

    def tau(self, folder, network, predictor, target="test_error"):
        """Kendall's τ of a predictor with its interval."""
        same = lambda p: (p["network"], p["predictor"], p["target"]) == (network, predictor, target)
        found = next(p for p in self.claims(folder)["predictions"] if same(p))
        low, high = found["interval"]
        return f"{found['kendall_tau']:.2f} [{low:.2f}, {high:.2f}]"

    def effect(self, section, condition, folder, place=None):
        """The effect of a condition, by its place in the finding, at a place such as batch=100."""
        return effect_of(self.finding(section, folder)["runs"][0]["conditions"][condition], place)

    def theirs(self, section, condition=None, place=None):
        """The effect of a condition by the paper's own numbers, at a place or the first, or the one that decides."""
        published = self.finding(section, "fig8")["published"]
        return interval(deciding(published)) if condition is None else effect_of(published["conditions"][condition], place)

    def finding(self, section, folder):
        return next(f for f in self.claims(folder)["findings"] if f["section"] == section)

    @functools.cache
    def figure(self, folder, name):
        return read(HERE / folder / f"{name}.csv")

    def mean(self, folder, name, line, x, column="test_accuracy", source="runs"):
        rows = [r for r in self.figure(folder, name) if (r["line"], r["source"], float(r["x"])) == (line, source, x)]
        return digits(float(rows[0][column]), number(rows[0][column + "_deviation"]))

    def points(self, folder, name, axis="η"):
        """Our means beside the published ones, with the difference in standard errors."""
        rows = self.figure(folder, name)
        key = lambda row: (row["panel"], row["line"], float(row["x"]))
        theirs = {key(row): row for row in rows if row["source"] == "published"}
        lines = [
            f"| runs | {axis} | seeds | test accuracy | published | differ by | λ_max | published | differ by |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for row in (row for row in rows if row["source"] == "runs"):
            other = theirs.get(key(row))
            cells = [row["line"], f"{float(row['x']):g}", row["runs"]]
            for column in ("test_accuracy", "lambda_max"):
                cells += compared(row, other, column)
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def clouds(self, folder, name):
        """The means of the runs of each block of a scatter plot, geometric for λ_max, beside those of the published runs."""
        lines = [
            "| runs | seeds | test accuracy | published | differ by | λ_max | published | differ by |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for line in dict.fromkeys(row["line"] for row in self.figure(folder, name)):
            ours, theirs = (self.cloud(folder, name, line, source) for source in ("runs", "published"))
            if ours:
                cells = compared(ours, theirs, "test_accuracy") + compared(ours, theirs, "lambda_max")
                lines.append(f"| {' | '.join([line, str(ours['runs']), *cells])} |")
        return "\n".join(lines)

    def cloud(self, folder, name, line, source):
        """The means and deviations of the runs of a block, in the form of a row of a figure over settings."""
        rows = [row for row in self.figure(folder, name) if (row["line"], row["source"]) == (line, source)]
        if not rows:
            return None
        accuracy, accuracy_deviation = mean_and_deviation([float(row["test_accuracy"]) for row in rows])
        logarithm, deviation = mean_and_deviation([math.log(float(row["lambda_max"])) for row in rows])
        sharpness = math.exp(logarithm)
        return {
            "runs": len(rows),
            "test_accuracy": accuracy,
            "test_accuracy_deviation": accuracy_deviation,
            "lambda_max": sharpness,
            "lambda_max_deviation": deviation and sharpness * deviation,
        }

    def close(self, folder, name, column, most):
        """How many of our means differ from the published ones by at most so many standard errors."""
        rows = self.figure(folder, name)
        key = lambda row: (row["panel"], row["line"], float(row["x"]))
        theirs = {key(row): row for row in rows if row["source"] == "published"}
        ours = [row for row in rows if row["source"] == "runs" and key(row) in theirs]
        differences = [compared(row, theirs[key(row)], column)[2] for row in ours]
        return f"{sum(abs(float(text)) <= most for text in differences if text != '–')} of {len(differences)}"


def points_of_runs(page, folder, numbers):
    """Every run of the figures of a folder, with the command that repeats it."""
    known = {row["id"]: row for row in page.table(folder)}
    text = [f"# The runs of {folder}/", "", "`sharpness runs export` prints the numbers of a repeated run. They are those of"]
    text += ["[runs.csv](runs.csv) to the last bit on the same instruction set (column `provenance.instruction_set`).", ""]
    for recipe in recipes(folder, numbers):
        planned = json.loads(page.run("sweep", recipe, "--dry-run", "--json", "--store", HERE / "no-store"))
        done = [(run, known[run["id"]]) for run in planned if run["id"] in known]
        text += [f"## {recipe.stem}", "", "| runs | settings | test accuracy | λ_max | epochs | command |", "| --- | --- | --- | --- | --- | --- |"]
        for run, row in done:
            settings = ", ".join(f"{key.rsplit('.', 1)[-1]} {value}" for key, value in run["settings"].items())
            cells = [run["block"], settings, row["training.test_accuracy"], row["measurement.lambda_max.value"], row["training.epochs"]]
            command = f"`sharpness sweep recipes/{folder}/{recipe.name} --only {run['id']}`"
            text.append(f"| {' | '.join([*cells, command])} |")
        text.append("")
    return "\n".join(text).encode()


def recipes(folder, numbers):
    return [ROOT / "recipes" / folder / f"fig{number}.toml" for number in numbers]


def compared(row, other, column):
    """A mean, the published one, and their difference in standard errors: of logarithms for λ_max."""
    mean, deviation = number(row[column]), number(row[column + "_deviation"])
    cells = [digits(mean, deviation)]
    if other is None:
        return cells + ["–", "–"]
    theirs, spread = number(other[column]), number(other[column + "_deviation"])
    cells.append(digits(theirs, spread))
    if not deviation or not spread:
        return cells + ["–"]
    if column == "lambda_max":
        difference, deviation, spread = math.log(mean / theirs), deviation / mean, spread / theirs
    else:
        difference = mean - theirs
    error = math.sqrt(deviation**2 / int(row["runs"]) + spread**2 / int(other["runs"]))
    return cells + [f"{difference / error:+.1f}"]


def render(page):
    names = {name: getattr(page, name) for name in dir(page) if not name.startswith("_")}
    template = (HERE / "page.md").read_text()
    text = re.sub(r"\{\{(.+?)\}\}", lambda match: str(eval(match[1].strip(), {}, names)), template)
    head = "<!-- Written by `cargo xtask results` from page.md and the tables; edit page.md. -->\n\n"
    return head + text


def derived(page):
    """The files that follow from the tables and their content, each after those that it is computed from."""
    for folder, numbers in FIGURES.items():
        table = HERE / folder / "runs.csv"
        with tempfile.TemporaryDirectory() as out:
            for recipe in recipes(folder, numbers):
                figure = json.loads(page.run("figure", recipe, "--table", table, "--out", out, "--json"))
                for file in map(pathlib.Path, figure["files"]):
                    yield HERE / folder / file.name, file.read_bytes()
        yield HERE / folder / "points.md", points_of_runs(page, folder, numbers)
    for table in sorted(HERE.glob("*/runs.csv")):
        yield table.with_name("claims.txt"), page.run("claims", *judged(table.parent.name), "--details").encode()
    yield HERE / "claims-published.txt", page.run("claims", "--published", "--details").encode()
    yield HERE / "README.md", render(page).encode()


def main(arguments):
    is_check = "--check" in arguments
    programs = [argument for argument in arguments if argument != "--check"]
    page = Page(programs[0] if programs else ROOT / "target/release/sharpness")
    stale = 0
    for path, content in derived(page):
        known = path.read_bytes() if path.exists() else b""
        if known == content:
            continue
        if is_check:
            stale += 1
            print(f"{path.relative_to(ROOT)} is not what the tables say; `cargo xtask results` rewrites it")
            if path.suffix in (".md", ".txt", ".csv"):
                lines = [text.decode(errors="replace").splitlines() for text in (known, content)]
                print("\n".join(list(difflib.unified_diff(*lines, "committed", "computed", lineterm="", n=0))[:20]))
        else:
            path.write_bytes(content)
            print(path.relative_to(ROOT))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
