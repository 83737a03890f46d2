"""Recording what a function asks of a GPU, and replaying it: what is static, and what is read anew in each step."""

import numpy as np
import pytest

from minunet.cuda_graph import NotRecordable, RecordedStep, each_step, for_each_step, is_recording
from minunet.device import array_module, to_numpy
from minunet.kernels.gpu.launch import launch


@pytest.fixture(params=["gpu"])
def on_gpu(request, array_on):
    return array_on(request.param)


def run(recorded, batches):
    """The first result of each call, as lists; in the stream of the graph."""
    with recorded.in_its_stream():
        return [to_numpy(recorded(batch)[0]).tolist() for batch in batches]


def test_the_function_is_called_three_times_and_then_replayed(on_gpu):
    calls = []

    def step(x):
        calls.append(is_recording())
        return (x * 2,)

    assert run(RecordedStep(step, "gpu:0"), [on_gpu(np.array([k])) for k in range(6)]) == [[2 * k] for k in range(6)]
    assert calls == [False, False, True]
    assert not is_recording()


def test_each_step_is_done_at_once_or_before_each_replay(on_gpu):
    """A number that Python counts: in launch arguments it would stay what it was in the third call."""
    count = []

    def step(x):
        number = for_each_step((5,), np.float32)

        def fill():
            count.append(1)
            numbers = map(np.float32, (len(count), 0, 0, 0, 0))
            launch("optimizers.cu", "store", (1,), number.dtype, number, *numbers)

        y = x * 3  # in memory that the step frees, and that the array must not be given
        y = y * 5
        each_step(fill)
        return (x + number[0], y * number[0])

    zero = np.zeros(5, np.float32)
    recorded = RecordedStep(step, "gpu:0")
    assert run(recorded, [on_gpu(zero)] * 6) == [[k] * 5 for k in range(1, 7)]
    assert recorded.graph is not None and len(recorded.before_replay) == 1


def test_other_shapes_and_other_conditions_are_recorded_anew(on_gpu):
    calls, factor = [], [2]

    def step(x):
        calls.append(x.shape)
        return (x * factor[0],)

    recorded = RecordedStep(step, "gpu:0", conditions=lambda: factor[0])
    ones = [on_gpu(np.ones(1))] * 5
    assert run(recorded, ones) == [[2]] * 5
    factor[0] = 3
    assert run(recorded, ones) == [[3]] * 5
    assert run(recorded, [on_gpu(np.ones(2))] * 5) == [[3, 3]] * 5
    assert calls == [(1,)] * 6 + [(2,)] * 3


def test_what_is_made_outside_waits_for_the_graph_and_the_graph_for_it(on_gpu):
    """To be run with --async, too: a missing wait between the two streams then shows."""
    recorded = RecordedStep(lambda x: (x + 1,), "gpu:0")
    x = on_gpu(np.zeros(3))
    for _ in range(6):
        x *= 2
        with recorded.in_its_stream():
            y = recorded(x)[0]
        x = y + 0
    assert to_numpy(x).tolist() == [63] * 3  # x → 2 x + 1, six times
    for k in range(6):
        x[:] = k
        with recorded.in_its_stream():
            assert to_numpy(recorded(x)[0]).tolist() == [k + 1] * 3  # read in the stream of the graph


@pytest.mark.parametrize("how", ["a copy to the host", "a refusal"])
def test_what_cannot_be_recorded_is_told_once_and_runs_as_it_is(on_gpu, how):
    told, abandoned, calls = [], [], []

    def step(x):
        calls.append(is_recording())
        if is_recording() and how == "a refusal":
            raise NotRecordable("this would be frozen")
        return (x * (2 if how == "a refusal" else float(x[0])),)

    recorded = RecordedStep(step, "gpu:0", abandon=lambda: abandoned.append(1), warn=told.append)
    batches = [on_gpu(np.array([2.0]))] * 6
    assert run(recorded, batches) == [[4.0]] * 6
    assert calls == [False, False, True, False, False, False, False]
    assert len(told) == len(abandoned) == 1 and recorded.graph is None
    reason = "NotRecordable: this would be frozen" if how == "a refusal" else "captur"
    assert told[0].startswith("the training step is not recorded as a CUDA graph") and reason in told[0]
    assert run(recorded, batches) == [[4.0]] * 6 and len(told) == 1


def test_an_error_in_the_block_gives_the_memory_back(on_gpu):
    recorded = RecordedStep(lambda x: (x * 2,), "gpu:0")
    run(recorded, [on_gpu(np.ones(1))] * 4)
    assert recorded.pool.total_bytes() > 0
    with pytest.raises(ZeroDivisionError), recorded.in_its_stream():
        raise ZeroDivisionError
    assert recorded.graph is None and recorded.pool is None
    assert run(recorded, [on_gpu(np.ones(1))] * 4) == [[2]] * 4


def test_outside_of_a_recorded_step_nothing_waits_for_a_later_one():
    done = []
    each_step(lambda: done.append(1))
    assert done == [1] and not is_recording()


def test_a_recorded_step_leaves_the_stream_of_its_surroundings(on_gpu):
    cuda = array_module(on_gpu(np.ones(1))).cuda
    recorded = RecordedStep(lambda x: (x,), "gpu:0")
    before = cuda.get_current_stream().ptr
    with recorded.in_its_stream():
        assert cuda.get_current_stream().ptr == recorded.stream.ptr != before
    assert cuda.get_current_stream().ptr == before
