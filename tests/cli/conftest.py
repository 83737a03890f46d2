"""Drawn scenes as files, and command lines that are run in this process: what the tests of all tasks share."""

import pytest

from minunet.cli import main
from minunet.data.drawn_scenes import write_scenes
from minunet.training import plots


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "drawn scenes"
    write_scenes(folder, 5, 3, 64)
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """Training draws no plots: they take most of the time of a short run, and decide none of its numbers."""
    for name in ("save_curves", "save_panels", "save_confusion"):
        monkeypatch.setattr(plots, name, lambda path, *arguments: None)


@pytest.fixture
def run(capsys):
    """Runs a command line in this process. Returns its exit code, its output and its errors."""

    def call(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        output, errors = capsys.readouterr()
        lines = [line for line in errors.splitlines(True) if not line.startswith("warning: no training pixel is ")]
        return code, output, "".join(lines)  # not all classes are in so few scenes

    return call
