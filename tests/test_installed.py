"""The package as it is installed: found from everywhere, with its command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minunet

CLONE = Path(minunet.__file__).parents[1]


def python(*arguments, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_found_from_the_folder_above_a_clone_of_the_same_name(tmp_path):
    """There, Python sees a folder called minunet without an __init__.py, and might take it for a namespace package."""
    (tmp_path / "minunet").symlink_to(CLONE, target_is_directory=True)
    found = python("-c", "from minunet import UNet; import minunet; print(minunet.__file__)", cwd=tmp_path)
    assert Path(found.strip()).resolve() == Path(minunet.__file__).resolve()


def test_the_module_is_the_command(tmp_path):
    assert python("-m", "minunet", "--version", cwd=tmp_path).strip() == f"minunet {minunet.__version__}"


@pytest.mark.parametrize(
    "door, command", [("train_pets", "train"), ("predict_pets", "predict"), ("show_augmentation", "show-augmentation")]
)
def test_the_examples_are_doors(door, command, tmp_path):
    path = CLONE / "examples" / f"{door}.py"
    if not path.is_file():
        pytest.skip("the examples lie beside the package only in a clone")
    assert python(path, "--help", cwd=tmp_path) == python("-m", "minunet", command, "--help", cwd=tmp_path)
