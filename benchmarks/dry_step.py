"""What a training step of the lecture's U-Net asks of a GPU, found out without one.

Which kernels run, on how many blocks, compiled with which constants, follows from shapes, types and the GPU's compute
capability. So the functions of minunet.kernels.gpu are called in the order of a training step, with arrays of NumPy
that nobody fills, and every launch is written down instead of done.

bytes     of the arrays that a launch is given: what passes between memory and the GPU if each is read or written once.
products  multiplications with an addition: `useful` ones by the formula of the convolution; `executed` are more on
          tensor cores, which multiply whole tiles and whole groups of eight channels.
"""

import contextlib
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import lecture
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet import cublas
from minunet.kernels import gpu
from minunet.kernels.gpu import convolution, launch, losses, patches, pointwise, pooling, sums, tensor
from minunet.precision import use_precision

WORKSPACE = 1 << 30  # bytes for P(x), as on any large GPU
FIELDS = "H", "W", "C", "OH", "OW", "F", "KH", "KW", "SH", "SW", "top", "left"  # of struct Geometry
WINDOWS_OF = {  # the argument that has a number for each window and filter, by kernel of a convolution
    "convolve": 4,
    "convolve_transposed": 0,
    "weight_gradient": 2,
    "tensor_convolve": 4,
    "tensor_backward": 3,
}
NO_PADS = (0, 0), (0, 0)


class Launch(NamedTuple):
    """A launch of a kernel. source is None for what CuPy and cuBLAS bring along."""

    kernel: str
    source: str | None
    constants: tuple[tuple[str, object], ...]  # that the source is compiled with
    shared: int  # bytes of shared memory beside those that the source declares
    arithmetic: str  # float32, tf32 or half: what the products are computed with
    bytes: int
    useful: int = 0
    executed: int = 0


def training_step(batch, size, precision, capability, shared):
    """Returns the Launches of a training step on a GPU of that compute capability. precision: float32, tf32, mixed.

    shared: bytes of shared memory for all blocks on a multiprocessor.
    """
    launches = []
    with use_precision(precision), _on_paper(launches, capability, shared):
        _step(launches, batch, size, _half(capability) if precision == "mixed" else np.dtype(np.float32))
    return launches


def _half(capability):
    if capability < 80:
        return np.dtype(np.float16)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


# ---- the step ----------------------------------------------------------------------------------------------


def _step(launches, batch, size, stored):
    """Calls the kernels as lecture_step does: from bytes to the scores."""
    kernels, parameters, way_back, maxima = dict(lecture.unet_kernels()), [], [], {}

    def by_cupy(what, moved):
        launches.append(Launch(f"{what} (CuPy)", None, (), 0, "float32", moved))

    def layer(name, filters):
        w, b = np.zeros(kernels[name], np.float32), np.zeros(filters, np.float32)
        parameters.extend((w, b))
        return w, b

    def conv(x, name):
        w, b = layer(name, kernels[name][3])
        pads = ((w.shape[0] // 2,) * 2,) * 2
        x, *others = x if isinstance(x, tuple) else (x,)
        beside = {"beside": others[0]} if others else {}
        if name.startswith("Conv_Down") and name.endswith("_2"):  # with the pooling behind it
            y, maxima[name], argmax = gpu.convolve(x, w, b, (1, 1), pads, relu=True, pool=True)
            gy, needs = np.empty(y.shape, y.dtype), (True, True, True)  # gy: what comes back through the skip
            way_back.append(
                lambda gpooled: gpu.convolve_backward(x, w, gy, y, (1, 1), pads, needs, pooled=(gpooled, argmax))[0]
            )
            return y
        y = gpu.convolve(x, w, b, (1, 1), pads, relu=name != "Conv_Out", **beside)
        needs, of_relu = (
            (name != "Conv_Down_1_1", True, True, *(True for _ in others)),
            None if name == "Conv_Out" else y,
        )
        way_back.append(lambda gy: gpu.convolve_backward(x, w, gy, of_relu, (1, 1), pads, needs, **beside)[0])
        return y

    def transpose(x, name):
        w, b = layer(name, kernels[name][2])
        y = gpu.convolve_transposed(x, w, b, (2, 2), NO_PADS, (2 * x.shape[1], 2 * x.shape[2]))

        def back(gy):
            gpu.sum_over_pixels(gy)
            gpu.weight_gradient(gy, x, (2, 2), (2, 2), NO_PADS)
            return gpu.convolve(gy, w, None, (2, 2), NO_PADS)

        way_back.append(back)
        return y

    images, masks = np.empty((batch, size, size, 3), np.uint8), np.empty((batch, size, size, 1), np.uint8)
    x, t, weights = gpu.to_float(images, masks, 255)
    if stored != np.float32:
        by_cupy("round to 16 bits", x.nbytes + x.size * stored.itemsize)
    z = lecture.forward(np.empty(x.shape, stored), conv, transpose, lambda y: maxima.popitem()[1], lambda a, b: (a, b))
    gz = z
    if z.dtype != np.float32:
        by_cupy("widen the logits", 6 * z.size)
        z = np.empty(z.shape, np.float32)
    gpu.losses.cross_entropy(z, t, weights)
    by_cupy("scale the error", z.nbytes + gz.nbytes)
    for back in reversed(way_back):
        gz = back(gz)
    numbers, weights_bytes = np.empty(launch.THREADS, np.float32), sum(p.nbytes for p in parameters)
    if stored == np.float16:  # loss_scaling.py: flattened, their absolute values, the largest, divided by the scale
        by_cupy("unscale the gradients", 7 * weights_bytes)
    grid = launch.BLOCKS // 8, len(parameters)
    launch.launch("optimizers.cu", "rmsprop", grid, numbers.dtype, numbers, TENSORS=gpu.optimizers.TENSORS)
    launches[-1] = launches[-1]._replace(bytes=5 * weights_bytes)  # w, g and v are read, w and v written
    gpu.losses.mask_counts(z, masks, 0.0, 255)


# ---- what is written down ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _on_paper(launches, capability, shared):
    """Inside, launches and products are appended to the list instead of done."""

    class Kernel:
        def __init__(self, source, name):
            self.source, self.name = source, name

        def __call__(self, blocks, threads, arguments, shared_mem=0):
            launches.append(_launch(self, blocks, arguments, shared_mem))

    def product(a, b, out, tf32=False):
        count, moved = a.shape[0] * a.shape[1] * b.shape[1], a.nbytes + b.nbytes + out.nbytes
        arithmetic = "half" if a.itemsize == 2 else "tf32" if tf32 else "float32"
        launches.append(Launch("product (cuBLAS)", None, (), 0, arithmetic, moved, count, count))

    launch._compiled.cache_clear()
    with contextlib.ExitStack() as stack:
        for module in (convolution, losses, pointwise, pooling, sums):
            stack.enter_context(patch.object(module, "ready", lambda array: array))
        stack.enter_context(patch.object(launch, "compile_kernel", Kernel))
        stack.enter_context(patch.object(cublas, "product", product))
        stack.enter_context(patch.object(sums, "kept_zeros", lambda size: np.zeros(size, np.uint32)))
        stack.enter_context(patch.object(patches, "workspace_bytes", lambda device: WORKSPACE))
        stack.enter_context(patch.object(tensor, "compute_capability", lambda device: capability))
        stack.enter_context(patch.object(tensor, "shared_memory", lambda device: shared))
        yield
    launch._compiled.cache_clear()


def _launch(kernel, blocks, arguments, shared):
    head = re.match(r"(?:#.*\n)*", kernel.source)[0]
    defined = dict(re.findall(r"#define (\w+) (.+)", head))
    constants = {name: value for name, value in defined.items() if name == "Real" or value.isdigit()}
    arrays = [a for a in arguments if isinstance(a, np.ndarray) and a.ndim]
    useful, executed = _products(kernel.name, blocks, arguments, constants)
    arithmetic = "float32"
    if kernel.name.startswith("tensor_"):
        arithmetic = "tf32" if constants["Real"] == "float" else "half"
    moved = sum(a.nbytes for a in arrays)
    return Launch(kernel.name, kernel.source, _differing(constants), shared, arithmetic, moved, useful, executed)


def _differing(constants):
    """Returns the constants without those that are the same for every kernel, or say nothing."""
    hidden, flags = ("THREADS", "WARP", "TENSORS"), ("BESIDE", "POOL", "POOLED", "ASYNC")  # 0 where they do not apply
    return tuple((k, v) for k, v in constants.items() if k not in hidden and v != ("0" if k in flags else "1"))


def _products(kernel, blocks, arguments, constants):
    """Returns (useful, executed) products of a launch: 0 unless it is a convolution."""
    if kernel not in WINDOWS_OF:
        return 0, 0
    struct = next(a for a in arguments if isinstance(a, np.ndarray) and a.ndim == 0)
    g = dict(zip(FIELDS, np.frombuffer(struct.tobytes(), np.int32).tolist()))
    output = arguments[WINDOWS_OF[kernel]]
    useful = output.size * g["KH"] * g["KW"] * g["C"]
    if not kernel.startswith("tensor_"):
        return useful, useful
    instructions, passes = _instructions(kernel, arguments, {k: int(v) for k, v in constants.items() if k != "Real"})
    executed = instructions * blocks[1] * 16 * 8 * 8 * (4 // output.itemsize)
    if executed < passes * useful:
        raise AssertionError(f"{kernel}: the formula of its instructions no longer fits the kernel")
    return passes * useful, executed


def _instructions(kernel, arguments, c):
    """Returns how many mma.sync the blocks with the same blockIdx.y execute, and how many convolutions that is.

    The names are those of tiles.cu and tensor_backward.cu.
    """
    warps, per_word = launch.THREADS // launch.WARP, 4 // arguments[0].itemsize
    taps_h, taps_w, rows, eights, across = (c.get(k, 1) for k in ("TAPS_H", "TAPS_W", "ROWS", "EIGHTS", "ACROSS"))
    steps = math.ceil(c["CHANNELS"] / (8 * per_word))
    convolution_of_a_tile = warps * rows * taps_h * taps_w * steps * eights
    if kernel == "tensor_convolve":
        return int(arguments[7]) * convolution_of_a_tile, 1
    split, pairs = c.get("SPLIT", 1), math.ceil(taps_w * math.ceil(c["CHANNELS"] / 8) / 2)
    strips, tile_rows = across * 16 // (8 * per_word), warps // across * rows
    gw_of_a_tile = split * math.ceil(pairs * eights / split) * taps_h * strips * tile_rows
    has_gx = isinstance(arguments[7], np.ndarray)
    return int(arguments[11]) * (gw_of_a_tile + has_gx * convolution_of_a_tile), 1 + has_gx
