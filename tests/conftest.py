"""What several tests share: the real photographs, where there are some, and the devices to test."""

import gc
import os
import pathlib
import sys
import warnings

import hypothesis
import numpy as np
import pytest

from minunet import device
from minunet.cuda import compute_capability
from minunet.kernels.threads import get_num_threads, set_num_threads

collect_ignore = ["typing", "field_fuzz.py"]  # scripts: test_typing.py and test_field_fuzz.py have them read and run

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


def pytest_xdist_auto_num_workers(config):
    """The whole suite runs on all cores; what is named runs in this process, where `-s` and `--pdb` work."""
    return 0 if config.args_source is pytest.Config.ArgsSource.ARGS else None


@pytest.fixture(scope="session")
def pets_dir():
    """A folder with real photographs in the dataset's layout, named by MINUNET_PETS."""
    folder = os.environ.get("MINUNET_PETS")
    if not folder:
        pytest.skip("set MINUNET_PETS to a folder in the layout of the Oxford-IIIT Pet dataset to run this test")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def array_on():
    """array_on("gpu") is the function that puts NumPy arrays there; without a GPU it skips the test."""

    def choose(name):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # CuPy warns on its search for CUDA; the reason comes below
                name = device.resolve_device(name)
        except device.GpuUnavailable as error:
            pytest.skip(f"no GPU to test: {error}")
        return lambda array: device.to_device(np.asarray(array), name)

    return choose


@pytest.fixture(params=["cpu", "gpu"])
def xp_array(request, array_on):
    """array → the same on the device to test: a NumPy array, then, where there is a GPU, a CuPy array."""
    return array_on(request.param)


@pytest.fixture
def sm_80(array_on):
    """Skips the test unless the GPU is of compute capability 8.0 or newer: it has TF32 and bfloat16."""
    array_on("gpu")
    if compute_capability("gpu") < 80:
        pytest.skip("this GPU has no TF32 and no bfloat16")


@pytest.fixture(params=["float16", "bfloat16"])
def half(request, array_on):
    """A dtype of 16 bits that the GPU to test can multiply."""
    array_on("gpu")
    if request.param == "float16":
        return np.dtype("float16")
    if compute_capability("gpu") < 80:
        pytest.skip("this GPU has no bfloat16")
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)


@pytest.fixture
def elsewhere(monkeypatch):
    """array → a copy that minunet takes for an array on the device "gpu:7": what meets it must say so."""
    real, copies = device.device_of, []

    def device_of(array):
        return "gpu:7" if any(np.may_share_memory(array, copy) for copy in copies) else real(array)

    def move_away(array):
        copies.append(np.array(array))
        return copies[-1]

    for name, module in list(sys.modules.items()):
        if name.startswith("minunet") and getattr(module, "device_of", None) is real:
            monkeypatch.setattr(module, "device_of", device_of)
    return move_away


@pytest.fixture(autouse=True)
def same_number_of_threads():
    """A test that sets the number of threads, as a command line does, sets it for itself: sums depend on it."""
    before = get_num_threads()
    yield
    if get_num_threads() != before:
        set_num_threads(before)


@pytest.fixture
def one_thread(same_number_of_threads):
    """One thread does everything. With more, chance decides when one of them first needs scratch memory."""
    set_num_threads(1)


@pytest.fixture
def no_collector():
    """The cyclic garbage collector is off: only reference counts free memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
