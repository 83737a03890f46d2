"""Records Keras' own numbers for test_keras_agreement.py: keras_unet.npz, keras_ops.npz and keras_summary.txt.

    python make_keras_numbers.py    in an environment of its own with tensorflow-cpu, see README.md

Does not need minunet. Everything is computed in float64 and, where rounding matters, in float32 too.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["COLUMNS"] = "240"  # wide enough that Keras wraps no cell of its summary

import cases
import keras
import numpy as np
import tensorflow as tf
from keras import layers

HERE = Path(__file__).parent


# ---- the lecture's U-Net -----------------------------------------------------------------------------------


def lecture_unet(size=256, depth=6, width=8, batch_norm=False):
    """Returns the lecture's model, built with Keras' functional API; other arguments scale it down."""

    def conv(x, filters, name):
        if not batch_norm:
            return layers.Conv2D(filters, 3, activation="relu", padding="same", name=name)(x)
        x = layers.Conv2D(filters, 3, use_bias=False, padding="same", name=name)(x)
        return layers.ReLU()(layers.BatchNormalization(name=name.replace("Conv", "BatchNorm"))(x))

    def up(x, filters, suffix):
        x = layers.Conv2DTranspose(max(1, filters // 8), 2, strides=2, name=f"Conv_Transp_{suffix}")(x)
        return layers.Concatenate(name=f"Concatenate_{suffix}")([x, skips.pop()])

    filters = [width * 2**level for level in range(depth + 1)]  # 8, 16, 32, 64, 128, 256, 512
    x = inputs = layers.Input((size, size, 3), name="input")
    skips = []
    for i in range(1, depth + 1):
        x = conv(x, filters[i - 1], f"Conv_Down_{i}_1")
        x = conv(x, filters[i - 1], f"Conv_Down_{i}_2")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"MaxPool_Down_{i}")(x)
    x = conv(x, filters[depth], "Conv_Bottle_1")
    x = conv(x, filters[depth], "Conv_Bottle_2")
    x = up(x, filters[depth], "Bottle")
    for i in range(1, depth):
        x = conv(x, filters[depth - i], f"Conv_Up_{i}_1")
        x = conv(x, filters[depth - i], f"Conv_Up_{i}_2")
        x = up(x, filters[depth - i], f"Up_{i}")
    x = conv(x, 2 * width, "Conv_Classif_1")
    x = conv(x, 2 * width, "Conv_Classif_2")
    outputs = layers.Conv2D(1, 1, activation="sigmoid", name="Conv_Out")(x)
    return keras.Model(inputs, outputs, name="UNet")


def filled_unet(size, dtype):
    """Returns the lecture's model in `dtype` with the weights of cases.py."""
    keras.backend.clear_session()
    keras.backend.set_floatx(dtype)
    model = lecture_unet(size)
    weights = cases.unet_weights(dtype)
    for name, _ in cases.unet_kernels():
        model.get_layer(name).set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    return model


def summary_rows():
    """Yields Keras' summary: lines "name | type | output shape | parameters | connected to", then the totals."""
    lines = []
    lecture_unet().summary(line_length=230, print_fn=lines.append)
    for line in "\n".join(lines).splitlines():
        if line.startswith("│"):
            name, shape, parameters, before = (cell.strip() for cell in line.strip("│").split("│"))
            name, kind = name.rstrip(")").split(" (")
            yield " | ".join((name, kind, shape, parameters, before))
        elif "params:" in line:
            yield line.strip()


def unet_pass(dtype):
    """Returns the results of a forward and a backward pass: probabilities, loss, samples and norm of each gradient."""
    model = filled_unet(cases.OUTPUT["size"], dtype)
    assert model.count_params() == 6_667_639
    images, targets = cases.unet_batch(**cases.OUTPUT, dtype=dtype)
    with tf.GradientTape() as tape:
        output = model(images, training=True)
        loss = keras.losses.BinaryCrossentropy()(targets, output)
    variables = [v for name, _ in cases.unet_kernels() for v in model.get_layer(name).trainable_variables]
    gradients = tape.gradient(loss, variables)
    return {
        "output": output[:, ::8, ::8],
        "output sums": tf.reduce_sum(output, axis=(1, 2, 3)),
        "loss": loss,
        "gradients": np.stack([np.append(cases.sample(g), np.linalg.norm(g)) for g in gradients]),
    }


def unet_losses(dtype, optimizer, settings):
    """Returns the losses of cases.STEPS training steps on one batch, each before its update, as in model.fit."""
    model = filled_unet(cases.TRAINING["size"], dtype)
    model.compile(getattr(keras.optimizers, optimizer)(**settings), loss="binary_crossentropy")
    images, targets = cases.unet_batch(**cases.TRAINING, dtype=dtype)
    return [model.train_on_batch(images, targets) for _ in range(cases.STEPS)]


def unet_numbers():
    numbers = {}
    for dtype in ("float32", "float64"):
        for name, value in unet_pass(dtype).items():
            numbers[f"{dtype} {name}"] = np.asarray(value)
        for optimizer, settings in cases.OPTIMIZERS.items():
            numbers[f"{dtype} losses {optimizer}"] = np.array(unet_losses(dtype, optimizer, settings))
    return numbers


# ---- single operations -------------------------------------------------------------------------------------


def with_gradients(name, function, *arrays):
    """Yields the output of `function` and the gradient of <gy, output> for each array, with gy drawn from `name`."""
    variables = [tf.Variable(a) for a in arrays]
    with tf.GradientTape() as tape:
        y = function(*variables)
    gy = cases.draw(name + " gy", y.shape).astype(y.dtype.name)
    gradients = tape.gradient(y, variables, output_gradients=tf.constant(gy))
    yield f"{name}: y", y.numpy()
    for letter, gradient in zip("abc", gradients):
        yield f"{name}: g{letter}", gradient.numpy()


def operation_numbers():
    keras.backend.clear_session()
    keras.backend.set_floatx("float64")
    for name, (x, w, stride, padding) in cases.conv2d_cases().items():
        yield from with_gradients(
            name,
            lambda x, w, b: keras.ops.conv(x, w, stride, padding) + b,
            cases.draw(name + " x", x),
            cases.draw(name + " w", w),
            cases.draw(name + " b", w[3]),
        )
    for name, (x, w, stride, padding) in cases.conv_transpose2d_cases().items():
        yield from with_gradients(
            name,
            lambda x, w, b: keras.ops.conv_transpose(x, w, stride, padding) + b,
            cases.draw(name + " x", x),
            cases.draw(name + " w", w),
            cases.draw(name + " b", w[2]),
        )
    for name, (x, window, stride, padding) in cases.max_pool2d_cases().items():
        yield from with_gradients(
            name, lambda x: keras.ops.max_pool(x, window, stride, padding), cases.max_pool2d_input(name, x)
        )
    yield from with_gradients("relu", keras.ops.relu, cases.activation_input())
    yield from with_gradients("sigmoid", keras.ops.sigmoid, cases.activation_input())


def batch_norm_numbers():
    """Yields the numbers of Keras' layer, first in training and then in use.

    Training updates the moving averages, and the layer in use takes them; they are yielded after both.
    """
    keras.backend.set_floatx("float64")
    x, gamma, beta, mean, variance = cases.batch_norm_arrays()
    layer = layers.BatchNormalization()
    layer.build(x.shape)
    layer.set_weights([gamma, beta, mean, variance])
    for name, training in (("batch_norm training", True), ("batch_norm in use", False)):
        tensor = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = layer(tensor, training=training)
        gy = tf.constant(cases.draw(name + " gy", y.shape))
        gradients = tape.gradient(y, [tensor, layer.gamma.value, layer.beta.value], output_gradients=gy)
        yield f"{name}: y", y.numpy()
        for letter, gradient in zip("abc", gradients):
            yield f"{name}: g{letter}", gradient.numpy()
        yield f"{name}: moving_mean", layer.moving_mean.numpy()
        yield f"{name}: moving_variance", layer.moving_variance.numpy()


def loss_numbers():
    for dtype in ("float32", "float64"):
        keras.backend.set_floatx(dtype)
        p, t = (a.astype(dtype) for a in cases.probabilities())
        yield from with_gradients(f"binary_cross_entropy {dtype}", lambda p: keras.losses.BinaryCrossentropy()(t, p), p)
        z, t = (a.astype(dtype) for a in cases.logits())
        yield from with_gradients(
            f"binary_cross_entropy_with_logits {dtype}",
            lambda z: keras.losses.BinaryCrossentropy(from_logits=True)(t, z),
            z,
        )
    p, t = cases.masks()
    yield from with_gradients("dice over the batch", lambda p: keras.losses.Dice()(t, p), p)
    yield from with_gradients("dice per image", lambda p: keras.losses.Dice(axis=(1, 2, 3))(t, p), p)


def optimizer_numbers():
    keras.backend.set_floatx("float64")
    start, gradients = cases.optimizer_trace()
    for name, (optimizer, settings) in cases.OPTIMIZER_TRACES.items():
        optimizer = getattr(keras.optimizers, optimizer)(0.01, **settings)
        variable, trace = keras.Variable(start), []  # it has one axis, like a bias: Keras decays those too
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
            trace.append(variable.numpy().copy())
        yield name, np.array(trace)


# ---- one run -----------------------------------------------------------------------------------------------


def main():
    versions = (
        f"Keras {keras.__version__}, TensorFlow {tf.__version__}, NumPy {np.__version__}, "
        f"Python {sys.version.split()[0]}"
    )
    (HERE / "keras_summary.txt").write_text("\n".join(summary_rows()) + "\n", encoding="utf-8")
    np.savez_compressed(HERE / "keras_unet.npz", versions=versions, **unet_numbers())
    operations = [*operation_numbers(), *batch_norm_numbers(), *loss_numbers(), *optimizer_numbers()]
    np.savez_compressed(HERE / "keras_ops.npz", versions=versions, **dict(operations))
    for file in sorted(HERE.glob("keras_*")):
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
    print(versions)


if __name__ == "__main__":
    main()
