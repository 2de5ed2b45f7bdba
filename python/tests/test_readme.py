"""The Python in the README runs as written."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = [
    (page.name, code)
    for page in (ROOT / "README.md", ROOT / "docs/python.md")
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]


def test_the_pages_have_examples():
    assert {page for page, _ in BLOCKS} == {"README.md", "python.md"}


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_an_example_runs_as_written(page, code, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
