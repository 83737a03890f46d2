"""A checkpoint: all that changes while a run trains, in one file, so that it can continue as if it had never stopped.

    Conv_Down_1_1/kernel  …          the model's state_dict, as in any weights file: minunet.load reads this one too
    training/optimizer/0/v  …        optimizer.state_dict()
    training/progress/epoch  …       progress.state_dict(), and so on for each part
    about                            the metadata, see weights/io.py

A part is anything with state_dict() -> {name: number, text or array} and load_state_dict(of the same, as arrays). What
does not change while training, such as the dataset or the batch size, is for the caller to provide again.

`last.npz` is the newest checkpoint of a folder and `previous.npz` the one before it. A new one is written completely
beside them before either is touched, so at every moment there is an intact one to resume from.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minunet.files import atomic_write
from minunet.nn import Module
from minunet.weights import io, npz

LAST, PREVIOUS = "last.npz", "previous.npz"


class CheckpointError(ValueError):
    """A checkpoint, or the folder of a run, that cannot be resumed from; the message says which and why."""


def save(folder: str | Path, model: Module, parts: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Writes last.npz; the file that had this name becomes previous.npz.

    parts: {prefix: part}; metadata: a dict for JSON. Raises OSError, and then both files are as they were; TypeError
    for a state that is not a number, a text or an array.
    """
    arrays = model.state_dict()
    for prefix, part in parts.items():
        for name, value in part.state_dict().items():
            array = np.asarray(value)
            if array.dtype.kind == "O":
                raise TypeError(
                    f"the state {name!r} of {prefix!r} is {value!r}: it must be a number, a text or an array"
                )
            arrays[f"{npz.TRAINING}{prefix}/{name}"] = array
    content = npz.encode_arrays(arrays, {**metadata, **io.describe(model)})
    atomic_write(Path(folder) / LAST, content, keep=Path(folder) / PREVIOUS)


def load(folder: str | Path, model: Module, parts: Mapping[str, Any]) -> Path:
    """Restores what `save` wrote from last.npz, or previous.npz if there is no last.npz, and returns that file's path.

    Raises FileNotFoundError if there is neither; CheckpointError if the file is damaged, or of another kind of run: it
    says what is wrong, and whether previous.npz can be used in its place.
    """
    path = _newest(folder)
    try:
        _load_file(path, model, parts)
    except (io.WeightsError, CheckpointError) as error:
        raise CheckpointError(f"{error}. {_advice(path, Path(folder) / PREVIOUS)}") from error
    return path


def check_width(folder: str | Path, width: int) -> None:
    """Raises CheckpointError if the newest checkpoint, where there is one, is of a network of another width.

    It is asked before a network is built: a width that somebody has written into run.json could fill the memory.
    """
    path = _newest(folder)
    try:
        arrays = io.read_arrays(path)
    except (OSError, io.WeightsError):
        return  # loading it will say what is wrong
    found = [
        np.shape(arrays[name]) for name in (f"{prefix}1_1/kernel" for prefix in io.NETWORKS.values()) if name in arrays
    ]
    if found and found[0][-1:] != (width,):
        raise CheckpointError(f"{path} is not of a network with {width} filters on its first level: {found[0]}")


def _newest(folder):
    last, previous = Path(folder) / LAST, Path(folder) / PREVIOUS
    return last if last.exists() or not previous.exists() else previous


def _load_file(path, model, parts):
    states, weights = {prefix: {} for prefix in parts}, {}
    for key, array in io.read_arrays(path).items():
        if not key.startswith(npz.TRAINING):
            weights[key] = array
            continue
        prefix, _, name = key.removeprefix(npz.TRAINING).partition("/")
        if prefix not in states:
            raise CheckpointError(f"{path} holds the state of a part that this run does not have: {prefix}")
        states[prefix][name] = array
    if not any(states.values()) and parts:
        raise CheckpointError(f"{path} holds only weights, not the state of a run")
    what = ""
    try:
        for prefix, part in parts.items():
            what = prefix
            part.load_state_dict(states[prefix])
        what = "model"
        model.load_state_dict(weights)
    except Exception as error:  # a file may hold anything, and each part expects something else
        raise CheckpointError(f"{path} does not fit the {what} of this run ({error!r:.300})") from error


def _advice(path, previous):
    """What to do about a checkpoint that cannot be used, in words."""
    if path == previous or not previous.exists():
        return "There is no older checkpoint of this run"
    try:
        io.read_arrays(previous)
    except io.WeightsError:
        return f"{previous} is damaged, too"
    return f"{previous} is intact: to resume from it, remove {path.name}"
