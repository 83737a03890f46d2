"""Optimizers: the first steps by hand, and a state from which a run continues exactly as it would have."""

import math

import numpy as np
import pytest

from minunet import Tensor, UNet, ops, optim
from minunet.device import to_numpy

MAKERS = {
    "SGD": lambda params, **options: optim.SGD(params, **options),
    "SGD with momentum": lambda params, **options: optim.SGD(params, momentum=0.9, **options),
    "RMSprop": lambda params, **options: optim.RMSprop(params, **options),
    "Adam": lambda params, **options: optim.Adam(params, **options),
}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def two_steps(put, make, gradients=(2.0, -4.0)):
    """The parameter, 10 at first, after each of two steps."""
    w = Tensor(put(np.array([10.0])), requires_grad=True)
    optimizer = make([w])
    values = []
    for g in gradients:
        w.grad = put(np.array([g]))
        optimizer.step()
        values.append(w.item())
    return values


# ---- by hand: g = 2, then g = -4 ---------------------------------------------------------------------------


def test_sgd_by_hand(xp_array):
    assert two_steps(xp_array, lambda p: optim.SGD(p, lr=0.5)) == [10 - 1, 9 + 2]
    # m = -0.5·2 = -1, then 0.5·(-1) + 0.5·4 = 1.5
    assert two_steps(xp_array, lambda p: optim.SGD(p, lr=0.5, momentum=0.5)) == [9, 10.5]


def test_rmsprop_by_hand(xp_array):
    v1 = 0.25 * 4
    v2 = 0.75 * v1 + 0.25 * 16
    first = 10 - 0.5 * 2 / math.sqrt(v1 + 0.5)
    second = first + 0.5 * 4 / math.sqrt(v2 + 0.5)  # ε under the root
    found = two_steps(xp_array, lambda p: optim.RMSprop(p, lr=0.5, rho=0.75, epsilon=0.5))
    assert found == pytest.approx([first, second], rel=1e-14)


def test_adam_by_hand(xp_array):
    m1, v1 = 0.25 * 2, 0.5 * 4
    m2, v2 = m1 + 0.25 * (-4 - m1), v1 + 0.5 * (16 - v1)
    first = 10 - 0.5 * math.sqrt(1 - 0.5) / (1 - 0.75) * m1 / (math.sqrt(v1) + 0.1)  # ε beside the root
    second = first - 0.5 * math.sqrt(1 - 0.25) / (1 - 0.75**2) * m2 / (math.sqrt(v2) + 0.1)
    found = two_steps(xp_array, lambda p: optim.Adam(p, lr=0.5, beta_1=0.75, beta_2=0.5, epsilon=0.1))
    assert found == pytest.approx([first, second], rel=1e-14)


@pytest.mark.parametrize(
    ("make", "gradient", "first_step"),
    [
        (optim.RMSprop, 1.0, 0.1**-0.5),  # lr / √(1 - ρ)
        (optim.RMSprop, 1e-6, 1e-6 / (0.1 * 1e-12 + 1e-7) ** 0.5),  # ε is under the root: 3e-3 instead of 3.2
        (optim.Adam, 1.0, 1.0),
        (optim.Adam, 1e-3, 1.0),
    ],
)
def test_the_first_step_in_units_of_the_learning_rate(make, gradient, first_step):
    w = Tensor(np.array([0.0]), requires_grad=True)
    w.grad = np.array([gradient])
    make([w], lr=1.0).step()
    assert -w.data.item() == pytest.approx(first_step, rel=0.01)


def test_momentum_under_a_constant_gradient():
    w = Tensor(np.array([0.0]), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.01, momentum=0.9)
    for _ in range(200):
        before = w.data.item()
        w.grad = np.array([3.0])
        optimizer.step()
    assert before - w.data.item() == pytest.approx(0.01 * 3 / (1 - 0.9))


@pytest.mark.parametrize(("make", "ratio"), [(optim.SGD, 10), (optim.RMSprop, 1), (optim.Adam, 1)])
def test_the_steps_of_a_loss_ten_times_as_large(make, ratio):
    moved = []
    for factor in (1, 10):
        w = Tensor(np.array([0.0]), requires_grad=True)
        optimizer = make([w], lr=0.01)
        for gradient in (3.0, -1.0, 2.0):
            w.grad = np.array([factor * gradient])
            optimizer.step()
        moved.append(w.data.item())
    assert moved[1] / moved[0] == pytest.approx(ratio, rel=1e-3)


def test_defaults_are_those_of_keras():
    w = [Tensor([1.0], requires_grad=True)]
    assert (optim.SGD(w).lr, optim.SGD(w).momentum) == (0.01, 0)
    assert (optim.RMSprop(w).lr, optim.RMSprop(w).rho, optim.RMSprop(w).epsilon) == (1e-3, 0.9, 1e-7)
    adam = optim.Adam(w)
    assert (adam.lr, adam.beta_1, adam.beta_2, adam.epsilon) == (1e-3, 0.9, 0.999, 1e-7)


# ---- what must hold ----------------------------------------------------------------------------------------


@every_optimizer
@pytest.mark.parametrize("lr", [0.1, np.float64(0.1), np.float32(0.1)])
def test_float32_stays_float32(make, lr):
    w = Tensor(np.ones((2, 3), "float32"), requires_grad=True)
    optimizer = make([w], lr=lr)
    for _ in range(3):
        (w * w).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert w.dtype == np.float32
    assert all(array.dtype == np.float32 for name, array in optimizer.state_dict().items() if "/" in name)


@every_optimizer
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_the_step_is_taken_in_place_and_leaves_the_gradient(make, shape):
    w = Tensor(np.ones(shape), requires_grad=True)
    array = w.data
    w.grad = gradient = np.full(shape, 0.5)
    make([w]).step()
    assert w.data is array and (array < 1).all()
    assert w.grad is gradient and (gradient == 0.5).all()


LAYOUTS = {
    "the parameter": lambda w: setattr(w, "data", w.data.T.copy().T),
    "the gradient": lambda w: setattr(w, "grad", w.grad.T.copy().T),
    "another type": lambda w: setattr(w, "grad", w.grad.astype("float32")),
}


@every_optimizer
@pytest.mark.parametrize("change", LAYOUTS.values(), ids=LAYOUTS)
def test_the_memory_layout_does_not_matter(make, change, xp_array):
    """An array that was transposed on its way here is stored column by column."""
    start, gradient = np.arange(6.0).reshape(2, 3), np.array([[1.0, 2, -3], [0.5, 0, 8]])
    plain, other = (Tensor(xp_array(start.copy()), requires_grad=True) for _ in range(2))
    for w in (plain, other):
        optimizer = make([w], weight_decay=0.5)
        for _ in range(2):
            w.grad = xp_array(gradient.copy())
            if w is other:
                change(w)
            optimizer.step()
    np.testing.assert_allclose(to_numpy(other.data), to_numpy(plain.data), rtol=1e-6)  # lr · g in float32
    assert (to_numpy(plain.data) != start).all()


@every_optimizer
def test_a_parameter_without_a_gradient_stays_the_same(make):
    used, unused = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    optimizer = make([used, unused])
    used.grad = np.array([1.0])
    optimizer.step()
    assert used.item() < 1 and unused.item() == 1


@every_optimizer
def test_zero_grad_clears(make):
    w = Tensor([1.0], requires_grad=True)
    w.grad = np.ones(1)
    make([w]).zero_grad()
    assert w.grad is None


@every_optimizer
def test_the_learning_rate_may_change_between_steps(make):
    """The change of the parameter is proportional to lr (with momentum: the part that is new)."""
    results = []
    for lr in (0.1, 0.2):
        w = Tensor([1.0], requires_grad=True)
        optimizer = make([w], lr=0.5)
        optimizer.lr = lr
        w.grad = np.array([0.3])
        optimizer.step()
        results.append(1 - w.item())
    assert results[1] == pytest.approx(2 * results[0], rel=1e-12)


@every_optimizer
def test_a_parabola_is_minimized(make, xp_array):
    w = Tensor(xp_array(np.array([1.0, -2.0])), requires_grad=True)
    optimizer = make([w], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    assert abs(to_numpy(w.data)).max() < 0.05


# ---- a custom optimizer -----------------------------------------------------------------------------


def nesterov(w, g, m, lr, mu):
    """m ← μ m - lr g, w ← w + μ m - lr g"""
    m *= mu
    m -= lr * g
    w += mu * m - lr * g


class Nesterov(optim.Optimizer):
    rule = staticmethod(nesterov)
    state_names = ("m",)

    def numbers(self):
        return self.lr, 0.5


def test_a_custom_optimizer(xp_array):
    # m = -1, then 0.5·(-1) + 2 = 1.5
    assert two_steps(xp_array, lambda p: Nesterov(p, lr=0.5)) == [10 - 0.5 - 1, 8.5 + 0.75 + 2]


def test_the_state_of_a_custom_optimizer():
    w = Tensor(np.ones((2, 3)), requires_grad=True)
    first, second = Nesterov([w], lr=0.5, weight_decay=0.25), Nesterov([w], lr=0.1)
    w.grad = np.ones((2, 3))
    first.step()
    state = first.state_dict()
    assert sorted(state) == ["0/m", "kind", "lr", "steps"] and str(state["kind"]) == "Nesterov m"
    second.load_state_dict(state)
    assert second.lr == 0.5 and (second.state[0]["m"] == -0.5).all()


def test_an_optimizer_without_a_rule():
    class Nothing(optim.Optimizer):
        pass

    w = Tensor([1.0], requires_grad=True)
    w.grad = np.ones(1)
    with pytest.raises(NotImplementedError, match="an optimizer needs a rule"):
        Nothing([w], lr=0.1).step()


# ---- state -------------------------------------------------------------------------------------------------


def train(model, optimizer, steps, x, t):
    for _ in range(steps):
        optimizer.zero_grad()
        ops.bce_dice_loss(model.logits(x), t).backward()
        optimizer.step()


@every_optimizer
def test_a_stopped_run_continues_bit_for_bit(make):
    rng = np.random.default_rng(0)
    x, t = rng.uniform(0, 1, (1, 8, 8, 3)).astype("float32"), np.ones((1, 8, 8, 1), "float32")
    whole = UNet(depth=1, width=2)
    train(whole, make(whole.parameters(), lr=0.01), 6, x, t)

    first = UNet(depth=1, width=2)
    stopped = make(first.parameters(), lr=0.01)
    train(first, stopped, 3, x, t)
    second = UNet(depth=1, width=2, seed=9)
    second.load_state_dict(first.state_dict())
    resumed = make(second.parameters(), lr=0.5)
    resumed.load_state_dict(stopped.state_dict())
    train(second, resumed, 3, x, t)
    assert resumed.steps == 6 and resumed.lr == 0.01
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], array, err_msg=name)


@every_optimizer
def test_a_state_holds_copies(make):
    w = Tensor([1.0], requires_grad=True)
    optimizer = make([w], lr=0.01)
    w.grad = np.array([1.0])
    optimizer.step()
    state = optimizer.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    optimizer.step()
    other = make([Tensor([1.0], requires_grad=True)])
    other.load_state_dict(state)
    other.params[0].grad = np.array([3.0])
    other.step()
    assert all(type(array) is np.ndarray for array in state.values())
    assert all(np.array_equal(array, kept[name]) for name, array in state.items())


def state_after_a_step(make):
    w = Tensor(np.ones((2, 3)), requires_grad=True)
    optimizer = make([w])
    w.grad = np.ones((2, 3))
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize("source, target", [(a, b) for a in MAKERS for b in MAKERS if a != b])
def test_the_state_of_another_optimizer_is_refused(source, target):
    optimizer = MAKERS[target]([Tensor(np.ones((2, 3)), requires_grad=True)], lr=0.25)
    with pytest.raises(ValueError, match="state does not fit a"):
        optimizer.load_state_dict(state_after_a_step(MAKERS[source]))
    assert (optimizer.steps, optimizer.lr) == (0, 0.25)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: state | {"0/v": np.ones((3, 2))}, "wrong shape.*0/v"),
        (lambda state: state | {"1/v": np.ones((2, 3))}, "unknown.*1/v"),
        (lambda state: {name: array for name, array in state.items() if name != "lr"}, "missing.*lr"),
        (lambda state: {name: array for name, array in state.items() if name != "0/m"}, "0/m"),
        (lambda state: {}, "missing"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    optimizer = optim.Adam([Tensor(np.ones((2, 3)), requires_grad=True)])
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(change(state_after_a_step(MAKERS["Adam"])))
    assert optimizer.steps == 0 and not any("/" in name for name in optimizer.state_dict())


def test_the_state_follows_the_parameters_to_their_device(xp_array):
    w = Tensor(np.ones(2), requires_grad=True)
    optimizer = optim.Adam([w])
    w.grad = np.ones(2)
    optimizer.step()
    w.data, w.grad = xp_array(w.data), xp_array(w.grad)
    optimizer.step()
    stayed = Tensor(np.ones(2), requires_grad=True)
    other = optim.Adam([stayed])
    for _ in range(2):
        stayed.grad = np.ones(2)
        other.step()
    np.testing.assert_allclose(to_numpy(w.data), stayed.data, rtol=1e-14)


# ---- errors ------------------------------------------------------------------------------------------------


@every_optimizer
@pytest.mark.parametrize("lr", [0, -1, float("nan"), float("inf")])
def test_an_invalid_learning_rate(make, lr):
    with pytest.raises(ValueError, match="lr is .*: it must be a positive number"):
        make([Tensor([1.0], requires_grad=True)], lr=lr)


@pytest.mark.parametrize(
    "optimizer, options, message",
    [
        (optim.SGD, {"momentum": 1}, "momentum is 1: it must be at least 0 and below 1"),
        (optim.SGD, {"momentum": -0.1}, "momentum is -0.1"),
        (optim.RMSprop, {"rho": 1.5}, "rho is 1.5"),
        (optim.RMSprop, {"epsilon": 0}, "epsilon is 0: it must be a positive number"),
        (optim.Adam, {"beta_1": 1}, "beta_1 is 1"),
        (optim.Adam, {"beta_2": float("nan")}, "beta_2 is nan"),
        (optim.Adam, {"epsilon": -1}, "epsilon is -1"),
    ],
)
def test_invalid_options(optimizer, options, message):
    with pytest.raises(ValueError, match=message):
        optimizer([Tensor([1.0], requires_grad=True)], **options)


@every_optimizer
def test_no_parameters(make):
    with pytest.raises(ValueError, match="params is empty: .*give model.parameters"):
        make([])


# ---- weight decay ------------------------------------------------------------------------------------------

# PyTorch 2.13: AdamW([[1, -2], [0.5, 3]], lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.25), float64.
# PyTorch's ε stands beside the corrected root; Keras' (and ours) is √(1 - β₂ᵗ) times smaller for the same effect.
GRADIENTS = [[[1.0, -2], [0.5, 0]], [[-3.0, 1], [0.25, 2]], [[0.5, 0.5], [-1, -4]]]
ADAMW = [
    [[0.875000001, -1.8500000005], [0.38750000199999995, 2.925]],
    [[0.9025439840837441, -1.7771162966899314], [0.2845945404274623, 2.777461318169354]],
    [[0.9077302037050843, -1.726549503039923], [0.2981153793247248, 2.739453402042841]],
]


def test_adam_with_weight_decay_is_adamw(xp_array):
    w = Tensor(xp_array(np.array([[1.0, -2], [0.5, 3]])), requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1, epsilon=1e-14, weight_decay=0.25)
    for g, expected in zip(GRADIENTS, ADAMW, strict=True):
        w.grad = xp_array(np.array(g))
        optimizer.step()
        np.testing.assert_allclose(to_numpy(w.data), expected, rtol=1e-7)  # the difference that the two ε make


@every_optimizer
def test_decay_is_applied_beside_the_step(make):
    """With a gradient of 0, only the decay changes anything: w (1 - lr λ) in each step, and no bias at all."""
    kernel, bias, unused = (Tensor(np.full(shape, 8.0), requires_grad=True) for shape in ((1, 2), (2,), (1, 2)))
    optimizer = make([kernel, bias, unused], lr=0.5, weight_decay=0.25)
    kernel.grad, bias.grad = np.zeros((1, 2)), np.zeros(2)
    for _ in range(2):
        optimizer.step()
    assert (kernel.data == 8 * 0.875**2).all()
    assert (bias.data == 8).all() and (unused.data == 8).all()


@every_optimizer
def test_decay_follows_the_learning_rate_and_keeps_the_dtype(make):
    w = Tensor(np.full((1, 2), 8, "float32"), requires_grad=True)
    optimizer = make([w], lr=0.5, weight_decay=np.float64(0.25))
    optimizer.lr = 0.25
    w.grad = np.zeros((1, 2), "float32")
    optimizer.step()
    assert (w.data == 7.5).all() and w.dtype == np.float32


@pytest.mark.parametrize("weight_decay", [-1, float("nan"), float("inf")])
def test_an_invalid_weight_decay(weight_decay):
    with pytest.raises(ValueError, match="weight_decay is .*: it must be 0 or a positive number"):
        optim.Adam([Tensor([1.0], requires_grad=True)], weight_decay=weight_decay)


# ---- clipping ----------------------------------------------------------------------------------------------


def clipped(put, max_norm):
    """[norm, the gradients after] of (3, 0, 0, 4) in a kernel, (12, 0, 0) in a bias: norm 13. One has no gradient."""
    params = [Tensor(put(np.zeros(shape)), requires_grad=True) for shape in ((2, 2), (1,), (3,))]
    params[0].grad, params[2].grad = put(np.array([[3.0, 0], [0, 4]])), put(np.array([12.0, 0, 0]))
    norm = optim.clip_gradients(params, max_norm)
    assert params[1].grad is None
    return [float(norm), to_numpy(params[0].grad).tolist(), to_numpy(params[2].grad).tolist()]


def test_a_gradient_that_is_too_long_is_scaled_as_a_whole(xp_array):
    assert clipped(xp_array, 6.5) == [13, [[1.5, 0], [0, 2]], [6, 0, 0]]  # as torch.nn.utils.clip_grad_norm_


@pytest.mark.parametrize("max_norm", [13.0, 14.0, 1e30])
def test_a_gradient_that_is_short_enough_is_unchanged_to_the_last_bit(xp_array, max_norm):
    assert clipped(xp_array, max_norm) == [13, [[3, 0], [0, 4]], [12, 0, 0]]


def test_clipping_keeps_the_dtype_and_accepts_a_gradient_of_zeros(xp_array):
    w = Tensor(xp_array(np.ones(3, "float32")), requires_grad=True)
    w.grad = xp_array(np.zeros(3, "float32"))
    assert float(optim.clip_gradients([w], np.float64(2))) == 0
    assert w.grad.dtype == np.float32 and not to_numpy(w.grad).any()
    w.grad = xp_array(np.full(3, 2, "float32"))
    optim.clip_gradients([w], np.float64(1))
    assert w.grad.dtype == np.float32
    np.testing.assert_allclose(to_numpy(w.grad), 3**-0.5, rtol=1e-6)


def test_nothing_to_clip():
    assert optim.clip_gradients([Tensor([1.0], requires_grad=True)], 1.0) == 0
    with pytest.raises(ValueError, match="max_norm is 0: it must be a positive number"):
        optim.clip_gradients([], 0)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda w: w, TypeError, r"a single Tensor: give a list"),
        (lambda w: UNet(depth=1, width=2), TypeError, r"params is a UNet: .* model\.parameters\(\)"),
        (lambda w: [w, "w"], TypeError, r"params\[1\] is a str"),
        (lambda w: {"w": w}, TypeError, r"params\[0\] is a str"),
        (lambda w: [w, Tensor([1.0])], ValueError, r"params\[1\], of shape \(1,\), gets no gradient"),
        (lambda w: [w * 2], ValueError, r"params\[0\], of shape \(2,\), gets no gradient"),
        (lambda w: [w, Tensor([1.0], requires_grad=True), w], ValueError, r"params\[2\] is params\[0\] once more"),
    ],
)
def test_what_is_no_list_of_parameters_is_refused(params, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(params(Tensor([1.0, 2.0], requires_grad=True)))


def test_arguments_of_other_libraries_are_answered_with_those_that_there_are():
    w = Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="Adam has no argument betas: it has params, lr, beta_1, beta_2"):
        optim.Adam([w], betas=(0.9, 0.99))
    with pytest.raises(TypeError, match="SGD has no argument nesterov, dampening: it has params, lr, momentum"):
        optim.SGD([w], nesterov=True, dampening=0.0)


def test_a_parameter_that_was_frozen_since_stays_as_it_is():
    w, frozen = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([w, frozen], lr=0.5, weight_decay=0.5)
    w.grad, frozen.grad = np.ones(2), np.ones(2)
    frozen.requires_grad = False
    optimizer.step()
    assert w.data.tolist() != [1.0, 2.0] and frozen.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("name", "value"), [("steps", -1), ("lr", -0.5), ("lr", np.nan), ("lr", np.inf)])
def test_a_state_that_no_optimizer_comes_to_changes_nothing(name, value):
    optimizer = optim.Adam([Tensor(np.ones((2, 3)), requires_grad=True)], lr=0.25)
    with pytest.raises(ValueError, match="no optimizer comes to that"):
        optimizer.load_state_dict({**state_after_a_step(MAKERS["Adam"]), name: np.array(value)})
    assert (optimizer.steps, optimizer.lr) == (0, 0.25)
