"""Where something is written."""

from pathlib import Path

import minunet
from minunet.checks.source import lines_of, readable_path
from minunet.ops.relu import ReLUFunction


def test_the_lines_are_those_of_the_function():
    file, numbers = lines_of(ReLUFunction.backward).split(", lines ")
    first, last = map(int, numbers.split(" to "))
    text = Path(minunet.__file__).parent.parent.joinpath(file).read_text(encoding="utf-8").splitlines()
    assert text[first - 1].strip() == "def backward(self, gy):" and text[last - 1].strip().startswith("return")


def test_a_file_elsewhere_keeps_its_path(tmp_path):
    assert readable_path(str(tmp_path / "mine.py")) == str(tmp_path / "mine.py")
