"""All that changes while a run trains, in one file, so that it can go on as if it had never stopped.

    Conv_Down_1_1/kernel  …          the model's state_dict, as in any weights file: minunet.load reads this one too
    training/optimizer/0/v  …        optimizer.state_dict()
    training/progress/epoch  …       progress.state_dict(), and so on for each part
    about                            see checkpoint.py

A part is anything with state_dict() -> {name: number, text or array} and load_state_dict(of the same, as
arrays). What does not change while training, such as the dataset or the batch size, is the caller's to give
again.

`last.npz` is the newest such file of a folder and `previous.npz` the one before it. A new one is written
whole beside them before either is touched, so at each moment there is a whole one to go on from.
"""

from pathlib import Path

import numpy as np

from minunet.files import atomic_write
from minunet.weights import io as checkpoint
from minunet.weights import npz
from minunet.weights.io import CheckpointError

LAST, PREVIOUS = "last.npz", "previous.npz"


def save(folder, model, parts, about):
    """Writes last.npz; the file that had this name becomes previous.npz.

    parts: {prefix: part}; about: a dict for JSON. Raises OSError, and then both files are as they were.
    """
    arrays = model.state_dict()
    for prefix, part in parts.items():
        for name, value in part.state_dict().items():
            array = np.asarray(value)
            if array.dtype.kind == "O":
                raise TypeError(
                    f"the state {name!r} of {prefix!r} is {value!r}: only numbers, texts and arrays can be kept"
                )
            arrays[f"{npz.TRAINING}{prefix}/{name}"] = array
    content = npz.encode_arrays(arrays, {**about, **checkpoint.describe(model)})
    atomic_write(Path(folder) / LAST, content, keep=Path(folder) / PREVIOUS)


def load(folder, model, parts):
    """Takes over what `save` wrote, from last.npz; from previous.npz if there is no last.npz. Returns the
    path of the file.

    Raises FileNotFoundError if there is neither; CheckpointError if the file is damaged, or of another kind
    of run: it says what is wrong, and whether previous.npz can be used in its place.
    """
    last, previous = Path(folder) / LAST, Path(folder) / PREVIOUS
    path = last if last.exists() or not previous.exists() else previous
    try:
        _load_file(path, model, parts)
    except CheckpointError as error:
        raise CheckpointError(f"{error}. {_advice(path, previous)}") from error
    return path


def _load_file(path, model, parts):
    states, weights = {prefix: {} for prefix in parts}, {}
    for name, array in checkpoint.read_arrays(path).items():
        if not name.startswith(npz.TRAINING):
            weights[name] = array
            continue
        prefix, _, name = name.removeprefix(npz.TRAINING).partition("/")
        if prefix not in states:
            raise CheckpointError(f"{path} holds the state of a part that this run does not have: {prefix}")
        states[prefix][name] = array
    if not any(states.values()) and parts:
        raise CheckpointError(f"{path} holds weights alone, and no state of a run")
    try:
        for prefix, part in parts.items():
            what = prefix
            part.load_state_dict(states[prefix])
        what = "model"
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit the {what} of this run ({error!r:.300})") from error


def _advice(path, previous):
    """What is left to the one whose last.npz cannot be used."""
    if path == previous or not previous.exists():
        return "There is no older file of this run"
    try:
        checkpoint.read_arrays(previous)
    except CheckpointError:
        return f"{previous} is damaged, too"
    return f"{previous} is whole: to go on from there, remove {path.name}"
