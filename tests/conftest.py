"""What several tests share: the real pictures, where there are some."""

import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def pets_dir():
    """A folder with real pictures in the dataset's layout, named by MINUNET_PETS."""
    folder = os.environ.get("MINUNET_PETS")
    if not folder:
        pytest.skip("set MINUNET_PETS to a folder in the layout of the Oxford-IIIT Pet dataset to run this test")
    return pathlib.Path(folder)
