"""Each exercise as a student would meet it: unsolved it fails, solved it passes, typical mistakes are named.

The solutions and the mistakes are written here as students write them, with nothing from minunet/learn/ in them. A
mistake is a change of the solution: this text becomes that one, and the verdict on that gradient contains the words.
"""

import re
import textwrap
from typing import NamedTuple

import numpy as np
import pytest

from minunet.learn.exercises import EXERCISES, child
from minunet.learn.exercises.check import check, trials_of


class Work(NamedTuple):
    solution: str
    mistakes: list  # (gradient, text, what it becomes, words of the verdict)


WORK = {
    "relu": Work(
        "return gy * (x > 0)",
        [
            ("gx", "(x > 0)", "1", "not masked"),
            ("gx", "x > 0", "x < 0", "wrong side"),
            ("gx", "x > 0", "gy > 0", "masked by gy"),
            ("gx", "gy * (x > 0)", "np.where(x > 0, 1.0, 0.0)", "gy is left out"),
            ("gx", "(x > 0)", "(x > 0) * x", "multiplied by y"),
            ("gx", "x > 0", "x >= 0", "x = 0"),
            ("gx", "gy *", "-gy *", "sign is wrong"),
            ("gx", "gy *", "2 * gy *", "2 times too large"),
            ("gx", "gy *", "gy * (gy > 0) *", "masked by gy, too"),
            ("gx", "(x > 0)", "np.sign(x)", "gradient of |x|"),
        ],
    ),
    "sigmoid": Work(
        "y = forward(x)\nreturn gy * y * (1 - y)",
        [
            ("gx", " * (1 - y)", "", "1 - y is missing"),
            ("gx", "gy * y * (1 - y)", "gy * (1 - y)", "y is missing"),
            ("gx", "gy * y * (1 - y)", "gy * x * (1 - x)", "x in place of y"),
            ("gx", "gy * ", "", "gy is left out"),
            ("gx", "(1 - y)", "(y - 1)", "sign is wrong"),
            ("gx", "y * (1 - y)", "(1 - y * y)", "tanh"),
            ("gx", "(1 - y)", "(1 + y)", "1 + y"),
            ("gx", "(1 - y)", "y", "gy y²"),
            ("gx", "(1 - y)", "(1 - y) / 2", "2 times too small"),
        ],
    ),
    "binary_cross_entropy": Work(
        "n = p.size\nreturn gy * (-t / p + (1 - t) / (1 - p)) / n",
        [
            ("gp", " / n", "", "not divided by n"),
            ("gp", "n = p.size", "n = p.shape[0]", "number of images"),
            ("gp", "(-t / p + (1 - t) / (1 - p))", "(p - t)", "logits"),
            ("gp", "-t / p + ", "-t / p - ", "sign between"),
            ("gp", "-t / p + ", "t / p + ", "sign of the first term"),
            ("gp", " + (1 - t) / (1 - p)", "", "second term is missing"),
            ("gp", "gy * ", "", "gy is left out"),
            ("gp", "gy * ", "-gy * ", "sign is wrong"),
        ],
    ),
    "add": Work(
        """
        def back(g, shape):
            while g.ndim > len(shape):
                g = g.sum(axis=0)
            for axis, size in enumerate(shape):
                if size == 1:
                    g = g.sum(axis=axis, keepdims=True)
            return g
        return back(gy, a.shape), back(gy, b.shape)
        """,
        [
            ("gb", "back(gy, b.shape)", "gy", "a sum is missing"),
            ("gb", "g.sum(axis=0)", "g.mean(axis=0)", "a mean over the axes"),
            ("gb", "back(gy, b.shape)", "back(gy, b.shape) * b.size / gy.size", "a mean"),
            ("gb", "back(gy, b.shape)", "gy if gy.shape == b.shape else gy.sum(0)", "first axis only"),
            ("gb", "back(gy, b.shape)", "gy.sum()", "everything"),
            ("gb", "size == 1", "False", "axes of size 1"),
            ("ga", "back(gy, a.shape)", "back(gy * b, a.shape)", "product"),
            ("ga", "back(gy, a.shape)", "-back(gy, a.shape)", "sign is wrong"),
            ("gb", "g = g.sum(axis=0)", "g = g[0]", "the first along"),
        ],
    ),
    "matmul": Work(
        "ga = np.dot(gy, b.T)\ngb = np.dot(a.T, gy)\nreturn ga, gb",
        [
            ("ga", "np.dot(gy, b.T)", "gy @ b", "b is not transposed"),
            ("gb", "np.dot(a.T, gy)", "a @ gy", "a is not transposed"),
            ("ga", "np.dot(gy, b.T)", "np.dot(b.T, gy)", "wrong order"),
            ("gb", "np.dot(a.T, gy)", "np.dot(gy, a.T)", "wrong order"),
            ("ga", "np.dot(gy, b.T)", "gy @ a.T", "a in place of b"),
            ("ga", "np.dot(gy, b.T)", "b @ gy.T", "it is transposed"),
            ("ga", "return ga, gb", "return gb, ga", "this is gb"),
            ("gb", "np.dot(a.T, gy)", "-np.dot(a.T, gy)", "sign is wrong"),
        ],
    ),
    "concatenate": Work(
        "A = a.shape[3]\nga, gb = np.split(gy, [A], axis=3)\nreturn ga, gb",
        [
            ("ga", "return ga, gb", "return gb, ga", "this is gb: the order is (ga, gb)"),
            ("ga", "np.split(gy, [A], axis=3)", "gy[..., -A:], gy[..., :-A]", "exchanged"),
            ("ga", "A = a.shape[3]", "A = gy.shape[3] // 2", "middle"),
            ("ga", "return ga, gb", "return gy, gb", "all of gy"),
            ("gb", "return ga, gb", "return ga, gy", "all of gy"),
            ("ga", "A = a.shape[3]", "A = a.shape[3] - 1", "too many or too few"),
            ("ga", "np.split(gy, [A], axis=3)", "gy[..., ::2], gy[..., 1::2]", "every other"),
            ("gb", "return ga, gb", "return ga, gb * b", "multiplied by b"),
            ("ga", "A = a.shape[3]", "A = b.shape[3]", "B, the channels of b"),
            ("gb", "return ga, gb", "return ga, -gb", "sign is wrong"),
        ],
    ),
    "accumulation": Work(
        """
        if name not in gradients:
            gradients[name] = np.zeros_like(g)
        gradients[name] = gradients[name] + g
        """,
        [
            ("gx", "gradients[name] + g", "g", "overwritten"),
            ("gx", "gradients[name] = gradients[name] + g", "gradients.setdefault(name, g)", "0 everywhere"),
            ("gx", "zeros_like", "ones_like", "started at 1"),
            ("gx", "gradients[name] + g", "gradients[name] - g", "subtracted"),
            (
                "gx",
                "    gradients[name] = np.zeros_like(g)\ngradients[name] = gradients[name] + g",
                "    gradients[name] = g\nelse:\n    gradients[name] = gradients[name] * g",
                "multiplied",
            ),
            (
                "gx",
                "    gradients[name] = np.zeros_like(g)\ngradients[name] = gradients[name] + g",
                "    gradients[name] = g",
                "only the first",
            ),
            (
                "gx",
                "    gradients[name] = np.zeros_like(g)\ngradients[name] = gradients[name] + g",
                "    gradients[name] = g\nelse:\n    gradients[name] += g",
                "in place",
            ),
        ],
    ),
    "rmsprop": Work(
        "v = v * rho + g * g * (1 - rho)\nw = w - g * lr / (v + epsilon) ** 0.5\nreturn w, v",
        [
            ("w", "(v + epsilon) ** 0.5", "(v**0.5 + epsilon)", "beside the root"),
            ("w", "w = w - ", "w = w + ", "uphill"),
            ("w", " ** 0.5", "", "root is missing"),
            ("w", " / (v + epsilon) ** 0.5", "", "gradient descent"),
            ("w", "g * lr", "g", "learning rate is missing"),
            ("w", "w = w - ", "w = -", "step alone"),
            ("v", "g * g *", "g *", "not squared"),
            ("v", "v * rho + g * g * (1 - rho)", "v * (1 - rho) + g * g * rho", "exchanged"),
            ("v", " * (1 - rho)", "", "1 - ρ is missing"),
            ("v", "v * rho + ", "", "old v is left out"),
            ("w", "v = v * rho + g * g * (1 - rho)\nw =", "new = v * rho + g * g * (1 - rho)\nw =", "old v"),
        ],
    ),
    "dice": Work(
        """
        gp = np.zeros_like(p)
        for n in range(len(p)):
            I = np.sum(p[n] * t[n])
            D = np.sum(p[n]) + np.sum(t[n]) + s
            u = 2 * I + s
            gp[n] = -(2 * t[n] * D - u) / D**2
        return gp * gy / len(p)
        """,
        [
            ("gp", "-(2 * t[n] * D - u) / D**2", "-2 * t[n] / D", "quotient rule"),
            ("gp", " / len(p)", "", "not divided by N"),
            ("gp", "len(p)\n", "p.size\n", "number of elements"),
            ("gp", "D - u", "D + u", "sign in the quotient rule"),
            ("gp", "-(2 * t[n]", "(2 * t[n]", "the sign"),
            ("gp", "2 * t[n]", "t[n]", "factor 2"),
            ("gp", "2 * I + s", "2 * I", "s is missing"),
            ("gp", "D**2", "D", "not squared"),
            ("gp", "gp * gy", "gp", "gy is left out"),
            ("gp", "np.sum(t[n]) + s", "np.sum(t[n])", "s is missing below"),
            ("gp", "2 * t[n] * D", "2 * p[n] * D", "p in place of t"),
            (
                "gp",
                "[n] * t[n])\n    D = np.sum(p[n]) + np.sum(t[n])",
                " * t)\n    D = np.sum(p) + np.sum(t)",
                "whole batch",
            ),
        ],
    ),
    "max_pool2d": Work(
        """
        gx = np.zeros_like(x)
        for n, i, j, c in np.ndindex(gy.shape):
            KH, KW = size
            p, q = i * stride[0], j * stride[1]
            window = x[n, p : p + KH, q : q + KW, c]
            k, l = np.argmax(window) // KW, np.argmax(window) % KW
            gx[n, p + k, q + l, c] += gy[n, i, j, c]
        return gx
        """,
        [
            ("gx", "+= gy", "= gy", "overwritten"),
            ("gx", "argmax", "argmin", "smallest"),
            ("gx", "gx[n, p + k, q + l, c] += gy", "gx[n, p : p + KH, q : q + KW, c] += gy", "not masked"),
            ("gx", "gx[n, p + k, q + l, c] += ", "gx[n, p : p + KH, q : q + KW, c] += 1 / KH / KW * ", "mean"),
            ("gx", "p + k, q + l", "p, q", "first pixel of each window"),
            (
                "gx",
                "gx[n, p + k, q + l, c] += ",
                "gx[n, p : p + KH, q : q + KW, c] += (window == window.max()) * ",
                "several equal",
            ),
            ("gx", "gy[n, i, j, c]\n", "gy[n, i, j, c] * window.max()\n", "multiplied by x"),
            ("gx", "gx[n, p + k, q + l, c] +=", "gx[n, p + k, q + l, c] -=", "sign is wrong"),
            ("gx", "argmax(window)", "argmax(abs(window))", "without its sign"),
            ("gx", "gy[n, i, j, c]\n", "1\n", "gy is left out"),
            ("gx", "p + k, q + l", "i + k, j + l", "stride is left out"),
            ("gx", "argmax(window)", "argmax(window.T)", "column by column"),
        ],
    ),
    "cross_entropy": Work(
        """
        gz = softmax(z)
        for n, i, j in np.ndindex(classes.shape):
            if classes[n, i, j] == IGNORE:
                gz[n, i, j] = 0
            else:
                gz[n, i, j, classes[n, i, j]] -= 1
        return gy * gz / np.sum(classes != IGNORE)
        """,
        [
            ("gz", "gz[n, i, j] = 0", "pass", "not masked"),
            ("gz", " / np.sum(classes != IGNORE)", "", "not divided by the number of pixels"),
            ("gz", "np.sum(classes != IGNORE)", "classes.size", "all pixels"),
            ("gz", "np.sum(classes != IGNORE)", "z.size", "elements of z"),
            ("gz", "np.sum(classes != IGNORE)", "len(z)", "number of images"),
            ("gz", "gz[n, i, j, classes[n, i, j]] -= 1", "pass", "p in place of p - onehot"),
            ("gz", "gy * gz", "-gy * gz", "prediction minus truth"),
            ("gz", "gy * gz", "gz", "gy is left out"),
            ("gz", "-= 1", "+= 1", "1 is added"),
            ("gz", "softmax(z)\n", "1 / (1 + np.exp(-z))\n", "sigmoid"),
            ("gz", "softmax(z)\n", "np.exp(z)\n", "e^z"),
            ("gz", "gy * gz", "gy * gz * softmax(z) * (1 - softmax(z))", "p (1 - p)"),
        ],
    ),
    "conv2d": Work(
        """
        KH, KW, C, F = w.shape
        SH, SW = stride
        (top, bottom), (left, right) = pads
        N, H, W, _ = x.shape
        x = pad(x, pads)
        gx = np.zeros(x.shape)
        gw = np.zeros(w.shape)
        for n, i, j in np.ndindex(gy.shape[:3]):
            for k in range(KH):
                for l in range(KW):
                    for f in range(F):
                        g = gy[n, i, j, f]
                        gw[k, l, :, f] += x[n, i * SH + k, j * SW + l] * g
                        gx[n, i * SH + k, j * SW + l] += w[k, l, :, f] * g
        gb = gy.sum(axis=0).sum(axis=0).sum(axis=0)
        return gx[:, top : top + H, left : left + W], gw, gb
        """,
        [
            ("gx", "+= w[k, l, :, f]", "+= w[KH - 1 - k, KW - 1 - l, :, f]", "swapped taps"),
            ("gw", "gw[k, l, :, f] +=", "gw[KH - 1 - k, KW - 1 - l, :, f] +=", "swapped taps"),
            ("gx", "top : top + H, left : left + W", ":H, :W", "wrong pad"),
            ("gx", "top : top + H, left : left + W", "bottom : bottom + H, right : right + W", "wrong pad"),
            ("gx", "gx[:, top : top + H, left : left + W]", "gx", "not cut off"),
            ("gb", ".sum(axis=0).sum(axis=0).sum(axis=0)", ".sum(axis=(1, 2))", "over the batch"),
            ("gb", ".sum(axis=0).sum(axis=0).sum(axis=0)", "[0].sum(axis=0).sum(axis=0)", "over the batch"),
            ("gb", ".sum(axis=0).sum(axis=0).sum(axis=0)", ".mean(axis=(0, 1, 2))", "a mean"),
            ("gw", "return", "gw = gw / N\nreturn", "mean over the batch"),
            ("gx", "j * SW + l] += w", "j * SW + l] -= w", "sign is wrong"),
            ("gx", "+= w[k, l, :, f] * g", "+= w[k, l, f, :] * g", "transposed"),
            ("gx", "top : top + H, left : left + W", "top:-bottom, left:-right", "-bottom is -0"),
            ("gx", "+= w[k, l, :, f]", "+= w[KH - 1 - k, l, :, f]", "rows of the kernel"),
            ("gx", "+= w[k, l, :, f]", "+= w[k, KW - 1 - l, :, f]", "columns of the kernel"),
            ("gb", ".sum(axis=0).sum(axis=0).sum(axis=0)", ".sum(axis=(1, 2, 3))", "in place of the images"),
            ("gw", "gx = np.zeros(x.shape)", "gx, gy = np.zeros(x.shape), 2 * gy", "2 times too large"),
        ],
    ),
    "conv_transpose2d": Work(
        """
        KH, KW, F, C = w.shape
        gb = gy.sum((0, 1, 2))
        gy = np.pad(gy, ((0, 0), pads[0], pads[1], (0, 0)))
        gx, gw = np.zeros_like(x), np.zeros_like(w)
        for n, i, j, k, l in np.ndindex(*x.shape[:3], KH, KW):
            g = gy[n, i * stride[0] + k, j * stride[1] + l]
            gx[n, i, j] += w[k, l].T.dot(g)
            gw[k, l] += np.outer(g, x[n, i, j])
        return gx, gw, gb
        """,
        [
            ("gx", "w[k, l].T", "w[KH - 1 - k, KW - 1 - l].T", "swapped taps"),
            ("gw", "gw[k, l] +=", "gw[KH - 1 - k, KW - 1 - l] +=", "swapped taps"),
            ("gx", "pads[0], pads[1]", "pads[0][::-1], pads[1][::-1]", "wrong pad"),
            ("gx", "pads[0], pads[1]", "(0, sum(pads[0])), (0, sum(pads[1]))", "wrong pad"),
            ("gw", "gw[k, l] +=", "gw[k, l] += 0 if n else ", "over the batch"),
            ("gw", "return gx, gw", "return gx, gw / len(x)", "mean over the batch"),
            ("gb", "gy.sum((0, 1, 2))", "gy.sum((1, 2))", "over the batch"),
            ("gb", "gy.sum((0, 1, 2))", "gy.sum()", "channels, too"),
            ("gx", "gx[n, i, j] +=", "gx[n, i, j] -=", "sign is wrong"),
        ],
    ),
    "batch_norm": Work(
        """
        N, H, W, C = x.shape
        M = N * H * W
        mu = x.sum((0, 1, 2)) / M
        r = 1 / np.sqrt(((x - mu) ** 2).sum((0, 1, 2)) / M + epsilon)
        hat = (x - mu) * r
        gbeta = gy.sum((0, 1, 2))
        ggamma = (gy * hat).sum((0, 1, 2))
        g = gy * gamma
        gv = (g * (x - mu)).sum((0, 1, 2)) * -0.5 * r**3
        gmu = -(g * r).sum((0, 1, 2))
        gx = g * r + gv * 2 * (x - mu) / M + gmu / M
        return gx, ggamma, gbeta
        """,
        [
            ("gx", " + gv * 2 * (x - mu) / M + gmu / M", "", "taken for constants"),
            ("gx", " + gv * 2 * (x - mu) / M", "", "through the variance is missing"),
            ("gx", " + gmu / M", "", "through the mean is missing"),
            ("gx", "g = gy * gamma", "g = gy", "γ is missing"),
            ("gx", "* -0.5 *", "* 0.5 *", "sign in the way through the variance"),
            ("gx", "* -0.5 *", "* -1 *", "factor 2 in the way"),
            ("gx", "gmu = -", "gmu = ", "way through the mean: x̂ falls"),
            ("gx", "gv * 2 * (x - mu) / M + gmu / M", "gv * 2 * (x - mu) + gmu", "not divided by M"),
            ("gx", "gv * 2 * (x - mu) / M", "gv * 2 / r / M", "x̂ is missing"),
            ("gx", "g * r + gv * 2 * (x - mu) / M + gmu / M", "(g * r + gv * 2 * (x - mu) / M + gmu / M) * r", "twice"),
            ("ggamma", "(gy * hat).sum((0, 1, 2))", "(gy * gamma * hat).sum((0, 1, 2))", "multiplied by γ"),
            ("ggamma", "(gy * hat).sum", "(gy * (gamma * hat + beta)).sum", "y in place of x̂"),
            ("ggamma", "(gy * hat).sum((0, 1, 2))", "(gy * hat).sum()", "over the channels"),
            ("gbeta", "gbeta = gy.sum((0, 1, 2))", "gbeta = gy.sum()", "over the channels"),
            ("ggamma", "gy * hat", "gy * x", "x in place of x̂"),
            ("ggamma", "(gy * hat).sum((0, 1, 2))", "(gy * hat).mean((0, 1, 2))", "a mean"),
            ("gbeta", "gbeta = gy.sum((0, 1, 2))", "gbeta = gy.sum((1, 2))", "not summed over the batch"),
            ("gbeta", "gbeta = gy.sum((0, 1, 2))", "gbeta = gy", "not summed over the pixels"),
            ("ggamma", "return gx, ggamma, gbeta", "return gx, gbeta, ggamma", "this is gbeta"),
        ],
    ),
}


def written(name, body):
    """The text of the student's file, with the body in place of the TODO."""
    source = EXERCISES[name].template.__spec__.loader.get_source(EXERCISES[name].template.__name__)
    todo = re.search(r"^( +)raise NotImplementedError\(.*\)\n", source, re.MULTILINE)
    return (
        source[: todo.start()]
        + textwrap.indent(textwrap.dedent(body).strip("\n"), todo[1])
        + "\n"
        + source[todo.end() :]
    )


def checked(name, source):
    """The Checked of a student's file, run in this process."""
    exercise = EXERCISES[name]
    module = {"__name__": "exercise"}
    exec(compile(source, "student.py", "exec"), module)
    function = module[exercise.function]
    return check(
        exercise,
        [
            child.call(function, t.arguments, exercise.names, exercise.gradients, "student.py")
            for t in trials_of(exercise)
        ],
    )


def test_there_are_fourteen():
    assert set(WORK) == set(EXERCISES) and len(WORK) == 14


@pytest.mark.parametrize("name", WORK)
def test_unsolved_it_fails(name):
    result = checked(name, EXERCISES[name].template.__spec__.loader.get_source(EXERCISES[name].template.__name__))
    assert not result.right and "still a TODO" in result.problem
    assert {verdict.state for verdict in result.verdicts} == {"unknown"}


@pytest.mark.parametrize("name", WORK)
def test_solved_it_passes(name):
    result = checked(name, written(name, WORK[name].solution))
    assert result.right, result
    assert [verdict.gradient for verdict in result.verdicts] == list(EXERCISES[name].gradients)
    assert max(verdict.error for verdict in result.verdicts) < 1e-7


OTHER_STYLES = [
    (
        "conv2d",
        """
        windows = np.lib.stride_tricks.sliding_window_view(pad(x, pads), w.shape[:2], axis=(1, 2))
        windows = windows[:, :: stride[0], :: stride[1]]
        gx, (OH, OW) = np.zeros_like(pad(x, pads)), gy.shape[1:3]
        for k, l in np.ndindex(w.shape[:2]):
            gx[:, k :: stride[0], l :: stride[1]][:, :OH, :OW] += gy @ w[k, l].T
        (top, _), (left, _) = pads
        gw = np.einsum("nijckl,nijf->klcf", windows, gy)
        return [gx[:, top:, left:][:, : x.shape[1], : x.shape[2]], gw, np.einsum("nijf->f", gy)]
        """,
    ),
    (
        "batch_norm",
        """
        x, gy, gamma = x.astype("f4"), gy.astype("f4"), gamma.astype("f4")
        hat = x - x.mean((0, 1, 2))
        r = (x.var((0, 1, 2)) + np.float32(epsilon)) ** np.float32(-0.5)
        hat *= r
        gbeta, ggamma = gy.sum((0, 1, 2)), np.einsum("nhwc,nhwc->c", gy, hat)
        gx = gy - (gbeta + hat * ggamma) / np.float32(gy[..., 0].size)
        gx *= gamma * r
        return [gx, ggamma, gbeta]
        """,
    ),
    (
        "max_pool2d",
        """
        (KH, KW), (SH, SW) = size, stride
        windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))[:, ::SH, ::SW]
        winner = windows.reshape(*gy.shape, -1).argmax(-1)
        n, i, j, c = np.indices(gy.shape)
        gx = np.zeros_like(x)
        np.add.at(gx, (n, i * SH + winner // KW, j * SW + winner % KW, c), gy)
        return [gx]
        """,
    ),
    (
        "dice",
        """
        axes = (1, 2, 3)
        I, D = (p * t).sum(axes, keepdims=True), (p + t).sum(axes, keepdims=True) + s
        return (gy / p.shape[0]) * ((2 * I + s) / D**2 - 2 * t / D)
        """,
    ),
    (
        "cross_entropy",
        """
        known = classes != IGNORE
        onehot = np.eye(256)[classes][..., : z.shape[-1]]
        return np.where(known[..., None], softmax(z) - onehot, 0).reshape(-1).reshape(z.shape) * (gy / known.sum())
        """,
    ),
    ("accumulation", "gradients[name] = sum([gradients.get(name, 0), g])"),
    (
        "accumulation",
        "if name in gradients:\n    gradients[name] += g\nelse:\n    gradients[name] = g.copy()",
    ),
]


@pytest.mark.parametrize("name, solution", OTHER_STYLES)
def test_solved_in_another_style_it_passes(name, solution):
    """Without loops, with einsum, as a list or a view, in float32, added up in an array of one's own."""
    result = checked(name, written(name, solution))
    assert result.right, result


def test_a_use_in_the_last_step_counts_twice_too():
    """Right in all programs but those whose last step has one input twice."""
    result = checked(
        "accumulation",
        written("accumulation", "gradients[name] = g if output == 'y' else gradients.get(name, 0) + g"),
    )
    assert [verdict.wrong_in for verdict in result.verdicts] == [("twice in the last step",)] * 2


MISTAKES = [(name, *mistake) for name, work in WORK.items() for mistake in work.mistakes]


@pytest.mark.parametrize("name, gradient, text, becomes, words", MISTAKES, ids=lambda text: str(text)[:40])
def test_a_typical_mistake_is_named(name, gradient, text, becomes, words):
    body = textwrap.dedent(WORK[name].solution)
    assert text in body
    result = checked(name, written(name, body.replace(text, becomes)))
    verdict = next(verdict for verdict in result.verdicts if verdict.gradient == gradient)
    assert not result.right and verdict.state == "wrong"
    assert words in verdict.mistake
    assert verdict.wrong_in


@pytest.mark.parametrize("name", WORK)
def test_five_mistakes_or_more_are_named(name):
    assert len([words for *_, words in WORK[name].mistakes if words]) >= 5


@pytest.mark.parametrize("name", EXERCISES)
def test_the_mistakes_that_are_known_differ_from_the_truth_and_from_each_other(name):
    """On some inputs, clearly: else one would be taken for another."""
    exercise, trials = EXERCISES[name], trials_of(EXERCISES[name])
    for k, gradient in enumerate(exercise.gradients):
        made = [("right", [trial.expected[k] for trial in trials])]
        made += [
            (m.words, [attempt(m, trial) for trial in trials]) for m in exercise.mistakes if m.gradient == gradient
        ]
        for a, (words, numbers) in enumerate(made):
            for other, those in made[:a]:
                assert any(differ(x, y) for x, y in zip(numbers, those)), (gradient, words, other)


def attempt(mistake, trial):
    try:
        with np.errstate(all="ignore"):
            return np.asarray(mistake.make(*trial.arguments))
    except (ValueError, IndexError):
        return None


def differ(a, b):
    if a is None or b is None:
        return False  # a student's function would raise there, too
    with np.errstate(all="ignore"):
        return a.shape != b.shape or not np.allclose(
            a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max(initial=0), equal_nan=True
        )


@pytest.mark.parametrize("name", WORK)
def test_the_worked_example_of_the_text_is_right(name, capsys):
    """The file, run as it is, prints a student's numbers beside those that they should be."""
    exec(compile(written(name, WORK[name].solution), "student.py", "exec"), {"__name__": "__main__"})
    lines = capsys.readouterr().out.replace("\n", " ").split(" is ")[1:]
    assert len(lines) == len(EXERCISES[name].gradients)
    for line in lines:
        found, expected = (re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", half) for half in line.split("and should be"))
        assert [float(x) for x in found] == pytest.approx([float(x) for x in expected]) and found


@pytest.mark.parametrize("name", EXERCISES)
def test_the_first_check_is_the_worked_example(name):
    """Its expected numbers are those of the file's last lines, so a student can follow them by hand."""
    exercise = EXERCISES[name]
    source = exercise.template.__spec__.loader.get_source(exercise.template.__name__)
    trial = trials_of(exercise)[0]
    assert trial.label == "the worked example"
    for name, numbers in zip(exercise.gradients, trial.expected):
        line = re.search(rf'print\("{name} is".*should be (.*)"\)', source)[1]
        expected = [float(x) for x in re.findall(r"-?\d+\.?\d*", line)]
        np.testing.assert_allclose(numbers.ravel(), expected, rtol=1e-6, atol=1e-6)
