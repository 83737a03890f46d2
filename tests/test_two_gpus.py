"""Two GPUs in one process: what is computed on one of them stays there, whichever was named last."""

import numpy as np
import pytest

from minunet import Tensor, UNet, metrics, ops, optim
from minunet.data.drawn_pets import DrawnPets
from minunet.data.loader import Loader
from minunet.device import device_of, to_numpy
from minunet.training.loop import Trainer

GPUS = "gpu:0", "gpu:1"


@pytest.fixture
def on_gpu(array_on):
    """[array → the same on the first GPU, array → the same on the second]: a call makes that GPU the current one."""
    return [array_on(name) for name in GPUS]


def devices(*tensors):
    return {device_of(tensor.data if isinstance(tensor, Tensor) else tensor) for tensor in tensors}


@pytest.mark.parametrize("here, there", [(0, 1), (1, 0)])
def test_an_operation_and_its_gradient_stay_where_the_arrays_are(on_gpu, here, there):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 6, 6, 3)), rng.standard_normal((3, 3, 3, 4))
    plain = [Tensor(a, requires_grad=True) for a in (x, w)]
    moved = [Tensor(on_gpu[here](a), requires_grad=True) for a in (x, w)]
    ops.conv2d(*plain, activation="relu").sum().backward()
    on_gpu[there](x)  # makes the other GPU the current one
    y = ops.max_pool2d(ops.conv2d(*moved, activation="relu"))
    on_gpu[there](x)
    loss = (y * y).sum()
    on_gpu[there](x)
    loss.backward()
    assert devices(y, loss, *(tensor.grad for tensor in moved)) == {GPUS[here]}
    on_gpu[there](x)
    y = ops.conv2d(*(Tensor(tensor.data, requires_grad=True) for tensor in moved), activation="relu")
    np.testing.assert_allclose(y.numpy(), ops.conv2d(*plain, activation="relu").numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("here, there", [(0, 1), (1, 0)])
def test_a_graph_of_operations_may_span_both(on_gpu, here, there):
    a, b = (Tensor(on_gpu[k](np.array([2.0, 3.0])), requires_grad=True) for k in (here, there))
    gy = on_gpu[here](np.array([1.0, 10.0]))
    (a * a + (b * b).to(GPUS[here])).backward(gy)
    ((b * b).to(GPUS[here]) + a * a).backward(gy)
    for p in (a, b):
        np.testing.assert_array_equal(to_numpy(p.grad), [2 * 2 * 2.0, 2 * 2 * 3.0 * 10])
    assert devices(a.grad) == {GPUS[here]} and devices(b.grad) == {GPUS[there]}


def test_a_wide_layer_multiplies_on_its_own(on_gpu):
    """Its products have a handle and a workspace for each GPU."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 4, 4, 64)).astype("f"), rng.standard_normal((3, 3, 64, 64)).astype("f")
    expected = ops.conv2d(x, w).data
    arrays = [(put(x), put(w)) for put in on_gpu]
    for name, (a, b) in zip(GPUS, arrays):
        y = ops.conv2d(a, b)
        assert y.device == name
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_an_optimizer_changes_parameters_on_both_gpus(on_gpu):
    parameters = [Tensor(put(np.full((2, 3), 8.0)), requires_grad=True) for put in on_gpu]
    strided = Tensor(on_gpu[1](np.full((3, 2), 8.0)).T, requires_grad=True)  # which no kernel takes
    optimizer = optim.SGD([*parameters, strided], lr=0.5, weight_decay=0.5)
    for p in optimizer.params:
        (p * 3).sum().backward()
    on_gpu[0](np.ones(1))
    optimizer.step()
    for p in optimizer.params:
        np.testing.assert_array_equal(p.numpy(), np.full((2, 3), 8 * (1 - 0.25) - 0.5 * 3))


def test_scores_are_counted_where_the_outputs_are(on_gpu):
    scores = [metrics.MaskScores() for _ in GPUS], [metrics.ConfusionScores(2) for _ in GPUS]
    p, t = np.array([[[[0.9], [0.2]]]]), np.array([[[[1], [1]]]], np.uint8)
    pairs = [(put(p), put(t)) for put in on_gpu]
    both = [(put(np.concatenate([1 - p, p], axis=-1)), put(t)) for put in on_gpu]
    for _ in range(2):
        for k in range(2):
            scores[0][k].update(*pairs[k])
            scores[1][k].update(*both[k])
    assert [s.result()["iou"] for s in scores[0]] == [0.5, 0.5]
    assert [s.matrix().tolist() for s in scores[1]] == [[[0, 0], [2, 2]]] * 2


@pytest.mark.parametrize("graph", [False, True])
def test_two_trainings_side_by_side_are_two_trainings_one_after_the_other(on_gpu, graph):
    def start(name):
        model = UNet(depth=1, width=4, seed=0, batch_norm=True).to(name)
        trainer = Trainer(model, optim.Adam(model.parameters()), "bce", clip_norm=1.0, graph=graph)
        trainer.warn = pytest.fail
        return trainer, trainer.epochs(Loader(DrawnPets(9, size=16), 2), Loader(DrawnPets(2, size=16), 2), 2)

    alone = start("gpu:0")
    rows = list(alone[1])
    trainers, runs = zip(*(start(name) for name in GPUS))
    together = [[next(run) for run in runs] for _ in range(2)]
    for k in range(2):
        assert (trainers[k].recorded is not None and trainers[k].recorded.graph is not None) == graph
        found = [{**epoch[k], "seconds": 0} for epoch in together]
        assert found == [{**row, "seconds": 0} for row in rows]
        assert {device_of(array) for array in trainers[k].optimizer.state[0].values()} == {GPUS[k]}
        for ours, other in zip(trainers[k].model.parameters(), alone[0].model.parameters()):
            np.testing.assert_array_equal(to_numpy(ours.data), to_numpy(other.data))
