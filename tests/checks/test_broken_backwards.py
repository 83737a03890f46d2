"""A check that cannot fail proves nothing: here each derivative is broken on purpose, and the check must notice.

Every break is one that has been made before: a swapped tap, a sum that is missing, a wrong slice, a sign.
"""

import collections
import importlib
from typing import NamedTuple

import numpy as np
import pytest

import minunet
from minunet import Function, get_num_threads, ops, set_num_threads
from minunet.autograd import Tensor, arithmetic, function, rearrange
from minunet.autograd.gradcheck import GradientError
from minunet.checks.gradient_cases import all_cases
from minunet.kernels import cpu

(
    batch_norm,
    binary_cross_entropy,
    concatenate,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    dice,
    dropout,
    focal,
    max_pool2d,
    mean_absolute_error,
    mean_squared_error,
    multiclass_dice,
    relu,
    sigmoid,
    softmax,
) = (
    importlib.import_module(f"minunet.ops.{name}")  # the modules; `minunet.ops.conv2d` is the function
    for name in (
        "batch_norm",
        "binary_cross_entropy",
        "concatenate",
        "conv2d",
        "conv_transpose2d",
        "cross_entropy",
        "dice",
        "dropout",
        "focal",
        "max_pool2d",
        "mean_absolute_error",
        "mean_squared_error",
        "multiclass_dice",
        "relu",
        "sigmoid",
        "softmax",
    )
)
crop = importlib.import_module("minunet.ops.crop")
CASES = collections.defaultdict(list)
for case in all_cases():
    CASES[case.operation].append(case)


class Break(NamedTuple):
    """The `attributes` of `owner`, a class or a module, are replaced; cases of `operation` must notice."""

    owner: object
    what: str
    operation: str
    attributes: dict

    def __str__(self):
        return f"{self.owner.__name__.removeprefix('minunet.')}, {self.what}, by {self.operation}"


def gradient(function, i, change):
    """A backward whose gradient of input i is changed."""
    backward = function.backward

    def broken(self, gy):
        gradients = backward(self, gy)
        gradients = list(gradients) if isinstance(gradients, tuple) else [gradients]
        if i < len(gradients) and gradients[i] is not None:
            gradients[i] = change(gradients[i])
        return tuple(gradients)

    return {"backward": broken}


def upstream(function, change):
    """A backward that starts from a changed gy."""
    backward = function.backward
    return {"backward": lambda self, gy: backward(self, change(gy))}


def wrapped(module, name, change):
    """A function of a module whose arguments are changed."""
    function = getattr(module, name)
    return {name: lambda *arguments: function(*change(*arguments))}


def convolution_with(**broken):
    """The backward of a convolution, composed of single kernels of which one or more are broken."""
    names = "relu_gradient", "convolve_transposed", "weight_gradient", "sum_over_pixels"
    kernels = {name: getattr(cpu, name) for name in names} | broken

    def backward(x, w, gy, y, stride, pads, needs, beside=None):
        if beside is not None:
            whole = backward(cpu.concatenate(x, beside), w, gy, y, stride, pads, (True, *needs[1:3]))
            gx, gbeside = cpu.split(whole[0], x.shape[3])
            return gx, *whole[1:], gbeside
        gz = gy if y is None else kernels["relu_gradient"](gy, y)
        gx = kernels["convolve_transposed"](gz, w, None, stride, pads, x.shape[1:3])
        gw = kernels["weight_gradient"](x, gz, w.shape[:2], stride, pads)
        gradients = gx, gw, kernels["sum_over_pixels"](gz)
        return tuple(g if need else None for g, need in zip(gradients, needs))

    return {"convolve_backward": backward}


def both(gx, gy):
    """The `products` of an elementwise operation."""
    return {"products": lambda self, g, a, b: (lambda: gx(g, a, b), lambda: gy(g, a, b))}


def first_slice(g, shape):
    """Instead of the sum over repeated axes, one of the terms."""
    g = g[(0,) * (g.ndim - len(shape))]
    return g[tuple(slice(0, 1) if size == 1 else slice(None) for size in shape)]


def without_sum_over_images(gy):
    return gy[:1].sum(axis=(0, 1, 2))


def assigned(self, gy):
    """GetItem: an element that was picked twice keeps the last gradient."""
    gx = np.zeros(self.shape)
    gx[self.index] = gy
    return gx


def overwritten(gy, argmax, size, stride, pads, input_size):
    """Max pooling: the argmax of two windows keeps the gradient of the last one."""
    gx = np.zeros((len(gy), *input_size, gy.shape[3]))
    for n, i, j, c in np.ndindex(gy.shape):
        k, l = divmod(int(argmax[n, i, j, c]), size[1])
        gx[n, i * stride[0] + k - pads[0][0], j * stride[1] + l - pads[1][0], c] = gy[n, i, j, c]
    return gx


def spread(gy, argmax, size, stride, pads, input_size):
    """Max pooling: every pixel of the window gets an equal part, as in average pooling."""
    return sum(
        max_pool_gradient(gy, np.full_like(argmax, place), size, stride, pads, input_size)
        for place in range(size[0] * size[1])
    ) / (size[0] * size[1])


def next_place(gy, argmax, size, *others):
    return gy, (argmax + 1) % (size[0] * size[1]), size, *others


def flipped(y, w, *others):
    return y, w[::-1, ::-1], *others


def channels_and_filters_exchanged(y, w, *others):
    return y, w.swapaxes(2, 3).reshape(w.shape), *others


def moved_pads(*arguments):
    """The padding above and below swapped, wherever in the arguments it stands."""
    pads = next(a for a in arguments if isinstance(a, tuple) and isinstance(a[0], tuple))
    return [(pads[0][::-1], pads[1]) if a is pads else a for a in arguments]


def exchanged_slices(self, gy):
    axis = self.axis % gy.ndim
    cuts = np.split(gy, np.cumsum(self.sizes[::-1])[:-1], axis)[::-1]
    return tuple(cuts)


def spread_to_the_edges(self, gy):
    """Crop: what was cut off gets the gradient of the nearest pixel of the window."""
    before = [self.window[axis].start for axis in (1, 2)]
    after = [self.shape[axis] - self.window[axis].stop for axis in (1, 2)]
    return np.pad(gy, ((0, 0), *zip(before, after), (0, 0)), mode="edge")


def at_the_corner(self, gy):
    """Crop: the gradient lands where the window would be if nothing were cut off above and at the left."""
    gx = np.zeros(self.shape)
    gx[:, : gy.shape[1], : gy.shape[2]] = gy
    return gx


def error_without_truth(z, t, weights):
    loss, scale, error = binary_error(z, t, weights)
    return loss, scale, error + (t if weights is None else weights * t)


def error_without_weights(z, t, weights):
    return *binary_error(z, t, weights)[:2], binary_error(z, t, None)[2]


def dice_without_quotient_rule(self, gy):
    return (gy / self.D.size * -2 / self.D).reshape(-1, *(1,) * (self.t.ndim - 1)) * self.t


def dice_without_weights(self, gy):
    self.weights = None
    return dice_backward(self, gy)


def dice_with_one_area(self, gy):
    self.D = self.D.mean(keepdims=True) + 0 * self.D
    return dice_backward(self, gy)


def class_error_with(change):
    """softmax_cross_entropy with another error: change(error, z, classes, weights, class_weights, gamma)."""

    def broken(z, classes, weights, class_weights=None, gamma=0.0):
        arguments = z, classes, weights, class_weights, gamma
        loss, scale, error = class_error(*arguments)
        return loss, scale, change(error, *arguments)

    return {"softmax_cross_entropy": broken}


def without_onehot(error, z, classes, weights, class_weights, gamma):
    one_hot = (classes[..., None] == np.arange(z.shape[-1])).astype(float)
    w = one_hot if class_weights is None else one_hot * class_weights
    return error + (w if weights is None else w * weights[..., None])


def without_pixel_weights(error, z, classes, weights, class_weights, gamma):
    return class_error(z, classes, None, class_weights, gamma)[2]


def without_class_weights(error, z, classes, weights, class_weights, gamma):
    return class_error(z, classes, weights, None, gamma)[2]


def ignored_as_class_0(error, z, classes, weights, class_weights, gamma):
    return class_error(z, np.where(classes == 255, 0, classes), weights, class_weights, gamma)[2]


def without_focus(error, z, classes, weights, class_weights, gamma):
    return class_error(z, classes, weights, class_weights)[2]


def only_half_of_the_focus(error, z, classes, weights, class_weights, gamma):
    """(1 - q)^γ, as if it were a constant weight."""
    q = np.take_along_axis(cpu.softmax(z), np.clip(classes, 0, z.shape[-1] - 1)[..., None], -1)
    return class_error(z, classes, weights, class_weights)[2] * (1 - q) ** gamma


def areas_without_quotient_rule(p, classes, weights, ga, gb):
    return area_gradient(p, classes, weights, 0 * ga, gb)


def areas_without_the_truth(p, classes, weights, ga, gb):
    return area_gradient(p, classes, weights, ga, 0 * gb)


def areas_without_softmax(p, classes, weights, ga, gb):
    """gp in place of gz."""
    truth = classes[..., None] == np.arange(p.shape[-1])
    w = (classes != 255) * (1.0 if weights is None else weights)
    return w[..., None] * (ga[:, None, None] + gb[:, None, None] * truth)


def areas_of_one_image(self, gy):
    self.D = self.D.mean(axis=0) + 0 * self.D
    return classes_backward(self, gy)


def areas_of_equal_classes(self, gy):
    self.share = 0 * self.share + self.share.mean()
    return classes_backward(self, gy)


def statistics_taken_for_constants(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, scale):
    return normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, 0)


def only_the_mean(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, scale):
    return normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, 0 * ggamma, scale)


def only_the_variance(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, scale):
    return normalize_gradient(gy, x, mean, r, gamma, beta, relu, 0 * gbeta, ggamma, scale)


def relu_forgotten(gy, x, mean, r, gamma, beta, relu, *rest):
    return gy, x, mean, r, gamma, beta, False, *rest


def exchanged_arrays(self, gy):
    """The gradients of two arrays side by side: the first channels go to the second."""
    gx, gw, *gb, gbeside = conv2d_backward(self, gy)
    if self.beside is None:
        return gx, gw, *gb, gbeside
    both = np.concatenate([gbeside, gx], axis=3)
    return both[..., : gx.shape[3]], gw, *gb, both[..., gx.shape[3] :]


def exchanged_rows(self, gy):
    """The gradient of the kernel of two arrays side by side: as if the second came first."""
    gradients = list(conv2d_backward(self, gy))
    if self.beside is not None:
        A = self.x.shape[3]
        gradients[1] = np.concatenate([gradients[1][:, :, A:], gradients[1][:, :, :A]], axis=2)
    return tuple(gradients)


def replaced(leaf, gx, owned):
    """Instead of adding up in a leaf."""
    leaf.grad = gx.copy()


A, C, K = arithmetic, conv2d.Conv2DFunction, conv_transpose2d.ConvTranspose2DFunction
Pool, Join, Dice = max_pool2d.MaxPool2DFunction, concatenate.ConcatenateFunction, dice.DiceLossFunction
Crop = crop.CropFunction
Norm, Drop = batch_norm.BatchNormFunction, dropout.DropoutFunction
Softmax, LogSoftmax = softmax.SoftmaxFunction, softmax.LogSoftmaxFunction
Classes, Areas = cross_entropy.CrossEntropyWithLogitsFunction, multiclass_dice.MulticlassDiceLossWithLogitsFunction
Focal = focal.FocalLossWithLogitsFunction
Squared, Absolute = mean_squared_error.MeanSquaredErrorFunction, mean_absolute_error.MeanAbsoluteErrorFunction
BCE, Logits = binary_cross_entropy.BinaryCrossEntropyFunction, binary_cross_entropy.BinaryCrossEntropyWithLogitsFunction

# A break must call the original, even while it replaces it.
conv2d_backward = C.backward
dice_backward, max_pool_gradient, binary_error = Dice.backward, cpu.max_pool_gradient, cpu.cross_entropy
class_error, area_gradient, classes_backward = cpu.softmax_cross_entropy, cpu.class_overlap_gradient, Areas.backward
normalize_gradient = cpu.normalize_gradient

BREAKS = [
    Break(A.Add, "a sign", "+", both(lambda g, a, b: g, lambda g, a, b: -g)),
    Break(A.Add, "one summand forgotten", "+", gradient(A.Add, 1, lambda g: 0 * g)),
    Break(A, "no sum over a repeated axis", "+", {"sum_to": first_slice}),
    Break(A, "no sum over a repeated axis", "*", {"sum_to": first_slice}),
    Break(A, "the repeated axis left as it is", "-", {"sum_to": lambda g, shape: g}),
    Break(A.Subtract, "a sign", "-", both(lambda g, a, b: g, lambda g, a, b: g)),
    Break(A.Subtract, "inputs exchanged", "-", both(lambda g, a, b: -g, lambda g, a, b: g)),
    Break(A.Multiply, "factors exchanged", "*", both(lambda g, a, b: g * a, lambda g, a, b: g * b)),
    Break(A.Divide, "b in place of b²", "/", both(lambda g, a, b: g / b, lambda g, a, b: -g * a / b)),
    Break(A.Divide, "a sign", "/", both(lambda g, a, b: g / b, lambda g, a, b: g * a / (b * b))),
    Break(
        A.Power,
        "the exponent not lowered",
        "**",
        both(lambda g, a, b: g * b * a**b, lambda g, a, b: g * a**b * np.log(a)),
    ),
    Break(A.Power, "no logarithm", "**", both(lambda g, a, b: g * b * a ** (b - 1), lambda g, a, b: g * a**b)),
    Break(A.Negate, "a sign", "-x", {"backward": lambda self, gy: gy}),
    Break(A.Exp, "the derivative forgotten", "exp", {"backward": lambda self, gy: gy}),
    Break(A.Log, "x in place of 1/x", "log", {"backward": lambda self, gy: gy * self.x}),
    Break(A.MatMul, "rows of the left reversed", "@", gradient(A.MatMul, 0, lambda g: g[::-1])),
    Break(A.MatMul, "columns of the right reversed", "@", gradient(A.MatMul, 1, lambda g: g[..., ::-1])),
    Break(A, "no sum over the stack", "@", {"sum_to": first_slice}),
    Break(rearrange.Sum, "a mean", "sum", gradient(rearrange.Sum, 0, lambda g: g / g.size)),
    Break(rearrange.Sum, "a mean", "mean", gradient(rearrange.Sum, 0, lambda g: g / g.size)),
    Break(rearrange.Sum, "rolled along an axis", "sum", gradient(rearrange.Sum, 0, lambda g: np.roll(g, 1, -1))),
    Break(
        rearrange.Reshape, "columns first", "reshape", {"backward": lambda self, gy: gy.reshape(self.shape, order="F")}
    ),
    Break(
        rearrange.Transpose,
        "the same order once more",
        "transpose",
        {"backward": lambda self, gy: gy.transpose(self.axes)},
    ),
    Break(rearrange.Transpose, "not put back", "transpose", {"backward": lambda self, gy: gy}),
    Break(rearrange.GetItem, "the last of several gradients", "getitem", {"backward": assigned}),
    Break(
        rearrange.GetItem, "the next element", "getitem", gradient(rearrange.GetItem, 0, lambda g: np.roll(g, 1, -1))
    ),
    Break(rearrange.To, "a factor", "to", gradient(rearrange.To, 0, lambda g: 2 * g)),
    Break(Tensor, "a leaf: the last of several gradients", "graph", {"accumulate": replaced}),
    Break(
        function,
        "a result: the last of several gradients",
        "UNet",
        {"_add": lambda a, a_is_ours, b, b_is_ours: (b, False)},
    ),
    Break(C, "taps swapped", "conv2d", gradient(C, 1, lambda gw: gw[::-1])),
    Break(C, "taps swapped", "UNet", gradient(C, 1, lambda gw: gw[:, ::-1])),
    Break(C, "channels of the kernel reversed", "conv2d", gradient(C, 1, lambda gw: gw[:, :, ::-1])),
    Break(C, "no gradient for the bias", "conv2d", gradient(C, 2, lambda gb: 0 * gb)),
    Break(C, "no gradient for the bias", "UNet", gradient(C, 2, lambda gb: 0 * gb)),
    Break(C, "no gradient for the bias", "nn.Conv2D", gradient(C, 2, lambda gb: 0 * gb)),
    Break(
        cpu,
        "bias: no sum over the images",
        "conv2d",
        convolution_with(sum_over_pixels=without_sum_over_images),
    ),
    Break(C, "the image shifted by a pixel", "conv2d", gradient(C, 0, lambda gx: np.roll(gx, 1, 2))),
    Break(
        C,
        "only the first image",
        "conv2d",
        gradient(C, 0, lambda gx: gx * (np.arange(len(gx)) == 0)[:, None, None, None]),
    ),
    Break(C, "a mean over the images", "conv2d", gradient(C, 1, lambda gw: gw / 2)),
    Break(
        cpu,
        "padding above and below swapped",
        "conv2d",
        convolution_with(**wrapped(cpu, "weight_gradient", moved_pads)),
    ),
    Break(
        cpu,
        "padding above and below swapped",
        "conv2d",
        convolution_with(**wrapped(cpu, "convolve_transposed", moved_pads)),
    ),
    Break(cpu, "kernel flipped", "conv2d", convolution_with(**wrapped(cpu, "convolve_transposed", flipped))),
    Break(
        cpu,
        "channels and filters exchanged",
        "conv2d",
        convolution_with(**wrapped(cpu, "convolve_transposed", channels_and_filters_exchanged)),
    ),
    Break(
        cpu,
        "rows of the gradient reversed",
        "conv2d",
        convolution_with(**wrapped(cpu, "weight_gradient", lambda x, gy, *rest: (x, gy[:, ::-1], *rest))),
    ),
    Break(cpu, "ReLU forgotten", "conv2d", convolution_with(relu_gradient=lambda gy, y: gy)),
    Break(cpu, "ReLU forgotten", "nn.Conv2D", convolution_with(relu_gradient=lambda gy, y: gy)),
    Break(K, "taps swapped", "conv_transpose2d", gradient(K, 1, lambda gw: gw[:, ::-1])),
    Break(K, "taps swapped", "UNet", gradient(K, 1, lambda gw: gw[::-1])),
    Break(K, "no gradient for the bias", "conv_transpose2d", gradient(K, 2, lambda gb: 0 * gb)),
    Break(K, "no gradient for the bias", "nn.ConvTranspose2D", gradient(K, 2, lambda gb: 0 * gb)),
    Break(cpu, "bias: no sum over the images", "conv_transpose2d", {"sum_over_pixels": without_sum_over_images}),
    Break(K, "the image shifted by a pixel", "conv_transpose2d", gradient(K, 0, lambda gx: np.roll(gx, 1, 1))),
    Break(K, "image and gradient exchanged", "conv_transpose2d", upstream(K, lambda gy: gy[:, ::-1])),
    Break(K, "output channels reversed", "conv_transpose2d", gradient(K, 1, lambda gw: gw[:, :, ::-1])),
    Break(Pool, "zeros", "max_pool2d", gradient(Pool, 0, lambda gx: 0 * gx)),
    Break(cpu, "the pixel after the argmax", "max_pool2d", wrapped(cpu, "max_pool_gradient", next_place)),
    Break(Pool, "shifted by a pixel", "nn.MaxPool2D", gradient(Pool, 0, lambda gx: np.roll(gx, 1, 2))),
    Break(cpu, "the last of overlapping windows", "max_pool2d", {"max_pool_gradient": overwritten}),
    Break(cpu, "spread over the window", "max_pool2d", {"max_pool_gradient": spread}),
    Break(cpu, "spread over the window", "UNet", {"max_pool_gradient": spread}),
    Break(Join, "slices exchanged", "concatenate", {"backward": exchanged_slices}),
    Break(Join, "slices exchanged", "nn.Concatenate", {"backward": exchanged_slices}),
    Break(Join, "a slice that begins too late", "concatenate", upstream(Join, lambda gy: np.roll(gy, -1, -1))),
    Break(Join, "the skip cut off", "nn.Concatenate", gradient(Join, 1, lambda g: 0 * g)),
    Break(C, "the skip cut off", "UNet", gradient(C, 3, lambda g: 0 * g)),
    Break(C, "the skip shifted by a pixel", "conv2d", gradient(C, 3, lambda g: np.roll(g, 1, 2))),
    Break(C, "the gradients of two arrays exchanged", "nn.Concatenate", {"backward": exchanged_arrays}),
    Break(C, "the kernel's rows exchanged", "conv2d", {"backward": exchanged_rows}),
    Break(Crop, "edges get a gradient", "crop", {"backward": spread_to_the_edges}),
    Break(Crop, "edges get a gradient", "UNet2015", {"backward": spread_to_the_edges}),
    Break(Crop, "at the corner", "crop", {"backward": at_the_corner}),
    Break(Crop, "at the corner", "nn.Crop", {"backward": at_the_corner}),
    Break(Crop, "rows reversed", "crop", gradient(Crop, 0, lambda g: g[:, ::-1])),
    Break(Crop, "the skip cut off", "UNet2015", gradient(Crop, 0, lambda g: 0 * g)),
    Break(C, "taps swapped", "UNet2015", gradient(C, 1, lambda gw: gw[::-1])),
    Break(rearrange.GetItem, "a mirrored pixel: the last gradient", "UNet2015", {"backward": assigned}),
    Break(K, "the way through the depth cut off", "UNet", gradient(K, 0, lambda g: 0 * g)),
    Break(
        cpu,
        "mean and variance taken for constants",
        "batch_norm",
        {"normalize_gradient": statistics_taken_for_constants},
    ),
    Break(cpu, "mean and variance taken for constants", "UNet", {"normalize_gradient": statistics_taken_for_constants}),
    Break(cpu, "the way through the variance forgotten", "batch_norm", {"normalize_gradient": only_the_mean}),
    Break(cpu, "the way through the mean forgotten", "nn.BatchNorm", {"normalize_gradient": only_the_variance}),
    Break(cpu, "ReLU forgotten", "batch_norm", wrapped(cpu, "normalize_gradient", relu_forgotten)),
    Break(cpu, "ReLU forgotten in the sums", "batch_norm", wrapped(cpu, "normalize_sums", relu_forgotten)),
    Break(Norm, "a factor", "batch_norm", gradient(Norm, 0, lambda gx: gx * 1.001)),
    Break(Norm, "gamma: a mean over the pixels", "nn.BatchNorm", gradient(Norm, 1, lambda g: g / 60)),
    Break(Norm, "no gradient for beta", "nn.BatchNorm", gradient(Norm, 2, lambda g: 0 * g)),
    Break(
        Drop, "what was dropped gets a gradient", "dropout", {"backward": lambda self, gy: gy / 0.6 + 0 * self.factor}
    ),
    Break(Drop, "not divided by what is kept", "dropout", gradient(Drop, 0, lambda gx: gx * 0.6)),
    Break(relu.ReLUFunction, "the gradient goes through everywhere", "relu", {"backward": lambda self, gy: gy}),
    Break(cpu, "the wrong side", "relu", {"relu_gradient": lambda gy, y: gy * (y == 0)}),
    Break(sigmoid.SigmoidFunction, "without 1 - y", "sigmoid", {"backward": lambda self, gy: gy * self.y}),
    Break(sigmoid.SigmoidFunction, "without y", "sigmoid", {"backward": lambda self, gy: gy * (1 - self.y)}),
    Break(sigmoid.SigmoidFunction, "without 1 - y", "bce_dice_loss", {"backward": lambda self, gy: gy * self.y}),
    Break(sigmoid.SigmoidFunction, "without 1 - y", "nn.Conv2D", {"backward": lambda self, gy: gy * self.y}),
    Break(sigmoid.SigmoidFunction, "without 1 - y", "nn.ConvTranspose2D", {"backward": lambda self, gy: gy * self.y}),
    Break(BCE, "not divided by p (1 - p)", "binary_cross_entropy", gradient(BCE, 0, lambda g: g * 0.2)),
    Break(BCE, "a sign", "binary_cross_entropy", gradient(BCE, 0, lambda g: -g)),
    Break(
        BCE,
        "divided by the images, not the pixels",
        "binary_cross_entropy",
        gradient(BCE, 0, lambda g: g * g.size / len(g)),
    ),
    Break(BCE, "the truth of the next image", "binary_cross_entropy", gradient(BCE, 0, lambda g: np.roll(g, 1, 0))),
    Break(
        binary_cross_entropy,
        "weights not divided by their sum",
        "binary_cross_entropy",
        {"mean_weights": lambda x, w: 1 / x.size if w is None else w / w.size},
    ),
    Break(cpu, "p in place of p - t", "binary_cross_entropy_with_logits", {"cross_entropy": error_without_truth}),
    Break(
        Logits,
        "not divided by the pixels",
        "binary_cross_entropy_with_logits",
        gradient(Logits, 0, lambda g: g * g.size),
    ),
    Break(cpu, "weights forgotten", "binary_cross_entropy_with_logits", {"cross_entropy": error_without_weights}),
    Break(Logits, "a factor", "bce_dice_loss", gradient(Logits, 0, lambda g: 2 * g)),
    Break(Dice, "no quotient rule", "dice_loss", {"backward": dice_without_quotient_rule}),
    Break(Dice, "not divided by the images", "dice_loss", gradient(Dice, 0, lambda g: g * 3)),
    Break(Dice, "weights forgotten", "dice_loss", {"backward": dice_without_weights}),
    Break(Dice, "one area for all images", "dice_loss", {"backward": dice_with_one_area}),
    Break(Dice, "a sign", "bce_dice_loss", gradient(Dice, 0, lambda g: -g)),
    Break(
        Softmax,
        "the classes taken for independent",
        "softmax",
        {"backward": lambda self, gy: gy * self.p * (1 - self.p)},
    ),
    Break(cpu, "the sum over the classes forgotten", "softmax", {"softmax_gradient": lambda gp, p: gp * p}),
    Break(
        cpu,
        "a sum without p",
        "softmax",
        {"softmax_gradient": lambda gp, p: p * (gp - gp.sum(axis=-1, keepdims=True))},
    ),
    Break(LogSoftmax, "the sum over the classes forgotten", "log_softmax", {"backward": lambda self, gy: gy}),
    Break(
        LogSoftmax,
        "ln p in place of p",
        "log_softmax",
        {"backward": lambda self, gy: gy - self.y * gy.sum(axis=-1, keepdims=True)},
    ),
    Break(
        LogSoftmax,
        "gy at each class in place of their sum",
        "log_softmax",
        {"backward": lambda self, gy: gy - np.exp(self.y) * gy},
    ),
    Break(cpu, "p in place of p - onehot", "cross_entropy_with_logits", class_error_with(without_onehot)),
    Break(cpu, "pixel weights forgotten", "cross_entropy_with_logits", class_error_with(without_pixel_weights)),
    Break(cpu, "class weights forgotten", "cross_entropy_with_logits", class_error_with(without_class_weights)),
    Break(cpu, "ignored pixels count", "cross_entropy_with_logits", class_error_with(ignored_as_class_0)),
    Break(Classes, "not divided by the weights", "cross_entropy_with_logits", gradient(Classes, 0, lambda g: 60 * g)),
    Break(
        Classes, "the next class", "cross_entropy_with_logits", gradient(Classes, 0, lambda g: np.roll(g, 1, axis=-1))
    ),
    Break(Classes, "a factor", "cross_entropy_dice_loss", gradient(Classes, 0, lambda g: 2 * g)),
    Break(Areas, "a sign", "cross_entropy_dice_loss", gradient(Areas, 0, lambda g: -g)),
    Break(cpu, "the gradient of the cross entropy", "focal_loss_with_logits", class_error_with(without_focus)),
    Break(cpu, "(1 - q)^γ taken for a constant", "focal_loss_with_logits", class_error_with(only_half_of_the_focus)),
    Break(Focal, "a sign", "focal_loss_with_logits", gradient(Focal, 0, lambda g: -g)),
    Break(
        cpu,
        "no quotient rule",
        "multiclass_dice_loss_with_logits",
        {"class_overlap_gradient": areas_without_quotient_rule},
    ),
    Break(
        cpu,
        "the truth forgotten",
        "multiclass_dice_loss_with_logits",
        {"class_overlap_gradient": areas_without_the_truth},
    ),
    Break(
        cpu,
        "the way through the softmax forgotten",
        "multiclass_dice_loss_with_logits",
        {"class_overlap_gradient": areas_without_softmax},
    ),
    Break(
        cpu,
        "weights forgotten",
        "multiclass_dice_loss_with_logits",
        wrapped(cpu, "class_overlap_gradient", lambda p, classes, weights, *rest: (p, classes, None, *rest)),
    ),
    Break(Areas, "one area for all images", "multiclass_dice_loss_with_logits", {"backward": areas_of_one_image}),
    Break(Areas, "class weights forgotten", "multiclass_dice_loss_with_logits", {"backward": areas_of_equal_classes}),
    Break(Squared, "the factor 2 forgotten", "mean_squared_error", gradient(Squared, 0, lambda g: g / 2)),
    Break(
        mean_squared_error,
        "weights forgotten",
        "mean_squared_error",
        {"mean_weights": lambda y, w: 1 / y.size},
    ),
    Break(Absolute, "a sign", "mean_absolute_error", gradient(Absolute, 0, abs)),
    Break(
        mean_absolute_error,
        "weights not divided by their sum",
        "mean_absolute_error",
        {"mean_weights": lambda y, w: 1 / y.size if w is None else w / w.size},
    ),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The arrays are tiny: threads would only wait for one another."""
    before = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


def notices(operation):
    """Does a case of the operation raise? GradientError, or the engine's RuntimeError for a wrong shape."""
    for case in reversed(CASES[operation]):  # the special ones come last
        try:
            case.run()
        except GradientError:
            return True
        except RuntimeError as error:
            assert "backward returned" in str(error)
            return True
    return False


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_the_break_is_noticed(monkeypatch, broken):
    assert CASES[broken.operation], f"there is no gradient case for {broken.operation!r}"
    for name, value in broken.attributes.items():
        monkeypatch.setattr(broken.owner, name, value)
    assert notices(broken.operation)


def test_which_of_several_equals_gets_the_gradient(monkeypatch):
    """Among equals there is no derivative that a difference could prove: which one gets it is tested by hand."""
    max_pool = cpu.max_pool

    def last_of_equals(x, size, stride, pads):
        y, argmax = max_pool(x[:, ::-1, ::-1], size, stride, pads)
        return y[:, ::-1, ::-1], size[0] * size[1] - 1 - argmax[:, ::-1, ::-1]

    def gradient_of_equals():
        x = minunet.Tensor(np.zeros((1, 4, 4, 1)), requires_grad=True)
        ops.max_pool2d(x).backward(np.ones((1, 2, 2, 1)))
        return x.grad[0, :, :, 0].tolist()

    first = [[1, 0, 1, 0], [0, 0, 0, 0]] * 2
    assert gradient_of_equals() == first
    monkeypatch.setattr(cpu, "max_pool", last_of_equals)
    assert gradient_of_equals() == [[0, 0, 0, 0], [0, 1, 0, 1]] * 2


# ---- nothing is left out -----------------------------------------------------------------------------------


# minunet/learn has a Function of its own, too, which only looks at what passes
OPERATIONS = ("minunet.autograd", "minunet.ops")


def functions(base=Function):
    """Every operation that minunet defines: the subclasses of Function without subclasses of their own."""
    for subclass in base.__subclasses__():
        if subclass.__module__.startswith(OPERATIONS):
            deeper = [c for c in subclass.__subclasses__() if c.__module__.startswith(OPERATIONS)]
            yield from functions(subclass) if deeper else [subclass]


def test_every_operation_is_broken_at_least_once():
    broken = {b.owner for b in BREAKS}
    assert [f.__name__ for f in functions() if f not in broken] == []


def test_every_operation_has_a_gradient_case(monkeypatch):
    called, call = set(), Function.__call__

    def watched(function, *inputs):
        called.add(type(function))
        return call(function, *inputs)

    monkeypatch.setattr(Function, "__call__", watched)
    for cases in CASES.values():
        for case in cases:
            case.f(*map(minunet.Tensor, case.inputs))
    assert [f.__name__ for f in functions() if f not in called] == []


def test_every_operation_of_the_cases_is_broken_at_least_once():
    assert set(CASES) - {b.operation for b in BREAKS} - {""} == set()
