"""Runs the command line in a process of its own.

There it has its own threads, signals and bound on memory, and nothing that happens to it can end the process
of the user, such as the kernel of a notebook. Results come back on its standard output as JSON, progress and
notes as lines of its standard error.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sharpness._errors import Interrupted, InvalidInputError, SharpnessError
from sharpness._experiments.errors import SharpnessWarning
from sharpness._experiments.progress import Bar

__all__ = ["Completed", "execute"]

#: Exit codes of commands that print a result: done, diverged, target not reached, eigenvalue not found to the
#: tolerance.
WITH_RESULT = frozenset({0, 3, 4, 5})

_USAGE = 2
_INTERRUPTED = 130
_PROGRESS = '{"progress":'
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Completed:
    """What a command left.

    Attributes
    ----------
    code : int
        Its exit code.
    output : bytes
        Its standard output.
    errors : str
        What went wrong, or the notes that say so: those after Ctrl-C if there are any.
    notes : tuple of str
        What else it said.
    """

    code: int
    output: bytes
    errors: str = ""
    notes: tuple[str, ...] = ()

    def document(self) -> Any:
        """Return the JSON document that it printed."""
        return json.loads(self.output)

    @property
    def is_stopped(self) -> bool:
        """Whether a signal stopped it."""
        return self.code in (_INTERRUPTED, -signal.SIGINT)

    def error(self) -> SharpnessError:
        """Return what went wrong as an exception."""
        message = self.errors
        if self.is_stopped:
            return Interrupted(message)
        if self.code == _USAGE:
            # The list of all flags is of no use to a caller in Python.
            return InvalidInputError(message.split("\n\nUsage:")[0])
        if self.code < 0:
            name = signal.Signals(-self.code).name
            hint = "; the system may have run out of memory" if self.code == -signal.SIGKILL else ""
            message = f"the command was ended by {name}{hint}" + (f": {message}" if message else "")
        return SharpnessError(message or f"the command ended with exit code {self.code}")


def execute(
    arguments: Sequence[str], *, progress: bool = True, with_result: Collection[int] = WITH_RESULT
) -> Completed:
    """Run ``sharpness`` with these arguments to its end.

    Parameters
    ----------
    arguments : sequence of str
        The arguments after the name of the program.
    progress : bool
        Whether to show a bar, if ``tqdm`` is installed.
    with_result : collection of int
        The exit codes of a result.

    Returns
    -------
    Completed
        The exit code and the output.

    Raises
    ------
    InvalidInputError
        The arguments, a configuration or a recipe do not make sense.
    Interrupted
        A signal other than Ctrl-C stopped the command; what it says was kept is kept.
    SharpnessError
        Data, weights, files or the machine did not allow it.
    KeyboardInterrupt
        Ctrl-C stopped the command, which has saved what can be saved. A second Ctrl-C does not wait for that.
    """
    with _Child(arguments, Bar(progress)) as child:
        completed = child.wait()
    has_result = completed.code in with_result
    # Ctrl-C may come too late to stop the command, but the caller must stop.
    if child.was_interrupted and (has_result or completed.is_stopped):
        raise KeyboardInterrupt(completed.errors)
    if not has_result:
        raise completed.error()
    return completed


class _Child:
    """A process that runs a command.

    Parameters
    ----------
    arguments : sequence of str
        The arguments after the name of the program.
    bar : Bar
        Where progress is shown.
    """

    def __init__(self, arguments: Sequence[str], bar: Bar) -> None:
        self.was_interrupted = False
        self._bar = bar
        self._output = tempfile.TemporaryFile()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        #: A note that further lines may continue.
        self._note: list[str] = []
        #: The error, and all that follows it.
        self._error: list[str] = []
        #: The notes, and those after Ctrl-C.
        self._notes: list[str] = []
        self._last_words: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sharpness", *arguments],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.PIPE,
            env=_environment(),
            # A terminal sends Ctrl-C to all processes of a session, and the second one that arrives stops at
            # once.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> _Child:
        try:
            self._reader.start()
        except BaseException:
            self._process.terminate()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        try:
            if self._process.poll() is None:
                self._process.terminate()
                self._process.wait()
        except KeyboardInterrupt:
            self._process.kill()
            raise
        finally:
            for stream in (self._process.stdin, self._output):
                if stream is not None:
                    stream.close()

    def wait(self) -> Completed:
        """Show progress and notes until the process ends. Ctrl-C stops it, and a second Ctrl-C kills it."""
        while True:
            try:
                if self._process.poll() is not None and not self._reader.is_alive() and self._lines.empty():
                    break
                self._take()
            except KeyboardInterrupt:
                if self.was_interrupted:
                    self._process.kill()
                    raise
                self._interrupt()
        self._end_note()
        self._output.seek(0)
        errors = "\n".join(self._error or self._last_words or self._notes).strip().removeprefix("error: ")
        return Completed(self._process.returncode, self._output.read(), errors, tuple(self._notes))

    def _interrupt(self) -> None:
        """Ask the process to save and to stop."""
        self.was_interrupted = True
        # On Windows, the console has already sent Ctrl-C to both processes.
        if os.name != "nt" and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def _read(self) -> None:
        stream = self._process.stderr
        if stream is not None:
            with stream:
                for line in stream:
                    self._lines.put(line.decode(errors="replace").rstrip("\r\n"))

    def _take(self) -> None:
        """Take a line of standard error: progress, a note, or an error."""
        try:
            line = self._lines.get(timeout=0.05)
        except queue.Empty:
            # The lines of a note arrive together, and so may several notes.
            self._end_note()
            return
        if line.startswith(_PROGRESS):
            self._end_note()
            shown = json.loads(line)["progress"]
            self._bar.update(shown["position"], shown["total"], shown["message"])
        elif self._error or line.startswith("error: "):
            self._error.append(line)
        else:
            self._note.append(line)

    def _end_note(self) -> None:
        note, self._note = "\n".join(self._note).strip(), []
        if note and self.was_interrupted:
            self._last_words.append(note)
        elif note:
            self._notes.append(note)
            warnings.warn(note, SharpnessWarning, stacklevel=_levels_to_user())


def _levels_to_user() -> int:
    """Return how many callers up the code of the user is, counted from the caller of this function."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).is_relative_to(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def _environment() -> dict[str, str]:
    """Return this environment, and what makes the child find this package and write for programs."""
    environment = dict(os.environ)
    environment.pop("CLICOLOR_FORCE", None)
    paths = [str(_PACKAGE.parent), environment.get("PYTHONPATH", "")]
    return environment | {
        "NO_COLOR": "1",
        # A file in the working directory that has the name of a module must not hide that module.
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "SHARPNESS_PARENT": "1",
        "SHARPNESS_PROGRESS": "json",
    }
