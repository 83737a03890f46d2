"""The memory of a training step: what is counted beside what is measured, on a small network."""

import pytest

from minunet.learn.experiments import memory
from minunet.models import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


def test_bytes_are_at_the_top_of_the_u_and_parameters_at_the_bottom():
    size, batch = 64, 4
    found = memory.measure(UNet(depth=2, width=8), size, (1, batch), 0)
    top, bottom = (found.levels[0], found.levels[-1]), found.levels[2]
    assert [level.side for level in found.levels] == [64, 32, 16, 32, 64]

    # way down: the image, two outputs of 8 channels. Way up: 2 channels, the skip beside them, two outputs of 16, and
    # the probability. The measured bytes are a few more: there are Python's objects beside the arrays.
    pixels = batch * size * size
    assert top[0].predicted == 4 * pixels * (3 + 8 + 8)
    assert top[1].predicted == 4 * pixels * (2 + 16 + 16 + 1)  # the skip's 8 are above
    assert bottom.parameters == 9 * 16 * 32 + 32 + 9 * 32 * 32 + 32
    for level in found.levels:
        assert level.measured == pytest.approx(level.predicted, rel=0.03)
    assert sum(level.measured for level in top) > 0.6 * sum(level.measured for level in found.levels)
    assert bottom.parameters > 0.4 * sum(level.parameters for level in found.levels)


def test_what_is_kept_is_proportional_to_the_batch():
    found = memory.measure(UNet(depth=2, width=8), 64, (2, 8), 0)
    assert found.steps[8].kept == pytest.approx(4 * found.steps[2].kept, rel=0.02)
    for batch, step in found.steps.items():
        assert step.kept == pytest.approx(batch * found.kept, rel=0.02)
    # beside the graph: two of its largest arrays, and at most three
    largest = 4 * 8 * 64 * 64 * 16
    assert found.steps[8].kept + 1.8 * largest < found.steps[8].peak < 8 * found.peak


def test_the_peak_of_a_small_batch_is_that_of_the_gradients():
    found = memory.measure(UNet(depth=4, width=8), 16, (1,), 0)
    assert found.parameters > 10 * found.kept
    assert found.steps[1].peak == pytest.approx(found.parameters, rel=0.3)


def test_the_answer_follows_from_the_bytes(monkeypatch):
    monkeypatch.setattr(memory, "SIZE", 64)
    monkeypatch.setattr(memory, "BATCHES", (1, 2))
    assert memory.run(0).answer == 1

    found = memory.measure(UNet(depth=3, width=4), 32, (1,), 0)
    for measured, answer in (
        ((1, 2, 5, 84, 5, 2, 1), 0),
        ((40, 5, 3, 2, 3, 7, 40), 1),
        ((14, 14, 14, 16, 14, 14, 14), 2),
    ):
        levels = [level._replace(measured=size) for level, size in zip(found.levels, measured)]
        monkeypatch.setattr(memory, "measure", lambda *_, levels=levels: found._replace(levels=levels))
        assert memory.run(0).answer == answer
