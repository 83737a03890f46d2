"""examples/inside_a_unet.ipynb runs from top to bottom, and what it shows is what it computes."""

import re
from pathlib import Path

import pytest

import minunet

NOTEBOOK = Path(minunet.__file__).parent.parent / "examples" / "inside_a_unet.ipynb"


@pytest.fixture(scope="module")
def notebooks():
    """The notebook as it is committed, and a copy that has just been executed, in a kernel of its own."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install -e '.[test]'")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install -e '.[test]'")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install -e '.[test]'")
    if not NOTEBOOK.exists():
        pytest.skip("the examples lie beside the package only in a clone")
    committed, executed = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbclient.NotebookClient(executed, timeout=300, kernel_name="python3").execute(cwd=str(NOTEBOOK.parent))
    return committed, executed


def texts(cell):
    """What a cell prints and returns, without the pictures."""
    printed = [output.text for output in cell.outputs if output.output_type == "stream"]
    returned = [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"]
    return "".join(printed + returned)


def words(cell):
    """What a cell prints, with # for each float; NumPy pads them to one width, so white space depends on them too."""
    return re.sub(r"-?\d+\.\d*(e[-+]\d+)?|<Figure.*?>", "#", texts(cell)).replace(" ", "").split("\n")


def pictures(cell):
    return [kind for output in cell.outputs for kind in output.get("data", {}) if kind.startswith("image/")]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_what_a_reader_sees_is_what_the_cells_compute(notebooks):
    """The words and the integers are the same; what a training ends with differs a little between processors."""
    for shown, computed in zip(*map(code, notebooks), strict=True):
        assert words(shown) == words(computed), shown.source
        assert pictures(shown) == pictures(computed)
    assert sum(len(pictures(cell)) for cell in code(notebooks[0])) == 8


def test_what_the_notebook_says_about_its_numbers(notebooks):
    printed = "\n".join(map(texts, code(notebooks[1])))
    assert "(4.0, 3.0)" in printed and "equal to (p - t) / M: True" in printed and "True)" in printed
    by_hand = re.search(r"after ReLU (\S+)", printed).group(1)
    assert float(by_hand) > 0
    assert float(re.search(r"own number: (\S+)", printed).group(1)) == pytest.approx(float(by_hand), abs=2e-4)
    scores = [float(score) for score in re.findall(r"epoch \d: .* mean IoU on new pets (\S+)", printed)]
    with_skips = float(re.search(r"all skips +mean IoU (\S+)", printed).group(1))
    without = float(re.search(r"none at all +mean IoU (\S+)", printed).group(1))
    assert with_skips == scores[-1] > 0.5 and without < with_skips / 2
    lines = re.findall(r"(\w+) +after three steps: \[(.*)\]", printed)
    steps = {name: [float(weight) for weight in weights.split()] for name, weights in lines}
    assert steps["RMSprop"][0] == steps["RMSprop"][1] and steps["Adam"][0] == steps["Adam"][1]
    assert 1 - steps["SGD"][1] > 20 * (1 - steps["SGD"][0])


def test_the_notebook_is_small():
    if NOTEBOOK.exists():
        assert NOTEBOOK.stat().st_size < 400_000
