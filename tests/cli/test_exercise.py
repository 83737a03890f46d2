"""`minunet exercise`: from the list to a solved exercise, as a student would use it."""

import ast
import re
from pathlib import Path

import pytest

import minunet
from minunet.learn.exercises import EXERCISES, child, run
from minunet.learn.exercises.check import trials_of

NAMES = (
    "relu sigmoid binary_cross_entropy add matmul conv2d max_pool2d concatenate conv_transpose2d dice batch_norm "
    "cross_entropy accumulation rmsprop"
).split()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def in_this_process(monkeypatch):
    """The student's file is run in this process, which is quicker."""

    def run_file(exercise, file, trials):
        function, problem = child.load(str(file.resolve()), exercise.function)
        if function is None:
            return run.Run([child.Answer(problem=problem)], [])
        names = exercise.names, exercise.gradients
        return run.Run([child.call(function, t.arguments, *names, str(file.resolve())) for t in trials], [])

    monkeypatch.setattr("minunet.cli.exercise.run_file", run_file)


def solve(file, body):
    """Writes the body in place of the TODO."""
    text = Path(file).read_text(encoding="utf-8")
    Path(file).write_text(re.sub(r"raise NotImplementedError\(.*\)", lambda _: body, text), encoding="utf-8")


@pytest.mark.parametrize("arguments", [[], ["--list"], ["relu", "--list"]])
def test_the_list(run, arguments):
    code, output, errors = run("exercise", *arguments)
    rows = output.splitlines()[1:15]
    assert code == 0 and errors == "" and {row.split()[0] for row in rows} == set(NAMES)
    assert rows[0].startswith("relu ") and all(0 < int(row.split()[1]) <= 60 and len(row) <= 120 for row in rows)


def test_from_the_todo_to_all_right(run):
    """The whole way, each check in a process of its own."""
    code, output, _ = run("exercise", "sigmoid")
    assert code == 0 and output.splitlines()[-1] == "  minunet exercise sigmoid --check"
    code, output, _ = run("exercise", "sigmoid", "--check")
    lines = Path("sigmoid_exercise.py").read_text(encoding="utf-8").splitlines()
    todo = next(number for number, line in enumerate(lines, 1) if "TODO" in line)
    assert code == 1 and output.startswith(f"sigmoid_exercise.py: line {todo} is still a TODO") and "--hint" in output
    solve("sigmoid_exercise.py", "y = forward(x); return gy * y")
    code, output, _ = run("exercise", "sigmoid", "--check")
    flat = " ".join(output.split())
    assert code == 1 and "gx WRONG worst relative error" in flat and "wrong in 2 of 2 checks" in flat
    # the worked example: 8 · 0.5 in place of 8 · 0.5 · 0.5
    assert 'first wrong at gx[0], in "the worked example": yours is 4, by differences it is 2' in flat
    assert "The likely mistake: the factor 1 - y is missing" in flat
    solve_again = Path("sigmoid_exercise.py").read_text(encoding="utf-8").replace("gy * y", "gy * y * (1 - y)")
    Path("mine.py").write_text(solve_again, encoding="utf-8")
    code, output, errors = run("exercise", "sigmoid", "--check", "mine.py")
    assert code == 0 and output.startswith("gx      right") and "All right" in output and errors == ""


@pytest.mark.parametrize("name", NAMES)
def test_each_is_written_as_python(run, name):
    assert run("exercise", name.replace("_", "-"))[0] == 0
    text = Path(f"{name}_exercise.py").read_text(encoding="utf-8")
    functions = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert {"backward", "forward"} <= functions or name == "rmsprop"
    assert text.count("TODO") == 1 and "worked example" in text and "# Hint" in text
    assert "minunet" not in re.sub(r"minunet exercise", "", text)  # NumPy is all that it imports
    assert f"minunet exercise {name} --check {name}_exercise.py" in text


def test_nothing_is_overwritten(run):
    Path("relu_exercise.py").write_text("mine")
    code, output, errors = run("exercise", "relu")
    assert code == 2 and output == "" and Path("relu_exercise.py").read_text() == "mine"
    assert errors.startswith("error: relu_exercise.py is there already") and errors.count("\n") == 1
    assert run("exercise", "relu", "--out", "other.py")[0] == 0
    code, output, _ = run("exercise", "relu", "--out", "no/such/folder.py")
    assert code == 2 and output == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["rellu"], "there is no exercise 'rellu': did you mean relu?"),
        (["qqq"], "there is no exercise 'qqq': it must be one of relu, "),
        (["--check", "x.py"], "give the name of an exercise"),
        (["--hint"], "give the name of an exercise"),
        (["--solution"], "give the name of an exercise"),
        (["--out", "x.py"], "give the name of an exercise"),
        (["relu", "--hint", "99"], "relu has 3 hints: 99 is too many"),
        (["relu", "--hint", "0"], "'0' must be an integer of at least 1"),
        (["relu", "--hint", "--solution"], "not allowed with"),
        (["relu", "--check"], "relu_exercise.py is no file"),
        (["relu", "--check", "."], ". is no file"),
    ],
)
def test_wrong_use(run, arguments, message):
    code, output, errors = run("exercise", *arguments)
    assert code == 2 and output == "" and message in errors and errors.startswith("error: ") and errors.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_hints_lead_from_one_to_the_next(run, name):
    code, output, _ = run("exercise", name, "--hint")
    count = int(re.match(r"Hint 1 of (\d): ", output)[1])
    assert code == 0 and count >= 3 and output.splitlines()[-1] == f"The next one: minunet exercise {name} --hint 2"
    code, output, _ = run("exercise", name, "--hint", count)
    assert code == 0 and output.startswith(f"Hint {count} of {count}:") and "The next one" not in output


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_where_it_says(run, name):
    code, output, _ = run("exercise", name, "--solution")
    assert code == 0
    places = re.findall(r"^  (minunet/\S+\.py), lines (\d+) to (\d+): (\S+)$", output, re.MULTILINE)
    assert places
    for file, first, last, thing in places:
        lines = (Path(minunet.__file__).parent.parent / file).read_text(encoding="utf-8").splitlines()
        text = "\n".join(lines[int(first) - 1 : int(last)])
        assert f"def {thing.split('.')[-1]}(" in text or f"class {thing}" in text
    assert len(output.splitlines()) > len(places) + 1  # and why


def test_a_right_gradient_beside_a_wrong_one_and_one_that_is_missing(run, in_this_process):
    run("exercise", "conv2d")
    solve("conv2d_exercise.py", "return None, gy.sum(), gy.sum(axis=(0, 1, 2))")
    code, output, _ = run("exercise", "conv2d", "--check")
    lines = output.splitlines()
    assert code == 1 and lines[0] == "gx      not there yet (None)" and lines[1].startswith("gw      WRONG ")
    assert lines[2].startswith("        its shape is (), and that of w is (1, 2, 1, 1): they must be equal")
    assert any(line.startswith("gb      right   worst relative error ") for line in lines)
    assert f"in {len(trials_of(EXERCISES['conv2d']))} checks" in output


def test_an_exception_after_numbers(run, in_this_process):
    """Wrong where it can be computed, and an exception where it cannot: both are told."""
    run("exercise", "matmul")
    solve("matmul_exercise.py", "return gy @ b, a.T @ gy")
    code, output, _ = run("exercise", "matmul", "--check")
    flat = " ".join(output.split())
    assert code == 1 and flat.startswith("matmul_exercise.py: line ") and 'in the check "3x4 times 4x5"' in flat
    assert "The likely mistake: b is not transposed: ga = gy bᵀ." in flat and "gb right" in flat


def test_where_it_is_right_helps_when_the_mistake_is_not_known(run, in_this_process):
    run("exercise", "relu")
    solve("relu_exercise.py", "return gy * (x > 0) + (gy.ndim > 1)")
    code, output, _ = run("exercise", "relu", "--check")
    flat = " ".join(output.split())
    assert code == 1 and "It is right in: the worked example; x = 0." in flat
    assert "It is wrong in: random numbers." in flat and "likely mistake" not in flat


def test_what_was_printed_is_shown(run):
    run("exercise", "relu")
    solve("relu_exercise.py", "print('shape', x.shape); return gy * (x > 0)")
    code, output, _ = run("exercise", "relu", "--check")
    assert code == 0 and output.startswith("Your file printed:\n  shape (3,)\n  shape (2, 3, 5, 3)\n")
