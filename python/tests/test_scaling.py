"""The page on scaling shows what its program predicts."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_shows_the_predictions_of_the_program() -> None:
    program = ROOT / "bench" / "scaling.py"
    ended = subprocess.run([sys.executable, str(program), "--check"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
