"""The extension module, written in Rust."""

from collections.abc import Sequence

__version__: str

def main(arguments: Sequence[str]) -> int: ...
