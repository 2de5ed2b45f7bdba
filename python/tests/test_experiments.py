"""The command line from Python: results, settings, errors, and Ctrl-C."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sharpness
from sharpness._errors import Interrupted, InvalidInputError, SharpnessError
from sharpness._experiments import progress, settings
from sharpness._experiments.settings import flags

#: A training of a second on the digits, measured on few examples.
SMALL: dict[str, Any] = {
    "arch": "mlp",
    "dataset": "digits",
    "hidden": [16],
    "max_epochs": 2,
    "examples": 100,
    "rtol": 0.1,
    "threads": 1,
}

RECIPE = """
seeds = [0, 1]
title = "Steps"
fixed = { arch = "mlp", data.name = "digits", hidden = [16], target_accuracy = 0.3, examples = 50 }
figure = { kind = "lines" }
"""


def command_line(*arguments: str, code: int = 0) -> Any:
    """Return the JSON document of a command, run as a user runs it."""
    command = [sys.executable, "-m", "sharpness", *arguments, "--json"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    return json.loads(ended.stdout)


def without_times(document: Any) -> Any:
    """Return a document without what differs from one process to another."""
    if isinstance(document, dict):
        varying = {"seconds", "costs", "peak_bytes", "memory"}
        return {name: without_times(value) for name, value in document.items() if name not in varying}
    return document


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, sharpness.Runs]:
    """Return a recipe and its two runs."""
    directory = tmp_path_factory.mktemp("sweep")
    recipe = directory / "steps.toml"
    recipe.write_text(RECIPE)
    return recipe, sharpness.sweep(recipe, store=directory / "store", threads=1)


def test_a_training_is_that_of_the_command_line(tmp_path: Path) -> None:
    run = sharpness.train(**SMALL, out=tmp_path / "run", trace=True)
    shown = command_line("train", *flags(SMALL), "--trace", code=4)
    assert without_times(run.to_dict()) == without_times(shown)
    assert run.outcome == "max-epochs" and not run.converged
    assert run.directory == tmp_path / "run"
    found = run.lambda_max
    assert found is not None and run.measurement is not None
    assert found.lower <= found.value <= found.upper and found.converged and found.products > 0
    assert float(found) == found.value == shown["measurement"]["lambda_max"]["value"]
    assert run.measurement.trace.standard_error > 0
    assert run.config.training.batch_size == 100


def test_a_kept_run_is_measured_again(tmp_path: Path) -> None:
    run = sharpness.train(**SMALL, out=tmp_path / "run")
    measured = sharpness.measure(run, top_k=2)
    assert measured.lambda_max.value == pytest.approx(float(run.lambda_max or 0), rel=0.1)
    assert len(measured.top) == 2 and measured.converged
    assert without_times(measured.to_dict()) == without_times(
        command_line("measure", f"--run={tmp_path / 'run'}", "--top-k=2")
    )
    unproved = sharpness.measure(tmp_path / "run", max_products=2, rtol=1e-9)
    assert not unproved.converged


def test_a_run_that_was_not_kept_cannot_be_measured_again() -> None:
    run = sharpness.train(**SMALL, no_measure=True)
    assert run.lambda_max is None and run.measurement is None
    with pytest.raises(ValueError, match="out=DIRECTORY"):
        sharpness.measure(run)


def test_a_diverged_run_is_a_result() -> None:
    run = sharpness.train(**SMALL | {"lr": 1e30})
    assert run.outcome == "diverged" and not run.converged and run.lambda_max is None
    assert "diverged" in repr(run)


def test_rescaled_layers_keep_the_function(tmp_path: Path) -> None:
    run = sharpness.train(**SMALL, out=tmp_path / "run")
    rescaled = sharpness.rescale(run, alpha=[0.5, 2])
    assert [point.alpha for point in rescaled.rescaled] == [0.5, 2.0]
    for point in rescaled.rescaled:
        assert point.test_accuracy == rescaled.original.test_accuracy
        assert point.lambda_max.value != rescaled.original.lambda_max.value


def test_a_landscape_and_an_interpolation_give_their_numbers_and_files(tmp_path: Path) -> None:
    runs = [sharpness.train(**SMALL, seed=seed, out=tmp_path / str(seed)) for seed in (0, 1)]
    found = sharpness.landscape(runs[0], dimensions=2, points=5, radius=0.1, out=tmp_path / "around")
    assert found.losses.shape == found.predictions.shape == (5, 5)
    assert found.losses[2, 2] == pytest.approx(found.quadratic.loss, rel=1e-6)
    assert found.losses[0, 4] == found.points[4].loss, "the second coordinate is that of the rows"
    assert {file.suffix for file in found.files} == {".csv", ".json", ".png", ".svg", ".html"}
    assert all(file.is_file() for file in found.files)
    assert "5 x 5 points" in repr(found) and "<img" in found._repr_html_()
    between = sharpness.interpolate(*runs, points=7, range=[0, 1], out=tmp_path / "between")
    losses = [point.train.loss for point in between.segment.points]
    excess = max(loss - (losses[0] + i / 6 * (losses[-1] - losses[0])) for i, loss in enumerate(losses))
    assert between.segment.train_barrier.value == pytest.approx(excess)
    assert "<img" in between._repr_html_() and "barrier" in repr(between)
    with pytest.raises(sharpness.InvalidInputError, match="around 0 and 1"):
        sharpness.interpolate(*runs, range=[0.2, 0.5], out=tmp_path / "between")


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"learnin-rate.*found") as caught:
        sharpness.train(arch="mlp", dataset="digits", learnin_rate=1)
    assert "Usage" not in str(caught.value)
    with pytest.raises(ValueError, match="must be a finite number above 0, got -1"):
        sharpness.train(arch="mlp", dataset="digits", lr=-1)
    with pytest.raises(InvalidInputError, match="name the network with --arch"):
        sharpness.train(dataset="digits")


def test_what_the_machine_does_not_allow_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SharpnessError, match="missing") as caught:
        sharpness.measure(tmp_path / "missing")
    assert not isinstance(caught.value, InvalidInputError)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not report the peak memory")
def test_the_bound_on_memory_counts_the_interpreter() -> None:
    with pytest.raises(InvalidInputError, match="--memory must be at least") as caught:
        sharpness.train(**SMALL, memory="1MiB")
    words = str(caught.value).split("at least ")[1]
    mib = int(words[: words.index("MiB")])
    run = sharpness.train(**SMALL, memory=f"{mib}MiB")
    assert run.peak_bytes <= mib * 2**20


def test_notes_are_warnings_at_the_place_of_the_call() -> None:
    with pytest.warns(sharpness.SharpnessWarning, match="measuring on all 1,442 training examples") as caught:
        sharpness.train(**SMALL | {"examples": None})
    assert caught[0].filename == __file__


def test_a_warning_that_is_an_error_ends_the_child() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", sharpness.SharpnessWarning)
        started = time.monotonic()
        with pytest.raises(sharpness.SharpnessWarning):
            sharpness.train(
                **SMALL | {"examples": None, "max_epochs": 10_000_000, "target_accuracy": 1, "lr": 1e-9}
            )
        assert time.monotonic() > started, "the call returns although the training would take days"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, ["--name"]),
        (np.True_, ["--name"]),
        (False, []),
        (None, []),
        (1e-05, ["--name=1e-05"]),
        (np.float64(0.1), ["--name=0.1"]),
        (np.int64(3), ["--name=3"]),
        ([64, 32], ["--name=64,32"]),
        (np.array([1, 2]), ["--name=1,2"]),
        ((0.5, "all"), ["--name=0.5,all"]),
        (range(3), ["--name=0,1,2"]),
        (Path("a b"), ["--name=a b"]),
        ("--evil", ["--name=--evil"]),
        (-1, ["--name=-1"]),
    ],
)
def test_settings_become_flags(value: object, expected: list[str]) -> None:
    assert flags({"name": value}) == expected


def test_repeated_flags_are_repeated() -> None:
    assert flags({"where": ["a=1", "b=2"], "batch_size": 3}) == [
        "--where=a=1",
        "--where=b=2",
        "--batch-size=3",
    ]


def test_runs_are_data_frames(swept: tuple[Path, sharpness.Runs]) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    _, made = swept
    runs = sharpness.runs(made.store)
    assert len(runs) == 2 and {run.id for run in runs} == {run.id for run in made}
    value = "measurement.lambda_max.value"
    expected = [float(run.lambda_max or 0) for run in made]
    frame, table = made.to_pandas(), made.to_polars()
    assert isinstance(frame, pandas.DataFrame) and isinstance(table, polars.DataFrame)
    assert frame["config.seed"].tolist() == table["config.seed"].to_list() == [0, 1]
    assert frame[value].tolist() == table[value].to_list() == made.to_arrow()[value].to_pylist() == expected
    assert frame["id"].tolist() == [run.id for run in made]
    assert list(frame.columns) == table.columns
    only = sharpness.runs(made.store, where="seed=1")
    assert [run.config.seed for run in only] == [1] and len(only.to_polars()) == 1
    assert [run["config"]["seed"] for run in only.to_dicts()] == [1]
    with pytest.raises(InvalidInputError, match="no_such_setting"):
        sharpness.runs(made.store, where=["no_such_setting=1"])


def test_a_sweep_lists_its_runs(swept: tuple[Path, sharpness.Runs]) -> None:
    _, made = swept
    assert [run.status for run in made.planned] == ["done", "done"]
    assert [run.id for run in made] == [run.id for run in made.planned]
    assert made[0].directory is not None and (made[0].directory / "weights.safetensors").is_file()
    assert sharpness.measure(made[1], max_products=3).examples == 50
    again = sharpness.sweep(RECIPE.replace("[0, 1]", "[0, 1, 2]"), store=made.store, dry_run=True)
    assert [run.status for run in again.planned] == ["done", "done", "to do"] and len(again) == 2


def test_a_recipe_is_a_path_text_or_a_dictionary(swept: tuple[Path, sharpness.Runs]) -> None:
    pytest.importorskip("tomli_w")
    recipe, made = swept
    fixed = {
        "arch": "mlp",
        "data.name": "digits",
        "hidden": [16],
        "target_accuracy": 0.3,
        "examples": 50,
    }
    dictionary = {"seeds": [0, 1], "title": "Steps", "fixed": fixed}
    for given in (recipe, str(recipe), RECIPE, dictionary):
        again = sharpness.sweep(given, store=made.store, dry_run=True)
        assert [run.id for run in again] == [run.id for run in made]


def test_a_dictionary_without_tomli_w_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    with pytest.raises(SharpnessError, match="pip install tomli_w"), settings.recipe_file({"seeds": [0]}):
        pass


@pytest.mark.parametrize(
    ("name", "method"), [("pandas", "to_pandas"), ("polars", "to_polars"), ("pyarrow", "to_arrow")]
)
def test_a_frame_without_its_package_says_what_to_install(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SharpnessError, match=f"pip install {name}"):
        getattr(sharpness.Runs([], Path("runs")), method)()


def test_a_failed_run_raises_and_the_others_are_kept(tmp_path: Path) -> None:
    if any(found.place for found in sharpness.data() if found.name == "mnist"):
        pytest.skip("MNIST is on this machine")
    recipe = RECIPE.replace('data.name = "digits", ', "").replace("[0, 1]", "[0]")
    recipe += 'grid = { data.name = ["mnist", "digits"] }\n'
    expected = r"only 1 of 2 runs are done\n.*'mnist' was not found"
    with (
        pytest.raises(sharpness.FailedRunsError, match=expected) as caught,
        pytest.warns(sharpness.SharpnessWarning, match="'mnist' was not found"),
    ):
        sharpness.sweep(recipe, store=tmp_path / "store")
    assert [run.status for run in caught.value.runs.planned] == ["to do", "done"]
    assert [run.config.data.name for run in caught.value.runs] == ["digits"]


def test_the_findings_of_the_paper_are_judged(swept: tuple[Path, sharpness.Runs]) -> None:
    claims = sharpness.claims(published=True)
    assert claims.to_dict() == command_line("claims", "--published")
    assert claims[0].published.verdict == "holds"
    verdicts = claims.verdicts()
    assert {"section": claims[0].section, "runs": "published"}.items() <= verdicts[0].items()
    frame = pytest.importorskip("pandas").DataFrame(verdicts)
    assert claims.to_pandas().equals(frame)
    of_store = sharpness.claims(store=swept[1].store)
    assert len(of_store) == len(claims) and of_store[0].missing is not None


def test_a_figure_shows_its_picture(tmp_path: Path, swept: tuple[Path, sharpness.Runs]) -> None:
    recipe, made = swept
    figure = sharpness.figure(recipe, store=made.store, out=tmp_path)
    assert sorted(file.suffix for file in figure.files) == [".csv", ".png", ".svg", ".txt"]
    assert all(file.is_file() for file in figure.files)
    assert figure.lines[0].points[0].lambda_max.runs == figure.runs_done == 2
    html = figure._repr_html_()
    assert '<img src="data:image/svg+xml;base64,' in html and "Steps. 2 of 2 runs" in html
    page = sharpness.report(recipe, store=made.store, out=tmp_path / "page.html")
    assert page.file.is_file() and page.runs == 2


def test_networks_data_sets_and_times_are_told() -> None:
    network = sharpness.info("mlp", dataset="digits", hidden=[16])
    assert network.parameters == 64 * 16 + 16 + 16 * 10 + 10
    assert {found.name: found.place for found in sharpness.data()}["digits"] == "in the program"
    (checked,) = sharpness.data("check", "digits")
    assert checked.train_examples == 1442
    shown: dict[str, Any] = {
        "arch": "mlp",
        "dataset": "digits",
        "hidden": [4],
        "random": True,
        "examples": 20,
    }
    timed = sharpness.bench(**shown, only=["step", "hvp"], repetitions=1)
    assert [task.task for task in timed.tasks] == ["step", "hvp"]
    drawn = sharpness.reproduce("fig8", scale="smoke", dry_run=True)
    assert drawn[0].status in ("to do", "done")


def test_results_are_tables_in_a_notebook(swept: tuple[Path, sharpness.Runs]) -> None:
    _, made = swept
    value = f"{float(made[0].lambda_max or 0):.6g}"
    for shown in (made, made[0], made[0].measurement):
        html = shown._repr_html_() if shown is not None else ""
        assert html.startswith("<table>") and f"<td>{value} (residual " in html
    assert "<td>holds</td>" in sharpness.claims(published=True)._repr_html_()
    assert made[0].id in repr(made[0]) and value in repr(made[0])


def test_foreign_texts_are_escaped_in_a_notebook() -> None:
    record = sharpness.Record({"<b>": "<script>alert(1)</script>"})
    assert "<script>" not in record._repr_html_() and "<b>" not in record._repr_html_()


def test_a_record_is_a_mapping_that_survives_copies() -> None:
    record = sharpness.Record({"a": {"b": [{"c": 1}]}, "not a name": 2})
    assert record.a.b[0].c == record["a"]["b"][0]["c"] == 1 and record["not a name"] == 2
    with pytest.raises(AttributeError, match="has no field 'd'; there are a"):
        _ = record.d
    for again in (copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert again == record and again.a.b[0].c == 1


class _Bars:
    """Stands in for ``tqdm``: keeps what is shown."""

    shown: list[tuple[int, int | None, str]]

    def __init__(self) -> None:
        self.shown = []

    def __call__(self, *, total: int | None, **_: object) -> Any:
        bars = self

        class Bar:
            n = 0

            def __init__(self) -> None:
                self.total = total

            def set_description_str(self, message: str) -> None:
                bars.shown.append((self.n, self.total, message))

            def close(self) -> None:
                pass

        return Bar()


def test_progress_is_shown_if_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = _Bars()
    monkeypatch.setattr(progress, "_tqdm", lambda: bars)
    sharpness.train(**SMALL, progress=False)
    assert bars.shown == []
    sharpness.train(**SMALL)
    position, total, message = bars.shown[0]
    assert (position, total) == (1, 15) and message.startswith("epoch 1: loss ")


#: A training that would take days.
ENDLESS: dict[str, Any] = SMALL | {"max_epochs": 1_000_000, "target_accuracy": 1, "lr": 1e-6}


def popen_children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Return a list that receives the processes that are started from now on."""
    children: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        children.append(start(*arguments, **options))
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    return children


def interrupt_when(path: Path, times: int = 1) -> threading.Thread:
    """Send Ctrl-C to this process as soon as a file exists."""

    def wait() -> None:
        while not path.exists():
            time.sleep(0.01)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_saves_and_the_run_resumes_to_the_same_result(tmp_path: Path) -> None:
    long: dict[str, Any] = SMALL | {"max_epochs": 500, "target_accuracy": 1, "lr": 1e-6}
    whole = sharpness.train(**long, out=tmp_path / "whole")
    out = tmp_path / "stopped"
    thread = interrupt_when(out / "checkpoint.safetensors")
    with pytest.raises(KeyboardInterrupt, match="stopped and saved"):
        sharpness.train(**long, out=out, checkpoint_epochs=1)
    thread.join()
    assert 0 < json.loads((out / "state.json").read_text())["epoch"] < 500
    assert not (out / "result.json").exists()
    resumed = sharpness.train(out=out, resume=True)
    assert without_times(resumed.to_dict()) == without_times(whole.to_dict())
    command = json.loads((out / "provenance.json").read_text())[0]["command"]
    assert command[:2] == ["python -m sharpness", "train"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A command that ignores the first one, as if its step took hours.
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntrap '' INT\nsleep 0.3\n: > {tmp_path}/ready\nexec sleep 1000\n")
    command.chmod(0o755)
    children = popen_children(monkeypatch)
    monkeypatch.setattr(sys, "executable", str(command))
    thread = interrupt_when(tmp_path / "ready", times=2)
    with pytest.raises(KeyboardInterrupt):
        sharpness.train(**SMALL)
    thread.join()
    assert children[0].wait() == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_the_end_of_the_parent_saves_and_stops_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sharpness", "train", *flags(ENDLESS | {"out": tmp_path})]
    environment = os.environ | {"SHARPNESS_PARENT": "1"}
    child = subprocess.Popen(
        [*command, "--checkpoint-epochs=1"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    while not (tmp_path / "checkpoint.safetensors").exists():
        assert child.poll() is None
        time.sleep(0.01)
    _, errors = child.communicate()
    assert child.returncode == 130
    assert f"python -m sharpness train --out {tmp_path} --resume" in errors.decode()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_of_another_process_is_an_error_that_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = popen_children(monkeypatch)

    def terminate() -> None:
        while not (tmp_path / "checkpoint.safetensors").exists():
            time.sleep(0.01)
        children[0].terminate()

    thread = threading.Thread(target=terminate)
    thread.start()
    with pytest.raises(Interrupted, match="stopped and saved"):
        sharpness.train(**ENDLESS, out=tmp_path, checkpoint_epochs=1)
    thread.join()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_child_that_is_killed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "command"
    command.write_text("#!/bin/sh\necho 'memory allocation failed' >&2\nkill -KILL $$\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(command))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sharpness.SharpnessWarning)
        with pytest.raises(SharpnessError, match=r"SIGKILL.*memory"):
            sharpness.train(**SMALL)
