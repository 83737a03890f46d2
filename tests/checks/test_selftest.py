"""`minunet selftest`: what is right, wrong, or missing, and how its figures are reported."""

import numpy as np
import pytest

from minunet import cli as command
from minunet import device
from minunet.checks import rounding, selftest, speed
from minunet.checks.selftest import Check, all_checks
from minunet.kernels import cpu, gpu, reference
from minunet.precision import precision_in_use, resolve_precision, use_precision


def few_checks(*operations):
    return [check for check in all_checks(quick=True) if check.operation in operations]


@pytest.fixture
def quick_command(monkeypatch):
    """The command with a few checks and no measurements."""
    monkeypatch.setattr(selftest, "all_checks", lambda quick: few_checks("relu", "max_pool2d", "optimizer"))
    monkeypatch.setattr(speed, "report", lambda where, batch, size, quick: [f"{where} {batch} {size} {quick}"])


def rows(text):
    """{operation: (checks, float32, float64, what follows)}"""
    lines = (line.split() for line in text.split("\n\n")[1].splitlines()[1:])
    return {name: (int(checks), float(single), float(double), rest) for name, checks, single, double, *rest in lines}


def test_the_table(quick_command, capsys):
    assert command.main(["selftest", "--device", "cpu", "--quick"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("device  cpu\n") and err == "" and out.endswith("\n\ncpu 2 64 True\n")
    table = rows(out)
    assert {name: row[0] for name, row in table.items()} == {"relu": 1, "max_pool2d": 32, "optimizer": 5}
    assert all(single < 1e-5 and double < 1e-10 and rest == [] for _, single, double, rest in table.values())


def test_a_kernel_that_is_wrong_and_one_that_fails_are_named(quick_command, capsys, monkeypatch):
    right = cpu.max_pool

    def one_pixel_wrong(*arguments):
        y, argmax = right(*arguments)
        y.reshape(-1)[-1] += 0.1
        return y, argmax

    def fails(*arguments, **options):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(cpu, "max_pool", one_pixel_wrong)
    monkeypatch.setattr(cpu, "update", fails)
    assert command.main(["selftest", "--device", "cpu", "--quick"]) == 1
    out, err = capsys.readouterr()
    table = rows(out)
    assert table["relu"][3] == [] and table["max_pool2d"][3] == table["optimizer"][3] == ["WRONG"]
    assert table["optimizer"][1] == np.inf and 1e-4 < table["max_pool2d"][2] < 0.1
    assert "optimizer Adam, float64: relative error inf (RuntimeError: no such kernel)" in err
    assert err.count("\n") == 2 * (32 + 5)


def test_without_a_gpu_it_says_what_is_missing(capsys, monkeypatch):
    def find(name):
        raise device.GpuUnavailable("driver", "the driver is too old:\ninstall a newer one")

    monkeypatch.setattr(device, "resolve_device", find)
    assert command.main(["selftest", "--device", "gpu"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: no GPU to test: the driver is too old: install a newer one\n")


@pytest.mark.parametrize("arguments", [["--device", "tpu"], ["--device"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["selftest", *arguments])
    assert caught.value.code == 2 and "selftest --help)" in capsys.readouterr().err


# ---- what is checked ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where, kernels", [("cpu", cpu), ("gpu", gpu)])
def test_every_kernel_is_called_and_correct(where, kernels, array_on, monkeypatch):
    array_on(where)  # or skip
    where, called = device.resolve_device(where), set()

    def watch(name, function):
        return lambda *arguments, **options: called.add(name) or function(*arguments, **options)

    for name in reference.__all__:
        monkeypatch.setattr(kernels, name, watch(name, getattr(kernels, name)))
    for row in selftest.run(all_checks(quick=True), where):
        assert row.failed == []
    assert called == set(reference.__all__)


def test_the_error_is_relative_to_the_whole_array():
    def answers(on, dtype):
        return [np.array([3, 4 + 0.05 * (on == "gpu:0")], dtype)]

    assert Check("x", "", answers).error("gpu:0", "float64") == pytest.approx(0.01)
    types = Check("x", "", lambda on, dtype: [np.zeros(2, dtype if on == "cpu" else "float16")])
    shapes = Check("x", "", lambda on, dtype: [np.zeros(2 if on == "cpu" else (2, 1), dtype)])
    nothing = Check("x", "", lambda on, dtype: [np.zeros(2, dtype) * (1 if on == "cpu" else np.nan)])
    assert {check.error("gpu:0", "float32") for check in (types, shapes, nothing)} == {np.inf}


def test_layers_of_full_size_are_among_the_checks():
    names = {(check.operation, check.label) for check in all_checks()}
    assert ("conv2d", "256x256, 3 to 8") in names - {(check.operation, check.label) for check in all_checks(quick=True)}


# ---- how fast ----------------------------------------------------------------------------------------------


def test_the_figures(monkeypatch):
    """A step of 64 images in 0.64 s: 100 per second; 40 · 6000 of them in 2400 s."""
    monkeypatch.setattr(speed, "bandwidth", lambda where: 100e9)
    monkeypatch.setattr(speed, "arithmetic", lambda where: 2e12)
    monkeypatch.setattr(speed, "seconds_per_step", lambda where, batch, size: 0.01 * batch)
    monkeypatch.setattr(speed.costs, "training_costs", lambda model, size: speed.costs.Costs(10**10, 10**8, 0, 0))
    text = "\n".join(speed.report("cpu", 64, 256))
    for part in (
        "100.0 GB/s",
        "2000.0 GFLOP/s",
        "64 images of 256x256: 640.0 ms, 100 images per second",
        "640.0 GFLOP are 50%",
        "6.40 GB at least are 10%",
        "40 epochs of 6,000 such images take 40.0 minutes",
        "took 54 minutes",
    ):
        assert part in text
    assert "epochs" not in "\n".join(speed.report("cpu", 32, 256))


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    def seconds_per_step(where, batch, size):
        if batch > limit:
            raise MemoryError
        return 1.0

    monkeypatch.setattr(speed, "seconds_per_step", seconds_per_step)
    limit = 10
    assert speed.largest_batch("cpu", 64, 256) == (8, 1.0)
    text = "\n".join(speed.report("cpu", 64, 256, quick=True))
    assert "batches of 64 do not fit into memory: the following is for 8" in text
    limit = 0
    with pytest.raises(MemoryError):
        speed.largest_batch("cpu", 64, 256)


def test_bandwidth_and_arithmetic_are_plausible(xp_array):
    where = device.device_of(xp_array(np.ones(1)))
    assert 1e6 < speed.bandwidth(where, 1 << 20) < 1e14 and 1e6 < speed.arithmetic(where, 64) < 1e16


def test_the_time_of_a_step_is_plausible():
    assert 1e-4 < speed.seconds_per_step("cpu", 1, 64, seconds=0) < 60


def test_a_number_says_more_than_infinity():
    """One check of an operation is wrong by 0.853, another returns a wrong shape, a third raises."""

    def wrong(on, dtype):
        return [np.array([1.0 + 0.853 * (on == "gpu:0")], dtype)]

    def shape(on, dtype):
        return [np.zeros(2 if on == "cpu" else (2, 1), dtype)]

    def fails(on, dtype):
        if on == "gpu:0":
            raise RuntimeError("no such kernel")
        return [np.zeros(1, dtype)]

    def rounded(on, dtype):
        return [np.array([1.0 + 1e-12 * (on == "gpu:0")], dtype)]

    for order in ([wrong, shape, fails], [fails, shape, wrong]):
        (row,) = selftest.run([Check("x", "", answers) for answers in order], "gpu:0")
        assert row.worst["float64"] == pytest.approx(0.853) and len(row.failed) == 6
    (row,) = selftest.run([Check("x", "", fails), Check("x", "", rounded)], "gpu:0")
    assert row.worst["float64"] == np.inf


# ---- tf32 and mixed precision ------------------------------------------------------------------------------


def test_numbers_are_rounded_to_11_bits():
    x = np.array([1 + 2**-11, 1 + 3 * 2**-11, -(1 + 2**-10), 3e-30, 0.0, 0.1], np.float32)
    found = rounding.to_11_bits(x)
    np.testing.assert_array_equal(found[[0, 1, 2, 4]], np.array([1, 1 + 2**-9, -(1 + 2**-10), 0], "f"))  # ties to even
    assert 0 < abs(found[3] / 3e-30 - 1) <= 2**-11 and 0 < abs(found[5] / 0.1 - 1) <= 2**-11


def few_cases(*operations):
    return [case for case in rounding.single_operations(quick=True) if case.operation in operations]


@pytest.fixture(params=["gpu-tf32", "gpu-mixed"])
def precision(request, array_on):
    array_on("gpu")
    name = request.param.removeprefix("gpu-")
    try:
        return resolve_precision(name, "gpu:0")
    except ValueError as error:
        pytest.skip(str(error))


def test_operations_are_as_exact_as_a_precision_can_be(precision):
    name = rounding.number_type(precision, "gpu:0")
    cases = few_cases("nn.Conv2D", "nn.ConvTranspose2D", "batch_norm", "relu", "sigmoid", "cross_entropy_with_logits")
    rows = {row.operation: row for row in rounding.run(cases, precision, "gpu:0")}
    assert [line for row in rows.values() for line in row.failed] == []
    assert rows["nn.Conv2D"].worst[name] > 1e-5  # it is that precision, and not float32
    assert sum(row.checks for row in rows.values()) == len(cases)


def test_a_kernel_that_is_too_rough_is_named(precision, monkeypatch):
    right = gpu.convolve

    def rough(*arguments, **options):
        y = right(*arguments, **options)
        return (y * 1.02).astype(y.dtype)

    monkeypatch.setattr(gpu, "convolve", rough)
    monkeypatch.setattr(gpu, "relu_gradient", None)
    relu, conv = rounding.run(few_cases("nn.Conv2D", "relu"), precision, "gpu:0")
    assert "nn.Conv2D activation None" in conv.failed[0] and 0.015 < conv.worst.popitem()[1] < 0.03
    assert relu.worst.popitem()[1] == np.inf and "TypeError" in relu.failed[0]


def test_no_network_is_among_single_operations():
    names = {case.operation for case in rounding.single_operations(quick=True)}
    assert {"conv2d", "conv_transpose2d", "max_pool2d", "focal_loss_with_logits"} <= names
    assert not any(name.startswith("UNet") for name in names)


def test_the_command_compares_and_measures_in_the_precision(precision, capsys, monkeypatch):
    used = []

    def report(where, batch, size, quick, smaller):
        used.append((precision_in_use(), batch, smaller, size))
        return []

    few = few_cases("relu", "sigmoid")
    monkeypatch.setattr(rounding, "single_operations", lambda quick: few)
    monkeypatch.setattr(speed, "report", report)
    for words, sizes in ((["--quick"], (2, 1, 64)), ([], (64, 8, 256))):
        assert command.main(["selftest", "--device", "gpu", "--precision", precision, *words]) == 0
        out = capsys.readouterr().out
        assert out.splitlines()[1].startswith(f"        {precision}: ") and "sigmoid" in out
        assert used.pop() == (precision, *sizes)
    assert precision_in_use() == "float32"


def test_the_cpu_has_only_float32(capsys):
    assert command.main(["selftest", "--device", "cpu", "--precision", "tf32"]) == 2
    assert capsys.readouterr().err.startswith("error: the precision tf32 is for a GPU")


def test_two_batch_sizes_are_reported(monkeypatch):
    monkeypatch.setattr(speed, "bandwidth", lambda where: 100e9)
    monkeypatch.setattr(speed, "arithmetic", lambda where: 2e12)
    monkeypatch.setattr(speed, "seconds_per_step", lambda where, batch, size: 0.01 * batch)
    text = "\n".join(speed.report("cpu", 64, 256, smaller=8))
    assert "64 images of 256x256: 640.0 ms" in text and "8 images of 256x256: 80.0 ms" in text


@pytest.mark.parametrize("where", ["gpu"])
def test_a_step_and_a_product_run_in_mixed_precision(array_on, where, monkeypatch):
    array_on(where)
    name, steps = rounding.number_type("mixed", "gpu:0"), []

    def seconds_per_step(where, batch, size):
        step = speed.lecture_step(where, batch, 64)
        step(lambda phase: steps.append(phase))
        return 1.0

    monkeypatch.setattr(speed, "seconds_per_step", seconds_per_step)
    with use_precision("mixed"):
        text = list(speed.report("gpu:0", 1, 64, quick=True))
    assert text[1].endswith(f"GFLOP/s in {name}") and steps[-2:] == ["optimizer", "scores"]
