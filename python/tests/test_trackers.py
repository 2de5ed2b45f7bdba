"""What TensorBoard and MLflow read back of runs that ``--track`` shows there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHARPNESS = [sys.executable, "-m", "sharpness"]

#: Two learning rates and two seeds, with λ_max and a measure through training and two at the end.
RECIPE = """
title = "Tracked"
seeds = [0, 1]
grid = { learning_rate = [0.05, 0.1] }
[fixed]
arch = "mlp"
data.name = "digits"
hidden = [8]
batch_size = 50
max_epochs = 3
target_accuracy = 1.0
examples = 60
rtol = 0.2
through_training = 0.2
measure.trace = 4
"""

#: A run of some seconds, which a kill finds alive.
LONG = [
    "train", "--arch", "mlp", "--dataset", "digits", "--hidden", "64,32", "--lr", "0.01", "--batch-size", "20",
    "--target-accuracy", "1", "--max-epochs", "40", "--examples", "100", "--rtol", "0.2", "--through-training",
    "0.5", "--checkpoint-epochs", "3", "--threads", "1",
]  # fmt: skip

#: Tags of the end of an epoch, and the key of each in ``metrics.jsonl``.
EPOCH = {
    "epoch": "epoch",
    "batch/loss": "batch_loss",
    "batch/accuracy": "batch_accuracy",
    "train/loss": "train_loss",
    "train/accuracy": "train_accuracy",
    "test/loss": "test_loss",
    "test/accuracy": "test_accuracy",
}

Curves = dict[str, list[tuple[int, float]]]


def run(*arguments: str | Path, code: int = 0) -> str:
    """Run a command to its end and return what it notes."""
    ended = subprocess.run([*SHARPNESS, *map(str, arguments)], capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    return ended.stderr


def stored(directory: Path) -> tuple[str, Curves]:
    """Return the name of the run in a directory, and its curves as the store holds them."""
    result = json.loads((directory / "result.json").read_text())
    [file] = (directory / "measurements").iterdir()
    kept = json.loads(file.read_text())
    measured, training = kept["measurement"], result["training"]
    metrics = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    curves = {tag: [(at["steps"], float(at[key])) for at in metrics] for tag, key in EPOCH.items()}
    rate = result["config"]["training"]["learning_rate"]
    curves["learning_rate"] = [(at["steps"], rate) for at in metrics]
    tracked = training["lambda_max"]
    curves["sharpness/lambda_max"] = [(at["step"], at["value"]) for at in tracked]
    curves["sharpness/lambda_max/residual"] = [(at["step"], at["residual"]) for at in tracked]
    curves["sharpness/edge_of_stability"] = [(at["step"], 2 / rate) for at in tracked]
    curves["sharpness/loss"] = [(at["step"], at["loss"]) for at in tracked]
    curves["sharpness/gradient_norm"] = [(at["step"], at["gradient_norm"]) for at in tracked]
    curves["sharpness/eigenvector_overlap"] = [(at["step"], at["overlap"]) for at in tracked[1:]]
    curves["final/lambda_max"] = [(training["steps"], measured["lambda_max"]["value"])]
    if "trace" in measured:
        curves["final/trace"] = [(training["steps"], measured["trace"]["value"])]
    return kept["id"], curves


def without_further_final(curves: Curves) -> Curves:
    """Leave out the errors and bounds of the measurement at the end."""
    kept = ("final/lambda_max", "final/trace")
    return {tag: curve for tag, curve in curves.items() if not tag.startswith("final/") or tag in kept}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a store of four runs, and the event files that they wrote."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "recipe.toml").write_text(RECIPE)
    store, events = folder / "store", folder / "events"
    notes = run(
        "sweep",
        folder / "recipe.toml",
        "--store",
        store,
        "--track",
        f"tensorboard={events}",
        "--threads",
        "1",
    )
    assert "tensorboard" not in notes
    return store, events


def accumulator(directory: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    return events


def in_tensorboard(events: Any) -> Curves:
    """Return the curves that TensorBoard reads."""
    tags = events.Tags()["scalars"]
    return {tag: [(at.step, at.value) for at in events.Scalars(tag)] for tag in tags}


def in_single_precision(curves: Curves) -> Curves:
    return {tag: [(step, float(np.float32(value))) for step, value in curve] for tag, curve in curves.items()}


def run_directory(events: Path, name: str) -> Path:
    [directory] = events.glob(f"*-{name}")
    return directory


def test_tensorboard_reads_every_number_back(swept: tuple[Path, Path]) -> None:
    store, events = swept
    directories = sorted(store.glob("t*"))
    assert len(directories) == 4
    for directory in directories:
        name, curves = stored(directory)
        found = in_tensorboard(accumulator(run_directory(events, name)))
        assert without_further_final(found) == in_single_precision(curves)
        assert "final/lambda_max/residual" in found and "final/trace/standard_error" in found


def test_the_hparams_plugin_reads_the_settings_that_vary(swept: tuple[Path, Path]) -> None:
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    store, events = swept
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(events))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(events))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(events)))
    request, experiment = RequestContext(), ""
    shown = get_experiment.Handler(
        request, context, experiment, api_pb2.GetExperimentRequest(experiment_name="")
    ).run()
    names = {info.name for info in shown.hparam_infos}
    assert {"training.learning_rate", "seed", "model.arch"} <= names
    wanted = api_pb2.ListSessionGroupsRequest(
        experiment_name="", allowed_statuses=[api_pb2.STATUS_SUCCESS], slice_size=100
    )
    wanted.col_params.add(metric=api_pb2.MetricName(group="", tag="final/lambda_max"))
    groups = list_session_groups.Handler(request, context, experiment, wanted).run().session_groups
    found = {
        group.name: (
            group.hparams["training.learning_rate"].number_value,
            group.hparams["seed"].number_value,
            group.hparams["model.arch"].string_value,
            next(value.value for value in group.metric_values if value.name.tag == "final/lambda_max"),
        )
        for group in groups
    }
    expected = {}
    for directory in store.glob("t*"):
        name, curves = stored(directory)
        config = json.loads((directory / "result.json").read_text())["config"]
        rate, [(_, value)] = config["training"]["learning_rate"], curves["final/lambda_max"]
        expected[name] = (rate, float(config["seed"]), "mlp", float(np.float32(value)))
    assert found == expected


def kill_after(lines: int, out: Path, *arguments: str) -> None:
    """Start a run and kill it once it has ended so many epochs."""
    process = subprocess.Popen([*SHARPNESS, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = out / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < lines:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_run_continues_its_event_file(tmp_path: Path) -> None:
    out, events = tmp_path / "run", tmp_path / "events"
    arguments = [*LONG, "--out", str(out), "--resume", "--track", f"tensorboard={events}"]
    watching = None
    for lines in (5, 11):
        kill_after(lines, out, *arguments)
        if watching is None:
            [directory] = events.iterdir()
            # Opened by a TensorBoard that was running all the time.
            watching = accumulator(directory)
    run(*arguments, code=4)
    _, curves = stored(out)
    expected = in_single_precision(curves)
    assert len(curves["train/loss"]) == 40
    full = [file for file in directory.iterdir() if file.stat().st_size > 0]
    assert len(full) == 1, "readers that ignore the start of a session read each point once too"
    assert without_further_final(in_tensorboard(accumulator(directory))) == expected
    watching.Reload()
    assert without_further_final(in_tensorboard(watching)) == expected


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an MLflow server with a database of its own."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder),
    ]  # fmt: skip
    log = (folder / "log").open("w")
    # Its workers are processes of their own, so the whole group is ended.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
    )
    try:
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def in_mlflow(address: str, experiment: str) -> dict[str, Any]:
    """Return the runs of an experiment, by the names of ours."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(address)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    assert len({run.data.tags["sharpness.run"] for run in runs}) == len(runs), "one run for each of ours"
    return {run.data.tags["sharpness.run"]: run for run in runs}


def history(address: str, run: Any) -> Curves:
    """Return the whole curves of a run."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(address)
    points = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return {key: sorted((at.step, at.value) for at in curve) for key, curve in points.items()}


def test_mlflow_has_the_finished_runs_of_a_store_once(
    swept: tuple[Path, Path], mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = swept
    # Requests for this server need none; that they are sent breaks nothing.
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a token")
    for _ in range(2):
        run("runs", "track", f"mlflow={mlflow_server}#finished runs", "--store", store)
    runs = in_mlflow(mlflow_server, "finished runs")
    for directory in store.glob("t*"):
        name, curves = stored(directory)
        found = runs[name]
        assert without_further_final(history(mlflow_server, found)) == curves, "bit for bit"
        assert found.info.status == "FINISHED" and found.data.tags["sharpness.outcome"] == "max-epochs"
        config = json.loads((directory / "result.json").read_text())["config"]
        assert found.data.params["training.learning_rate"] == str(config["training"]["learning_rate"])
        assert found.data.params["model.arch"] == "mlp" and found.data.params["seed"] == str(config["seed"])


def test_a_killed_run_continues_its_run_in_mlflow(mlflow_server: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [*LONG, "--out", str(out), "--resume", "--track", f"mlflow={mlflow_server}#killed"]
    for lines in (5, 20):
        kill_after(lines, out, *arguments)
    run(*arguments, code=4)
    name, curves = stored(out)
    [(found, shown)] = in_mlflow(mlflow_server, "killed").items()
    assert found == name and shown.info.status == "FINISHED"
    assert without_further_final(history(mlflow_server, shown)) == curves, "no point is missing or doubled"


def test_a_server_that_was_down_during_a_run_gets_it_later(mlflow_server: str, tmp_path: Path) -> None:
    recipe, store = tmp_path / "recipe.toml", tmp_path / "store"
    recipe.write_text(RECIPE.replace("seeds = [0, 1]", "seeds = [7]"))
    nobody = f"mlflow=http://127.0.0.1:{free_port()}#down"
    notes = run("sweep", recipe, "--store", store, "--track", nobody, "--threads", "1")
    assert notes.count("does not answer") == 1 and "lacks numbers of 2 runs" in notes
    assert f"runs track '{nobody}' --store {store}" in notes
    run("runs", "track", nobody, "--store", store, code=1)
    run("runs", "track", f"mlflow={mlflow_server}#down", "--store", store)
    runs = in_mlflow(mlflow_server, "down")
    for directory in store.glob("t*"):
        name, curves = stored(directory)
        assert without_further_final(history(mlflow_server, runs[name])) == curves


def test_an_event_file_that_was_deleted_is_written_again(swept: tuple[Path, Path], tmp_path: Path) -> None:
    store, events = swept
    again = tmp_path / "events"
    run("runs", "track", f"tensorboard={again}", "--store", store, "--where", "learning_rate=0.1")
    assert len(list(again.iterdir())) == 2
    for directory in again.iterdir():
        first, second = (in_tensorboard(accumulator(at / directory.name)) for at in (events, again))
        assert first == second
    shutil.rmtree(again)
