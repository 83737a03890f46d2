"""Well-formed files whose fields are wrong, a few of each kind; field_fuzz.py is the campaign of thousands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("field_fuzz.py")
CASES = 48


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")
def test_a_few_cases_of_each_kind():
    pytest.importorskip("h5py")
    pytest.importorskip("safetensors")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, CAMPAIGN, str(CASES), "100000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.findall(r"taken +(\d+) refused +(\d+) FAILED +0\n", done.stdout)
    assert len(counts) == 12 and sum(int(n) for pair in counts for n in pair) == CASES, done.stdout
    taken, refused = (sum(int(pair[i]) for pair in counts) for i in (0, 1))
    assert taken > 5 and refused > 15, "the cases are of one sort"
