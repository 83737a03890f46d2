"""Runs a student's file in a process of its own, with limits of time and memory, so that it cannot hurt the command."""

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from minunet.learn.exercises import child
from minunet.learn.exercises.child import Answer
from minunet.learn.exercises.exercise import Exercise, Trial

SECONDS = 20.0
MEMORY = 2 * 2**30  # bytes, besides what Python and NumPy take


class Run(NamedTuple):
    """What came of a student's file: an Answer for each trial, or for the file as a whole; and what it printed."""

    answers: list[Answer]
    printed: list[str]
    more_printed: int = 0


def run_file(exercise: Exercise, file: Path, trials: Sequence[Trial], seconds: float = SECONDS) -> Run:
    """Returns what the student's file makes of the trials. Raises OSError if no process can be started."""
    with tempfile.TemporaryDirectory(prefix="minunet-exercise-") as folder:
        calls = {
            "function": exercise.function,
            "names": exercise.names,
            "results": exercise.gradients,
            "arguments": [trial.arguments for trial in trials],
        }
        Path(folder, "calls").write_bytes(pickle.dumps(calls))
        path = str(file.resolve())
        code = _run_child([sys.executable, child.__file__, folder, path, str(seconds), str(MEMORY)], seconds + 10)
        hanging = Path(folder, "hanging")
        stopped = hanging.read_text(encoding="utf-8", errors="replace") if hanging.is_file() else ""
        if code is None or stopped:
            return Run([Answer(problem=_endless(stopped, path, seconds))], [])
        try:
            return _read(Path(folder))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            why = f"with signal {-code}" if code < 0 else f"with exit code {code}"
            return Run([Answer(problem=f"it ended Python {why}, before anything was returned")], [])


def _run_child(command: list[str], seconds: float) -> int | None:
    """Returns the exit code of the process, None if it had to be killed; what it started is killed, too."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=nowhere, stdout=nowhere, stderr=nowhere, env=environment, start_new_session=True
    )
    try:
        for _ in tqdm(range(ceil(seconds)), desc="running your file", unit="s", disable=None, leave=False, delay=2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(1)
        return None
    finally:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()


def _endless(stopped: str, path: str, seconds: float) -> str:
    """Says that it did not come to an end; `stopped` has Python's frames, the innermost first."""
    escaped = path.encode("ascii", "backslashreplace").decode("ascii")  # as faulthandler writes it
    line = re.search(f'File "{re.escape(escaped)}", line ([0-9]+)', stopped)
    where = f": it was at line {line[1]}, perhaps in an endless loop" if line else ""
    return f"it did not come to an end within {seconds:g} seconds{where}"


def _read(folder: Path) -> Run:
    """Returns what child.py has written. Raises an error of many kinds if that is not intact."""
    report = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    with np.load(folder / "numbers.npz", allow_pickle=False) as file:
        arrays = dict(file)
    answers = [
        Answer(tuple(arrays.get(f"{t} {k}") for k in range(length)), problem)
        for t, (length, problem) in enumerate(zip(report["lengths"], report["problems"]))
    ]
    return Run(answers, report["printed"], report["more"])
