"""The example of products over processes, with gloo."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sharpness

EXAMPLE = Path(__file__).parent.parent / "examples" / "torch_distributed.py"


def example() -> Any:
    spec = importlib.util.spec_from_file_location("torch_distributed", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(processes: int, *arguments: str) -> float:
    """Run the example in some processes and return λ_max with all its bits."""
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    ended = subprocess.run([*torchrun, str(EXAMPLE), *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return float.fromhex(ended.stdout.split()[0])


def test_products_over_processes_are_those_of_one() -> None:
    model, x, y = example().model_and_data()
    alone = sharpness.lambda_max(model, torch.nn.CrossEntropyLoss(), (x, y), seed=0, progress=False)
    one, two = measured(1, "--ordered"), measured(2, "--ordered")
    assert one == two, "in the order of the groups, the bits do not depend on the number of processes"
    # Both are within their tolerance of the eigenvalue.
    assert two == pytest.approx(alone.value, rel=2e-3)
    assert measured(2) == pytest.approx(two, rel=1e-5), "all_reduce gives the same up to rounding"
