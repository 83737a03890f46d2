"""Records a file that Keras itself wrote, for the tests in tests/weights, and checks weights files both ways.

    python make_keras_files.py    in an environment with both Keras and minunet, see README.md

keras_small.keras is the lecture's model with depth 3 and width 2, trained for one step so that the file holds the
optimizer's variables too. keras_small.npz holds the probabilities that Keras computes with these weights for one image.
The check takes the lecture's model in full size from Keras to minunet, and from minunet to Keras, in both file formats.
"""

import tempfile
from pathlib import Path

import cases
import numpy as np
from make_keras_numbers import HERE, keras, lecture_unet

from minunet import UNet
from minunet.weights import io

TOLERANCE = 1e-5


def write_small():
    """Writes keras_small.keras and keras_small.npz."""
    keras.utils.set_random_seed(1)
    model = lecture_unet(64, depth=3, width=2)
    model.compile("sgd", loss="binary_crossentropy")
    images, targets = cases.unet_batch(count=1, size=64, dtype="float32")
    model.train_on_batch(images, targets)
    model.save(HERE / "keras_small.keras")
    output = model.predict(images, verbose=0)
    np.savez_compressed(HERE / "keras_small.npz", output=output, versions=f"Keras {keras.__version__}")


def shake(variables):
    """Moves all weights away from their initial values, so that a mixed-up bias or running average shows."""
    rng = np.random.default_rng(0)
    for variable in variables:
        variable.assign(variable.numpy() + rng.uniform(-0.02, 0.02, variable.shape))


def distinct(probabilities):
    """Returns the probabilities. Exits if they are all nearly the same, which would hide a difference."""
    if probabilities.std() < 1e-3:
        raise SystemExit(f"the probabilities are too alike to compare: {probabilities.min()} to {probabilities.max()}")
    return probabilities


def from_keras(folder, images, batch_norm):
    """Yields (what, largest difference of the probabilities) for each file format, from Keras to minunet."""
    keras.utils.set_random_seed(2)
    model = lecture_unet(64, batch_norm=batch_norm)
    shake(model.weights)
    expected = distinct(model.predict(images, verbose=0))
    model.save(folder / "theirs.keras")
    model.save_weights(folder / "theirs.weights.h5")
    for name in ("theirs.keras", "theirs.weights.h5"):
        yield (
            f"Keras to minunet, {name}",
            np.abs(io.load_model(folder / name).predict(images) - expected).max(),
        )


def to_keras(folder, images, batch_norm):
    """Yields the same from minunet to Keras."""
    model = UNet(seed=3, batch_norm=batch_norm, dropout=0.1 * batch_norm)
    rng = np.random.default_rng(1)
    state = model.state_dict()
    model.load_state_dict(
        {
            name: array + rng.uniform(-0.02, 0.02, array.shape) * (array.dtype.kind == "f")
            for name, array in state.items()
        }
    )
    expected = distinct(model.predict(images))
    io.save(folder / "ours.keras", model)
    io.save(folder / "ours.weights.h5", model)
    opened = keras.models.load_model(folder / "ours.keras")
    yield "minunet to Keras, ours.keras", np.abs(opened.predict(images, verbose=0) - expected).max()
    filled = lecture_unet(64, batch_norm=batch_norm)
    filled.load_weights(folder / "ours.weights.h5")
    yield "minunet to Keras, ours.weights.h5", np.abs(filled.predict(images, verbose=0) - expected).max()


def main():
    write_small()
    images, _ = cases.unet_batch(count=2, size=64, dtype="float32")
    for batch_norm in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            for check in (from_keras, to_keras):
                for what, difference in check(Path(folder), images, batch_norm):
                    print(f"batch norm {batch_norm}, {what}: {difference:.1e}")
                    if not difference < TOLERANCE:
                        raise SystemExit(f"{what}: the difference exceeds {TOLERANCE}")


if __name__ == "__main__":
    main()
