"""mypy and pyright on two user scripts: they report nothing in the one, and exactly the marked lines in the other."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import minunet

HERE = pathlib.Path(__file__).parent / "typing"
ROOT = pathlib.Path(minunet.__file__).parents[1]
SCRIPTS = ("user_script.py", "user_mistakes.py")


def run(command, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def mypy(scripts, folder):
    """{(script, line): message} for everything that mypy reports."""
    pytest.importorskip("mypy", reason="mypy is not installed: pip install mypy")
    done = run(
        ["mypy", "--strict", "--follow-imports=silent", f"--cache-dir={folder}", *scripts], HERE, MYPYPATH=str(ROOT)
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [re.match(r"(\w+\.py):(\d+): error: (.*)", line) for line in done.stdout.splitlines()]
    return {(m[1], int(m[2])): m[3] for m in found if m}


def pyright(scripts, folder):
    """The same for pyright, which downloads itself when it is first started."""
    pytest.importorskip("pyright", reason="pyright is not installed: pip install pyright")
    started = run(["pyright", "--version"], folder)
    if started.returncode:
        pytest.skip(f"pyright cannot start here: the first time, it needs the network: {started.stderr.strip()[-200:]}")
    for script in scripts:
        shutil.copy(HERE / script, folder)
    (folder / "pyrightconfig.json").write_text(json.dumps({"include": list(scripts), "extraPaths": [str(ROOT)]}))
    done = run(["pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)], folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(scripts)
    return {
        (pathlib.Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in found["generalDiagnostics"]
    }


def marked(script):
    return {(script, i) for i, line in enumerate((HERE / script).read_text().splitlines(), 1) if "# wrong: " in line}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_exactly_the_mistakes_are_reported(checker, tmp_path):
    expected = set.union(*map(marked, SCRIPTS))
    assert len(expected) >= 10 and not marked("user_script.py")
    found = checker(SCRIPTS, tmp_path)
    assert set(found) == expected, found


def test_the_script_does_what_it_says(tmp_path):
    done = run(["user_script"], tmp_path, PYTHONPATH=os.pathsep.join([str(HERE), str(ROOT)]))
    assert done.returncode == 0, done.stderr
    assert re.match(r"loss \d\.\d{3}, IoU \d\.\d{3}, \d+ pixels", done.stdout) and (tmp_path / "weights.npz").exists()
