"""What both sides of the comparison compute with: inputs, weights and settings, made from seeds alone.

make_keras_numbers.py gives these to Keras and records the answers; test_keras_agreement.py gives them to minunet and
compares. The stream of NumPy's RandomState is frozen forever, and uniform numbers need no function of the C library:
both sides get the same numbers on every machine. Nothing here imports Keras or minunet.
"""

import math
import zlib

import numpy as np

SAMPLE = 16  # values recorded per array of gradients or weights: enough to reveal swapped axes


def stream(name):
    """Returns a RandomState seeded by a checksum of `name`: each case has numbers of its own."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def draw(name, shape, low=-1.0, high=1.0):
    """Returns uniform float64 numbers of `shape`, the same for the same `name`."""
    return stream(name).uniform(low, high, shape)


def sample(array):
    """Returns SAMPLE values spread evenly over the flattened array, including the first and the last."""
    flat = np.asarray(array).reshape(-1)
    return flat[np.linspace(0, flat.size - 1, SAMPLE).astype(int)]


# ---- the lecture's U-Net -----------------------------------------------------------------------------------


def unet_kernels():
    """Returns [(layer name, kernel shape)] in the order of the network.

    The shape is (KH, KW, C_in, C_out), or (KH, KW, C_out, C_in) for the transposed convolutions, Conv_Transp_*.
    """
    layers, channels, skips = [], 3, []

    def conv(name, filters, size=3):
        nonlocal channels
        layers.append((name, (size, size, channels, filters)))
        channels = filters

    def transpose(name, filters, skip):
        nonlocal channels
        layers.append((name, (2, 2, filters, channels)))
        channels = filters + skip

    for i, filters in enumerate((8, 16, 32, 64, 128, 256), start=1):
        conv(f"Conv_Down_{i}_1", filters)
        conv(f"Conv_Down_{i}_2", filters)
        skips.append(filters)
    conv("Conv_Bottle_1", 512)
    conv("Conv_Bottle_2", 512)
    transpose("Conv_Transp_Bottle", 64, skips.pop())
    for i, (filters, transposed) in enumerate(zip((256, 128, 64, 32, 16), (32, 16, 8, 4, 2)), start=1):
        conv(f"Conv_Up_{i}_1", filters)
        conv(f"Conv_Up_{i}_2", filters)
        transpose(f"Conv_Transp_Up_{i}", transposed, skips.pop())
    conv("Conv_Classif_1", 16)
    conv("Conv_Classif_2", 16)
    conv("Conv_Out", 1, size=1)
    return layers


def unet_weights(dtype):
    """Returns {"Conv_Down_1_1/kernel": array, "Conv_Down_1_1/bias": array, …}: Glorot-uniform, biases not zero."""
    weights, rng = {}, np.random.RandomState(2024)
    for name, shape in unet_kernels():
        kh, kw, a, b = shape
        limit = math.sqrt(6 / (kh * kw * (a + b)))  # a + b: channels in and out, in either order
        filters = a if "Transp" in name else b
        weights[f"{name}/kernel"] = rng.uniform(-limit, limit, shape).astype(dtype)
        weights[f"{name}/bias"] = rng.uniform(-0.05, 0.05, filters).astype(dtype)
    return weights


def unet_batch(count, size, dtype):
    """Returns images (count, size, size, 3) in [0, 1] and targets (count, size, size, 1) of 0 and 1.

    An image is 8 x 8 squares of random color with noise on each pixel; the target is 1 where red exceeds blue.
    """
    rng = np.random.RandomState(7)
    squares = rng.uniform(0, 1, (count, 8, 8, 3)).repeat(size // 8, axis=1).repeat(size // 8, axis=2)
    images = 0.8 * squares + 0.2 * rng.uniform(0, 1, (count, size, size, 3))
    return images.astype(dtype), (squares[..., :1] > squares[..., 2:]).astype(dtype)


OUTPUT = {"count": 2, "size": 256}  # one forward and backward pass
TRAINING = {"count": 2, "size": 64}  # STEPS steps on one batch
STEPS = 20
OPTIMIZERS = {  # Keras' name: its settings; all others are Keras' defaults
    "RMSprop": {"learning_rate": 1e-3},
    "Adam": {"learning_rate": 1e-3},
    "SGD": {"learning_rate": 1e-2, "momentum": 0.875},
}


# ---- single operations -------------------------------------------------------------------------------------


def conv2d_cases():
    """Returns {name: (x shape, w shape, stride, padding)}."""
    cases = {}
    for kernel in ((1, 1), (2, 2), (3, 3), (5, 5), (3, 2)):
        for stride in ((1, 1), (2, 2), (3, 3)):
            for padding in ("same", "valid"):
                name = f"conv2d {kernel[0]}x{kernel[1]} stride {stride[0]} {padding}"
                cases[name] = (2, 7, 6, 2), kernel + (2, 3), stride, padding
    cases["conv2d 3x3 stride 2,1 same"] = (1, 6, 5, 2), (3, 3, 2, 3), (2, 1), "same"
    cases["conv2d 2x3 stride 1,3 valid"] = (1, 6, 8, 2), (2, 3, 2, 3), (1, 3), "valid"
    return cases


def conv_transpose2d_cases():
    """Returns {name: (x shape, w shape, stride, padding)}."""
    cases = {}
    for kernel in (1, 2, 3, 4):
        for stride in (1, 2, 3):
            for padding in ("same", "valid"):
                name = f"conv_transpose2d {kernel}x{kernel} stride {stride} {padding}"
                cases[name] = (2, 3, 2, 2), (kernel, kernel, 3, 2), (stride, stride), padding
    cases["conv_transpose2d 3x2 stride 2,1 same"] = (1, 3, 4, 2), (3, 2, 3, 2), (2, 1), "same"
    cases["conv_transpose2d 1x4 stride 1,3 valid"] = (1, 3, 2, 2), (1, 4, 3, 2), (1, 3), "valid"
    return cases


def max_pool2d_cases():
    """Returns {name: (x shape, window, stride, padding)}; inputs with "ties" in their name repeat a few values."""
    cases = {}
    for size, stride in ((2, 2), (3, 1), (3, 2), (2, 3), (1, 2)):
        for padding in ("same", "valid"):
            name = f"max_pool2d {size}x{size} stride {stride} {padding}"
            cases[name] = (2, 7, 6, 2), (size, size), (stride, stride), padding
    cases["max_pool2d 2x3 stride 3,2 same"] = (2, 7, 6, 2), (2, 3), (3, 2), "same"
    cases["max_pool2d 2x2 stride 2 valid, ties"] = (2, 8, 8, 2), (2, 2), (2, 2), "valid"
    cases["max_pool2d 3x3 stride 2 same, ties"] = (2, 7, 7, 2), (3, 3), (2, 2), "same"
    return cases


def max_pool2d_input(name, shape):
    """Returns distinct numbers, or only 0, 1 and 2 if the name says ties."""
    return np.floor(draw(name, shape, 0, 3)) if "ties" in name else draw(name, shape)


def activation_input():
    """Returns numbers from one flat end of the sigmoid to the other, including exactly 0, where ReLU has its kink."""
    return np.array([-100, -30, -5, -0.5, -1e-6, 0, 1e-6, 0.5, 5, 30, 100.0])


def probabilities():
    """Returns (p, t): probabilities, including exactly 0 and 1 and numbers close to them, for targets 0, 0.3 and 1."""
    p = np.array([0, 1e-9, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-6, 1])
    return np.repeat(p, 3).reshape(2, 3, 4, 1), np.tile([0, 0.3, 1], p.size).reshape(2, 3, 4, 1)


def logits():
    """Returns (z, t): logits up to ±1000 for targets 0, 0.3 and 1."""
    z = np.array([-1000, -100, -10, -0.1, 0, 0.1, 10, 100.0])
    return np.repeat(z, 3).reshape(2, 3, 4, 1), np.tile([0, 0.3, 1], z.size).reshape(2, 3, 4, 1)


def batch_norm_arrays():
    """Returns (x, gamma, beta, moving mean, moving variance); x has channels far from 0, wide, narrow and constant."""
    x = draw("batch_norm x", (3, 5, 4, 4)) * np.array([1, 20, 0.01, 0]) + np.array([0, 100, -1, 2])
    gamma, beta = draw("batch_norm gamma", 4, 0.5, 2), draw("batch_norm beta", 4)
    return x, gamma, beta, draw("batch_norm mean", 4), draw("batch_norm variance", 4, 0.5, 2)


def masks():
    """Returns (p, t) for the Dice loss: two images, one with little foreground and one with a lot."""
    t = draw("dice target", (2, 5, 4, 1)) > np.array([0.7, -0.5]).reshape(2, 1, 1, 1)
    return draw("dice", (2, 5, 4, 1), 0, 1), t.astype("float64")


# Keras rounds the constants of Adam and the momentum of SGD to float32 even in a float64 run. Numbers that float32
# holds exactly, such as 7/8, can be compared to the last digit; Adam's defaults are not, and are a case of their own.
OPTIMIZER_TRACES = {
    "RMSprop": ("RMSprop", {}),
    "SGD": ("SGD", {}),
    "SGD with momentum": ("SGD", {"momentum": 0.875}),
    "Adam": ("Adam", {"beta_1": 0.875, "beta_2": 1 - 2**-10}),
    "Adam by default": ("Adam", {}),
    "AdamW": ("AdamW", {"beta_1": 0.875, "beta_2": 1 - 2**-10, "weight_decay": 0.125}),
    "SGD with weight decay": ("SGD", {"momentum": 0.875, "weight_decay": 0.125}),
}


def optimizer_trace():
    """Returns (start, gradients of 6 steps). Sizes from 1e-8 to 10 reveal where epsilon is; one step is all zeros."""
    start = draw("optimizer start", 8)
    gradients = draw("optimizer gradients", (6, 8)) * np.array([0, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1, 10])
    gradients[3] = 0
    return start, gradients
