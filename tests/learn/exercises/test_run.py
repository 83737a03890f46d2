"""A student's file may do anything: each time there is one clear line, and the command goes on."""

import functools
import os
import sys

import pytest

from minunet.learn.exercises import EXERCISES, child, run
from minunet.learn.exercises.check import check, trials_of

RELU = EXERCISES["relu"]
MANY = EXERCISES["conv2d"]


@pytest.fixture
def student(tmp_path):
    """Runs a file with this text as a solution of relu, in a process of its own. Returns the Run."""

    def start(text, seconds=20.0, exercise=RELU):
        file = tmp_path / f"{exercise.name} exercise ü.py"
        file.write_text(text, encoding="utf-8")
        return run.run_file(exercise, file, trials_of(exercise), seconds)

    return start


def in_process(body, exercise=RELU):
    """The Checked of a function whose body is `body`; x, gy are its arguments, or all of the exercise's."""
    source = f"import sys\nimport numpy as np\ndef {exercise.function}({', '.join(exercise.names)}):\n    {body}\n"
    module = {}
    exec(compile(source, "student.py", "exec"), module)
    function = module[exercise.function]
    answers = [
        child.call(function, trial.arguments, exercise.names, exercise.gradients, "student.py")
        for trial in trials_of(exercise)
    ]
    return check(exercise, answers)


# ---- in a process of its own -----------------------------------------------------------------------------------


def test_a_solution_in_a_process_of_its_own(student):
    result = student("def backward(gy, x):\n    print('x is', x.shape)\n    return gy * (x > 0)\n")
    assert check(RELU, result.answers).right
    assert result.printed == ["x is (3,)", "x is (2, 3, 5, 3)", "x is (3,)"] and result.more_printed == 0


def test_an_endless_loop(student):
    result = student("def backward(gy, x):\n    while True:\n        x = x + 1\n", seconds=2.0)
    (answer,) = result.answers
    assert answer.problem.startswith("it did not come to an end within 2 seconds: it was at line ")
    assert answer.problem.endswith("perhaps in an endless loop") and (
        "line 2" in answer.problem or "line 3" in answer.problem
    )


def test_what_ends_python_at_once(student):
    (answer,) = student("import os\nos._exit(0)\n").answers
    assert answer.problem == "it ended Python with exit code 0, before anything was returned"


def test_a_question_that_nobody_answers(student):
    (answer, *_) = student("def backward(gy, x):\n    return gy * float(input('factor? '))\n").answers
    assert answer.problem == "line 2 waits for input, but nobody is there: compute from the arguments alone"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there is memory limited")
def test_huge_memory(student):
    text = "import numpy as np\ndef backward(gy, x):\n    return np.empty(400_000_000)[0] * gy\n"
    assert student(text).answers[0].problem.startswith("line 3 asks for too much memory")


def test_files_are_not_confused_with_answers(student, tmp_path):
    """A file may import another one that lies beside it."""
    (tmp_path / "helper.py").write_text("def mask(x):\n    return x > 0\n")
    assert check(
        RELU, student("from helper import mask\ndef backward(gy, x):\n    return gy * mask(x)\n").answers
    ).right


def test_no_answers_are_left_behind(student, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    os.mkdir(tmp_path / "temporary")
    student("def backward(gy, x):\n    return gy\n")
    assert os.listdir(tmp_path / "temporary") == []


# ---- in this process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, problem",
    [
        ("raise NotImplementedError('TODO')", "line 4 is still a TODO: write the gradient there"),
        ("return gy[99]", "line 4: IndexError: index 99 is out of bounds for axis 0 with size 3"),
        ("return gi", "line 4: NameError: name 'gi' is not defined"),
        ("sys.exit(3)", "line 4 calls exit"),
        ("raise KeyboardInterrupt", "line 4: KeyboardInterrupt"),
        ("raise type('Own', (Exception,), {'__str__': lambda self: 1 / 0})", "line 4: Own"),
        ("return backward(gy, x)", "line 4: RecursionError"),
        ("gx = gy * (x > 0)", "backward returns None: it must end with `return gx`"),
        ("return [1.0, 2.0, 3.0]", "backward returns 3 things: it must return gx"),
        ("return gy, x", "backward returns 2 things: it must return gx, an array"),
        ("return 'gx'", "gx is a str: it must be a NumPy array"),
        ("return gy * 1j", "gx has dtype complex128: it must hold floating-point numbers"),
        ("return np.array(['a'])", "gx has dtype <U1: it must hold floating-point numbers"),
        ("gy[x < 0] = 0; return gy", "backward changes gy in place"),
        ("x[x < 0] = 0; return gy * (x > 0)", "backward changes x in place"),
        ("x *= 2; gy *= 2; return gy * (x > 0)", "backward changes gy and x in place"),
    ],
)
def test_one_line_says_what_happened(body, problem):
    result = in_process(body)
    assert result.problem.startswith(problem) and "\n" not in result.problem and not result.right
    assert not result.problem.endswith(":")
    assert result.trial == ""  # it came up at once


@pytest.mark.parametrize(
    "body, problem",
    [
        ("return (gy * (x > 0)).astype('float16')", "it has dtype float16 where everything given is float64"),
        ("return gy.sum()", "its shape is (), and that of x is (3,): they must be equal"),
        ("return (gy * (x > 0))[None]", "its shape is (1, 3), and that of x is (3,): they must be equal"),
        ("return gy * (x > 0) / (x > 0)", "gx holds NaN or infinity"),
        ("return gy * np.inf", "gx holds NaN or infinity"),
        ("return 3", "its shape is (), and that of x is (3,)"),
    ],
)
def test_what_is_wrong_with_a_gradient(body, problem):
    result = in_process(body)
    (verdict,) = result.verdicts
    assert verdict.state == "wrong" and verdict.problem.startswith(problem) and not result.right


def test_the_first_wrong_index_with_both_values():
    """Of x = (-1, 2, 3) and gy = (10, 20, 30): the second is 20, and 21 here."""
    (verdict,) = in_process("g = gy * (x > 0); g.ravel()[1] += 1; return g").verdicts
    assert (verdict.trial, verdict.place) == ("the worked example", (1,))
    assert verdict.theirs == 21 and verdict.true == pytest.approx(20, rel=1e-6)
    assert verdict.mistake == verdict.inputs == ""


def test_what_a_check_is_computed_with():
    (verdict,) = in_process("return gy * (x > 0) + (gy.ndim > 1)").verdicts
    assert verdict.inputs == "gy (2, 3, 5, 3), x (2, 3, 5, 3)"
    verdict = in_process("return None, None, gy.sum(axis=(0, 1, 2)) * max(stride)", MANY).verdicts[2]
    assert verdict.inputs.endswith(", b (2,), stride = (2, 1), pads = ((0, 0), (0, 0))")


def test_a_gradient_that_is_not_there_yet():
    result = in_process("return None, None, gy.sum(axis=(0, 1, 2))", MANY)
    assert [verdict.state for verdict in result.verdicts] == ["missing", "missing", "right"] and not result.right


def test_the_wrong_arguments():
    source = {}
    exec("def backward(gy):\n    return gy\n", source)
    answer = child.call(source["backward"], trials_of(RELU)[0].arguments, RELU.names, RELU.gradients)
    assert answer.problem.startswith("backward cannot be called as the exercise says, keep its line `def …`: TypeError")


def test_what_has_no_name_can_be_called_too():
    answer = child.call(functools.partial(lambda gy, x: gy * (x > 0)), trials_of(RELU)[0].arguments, RELU.names, ["gx"])
    assert answer.problem == "" and answer.values[0].tolist() == [0, 20, 30]
    answer = child.call(functools.partial(lambda gy, x: None), trials_of(RELU)[0].arguments, RELU.names, ["gx"])
    assert answer.problem == "the function returns None: it must end with `return gx`"


@pytest.mark.parametrize(
    "text, problem",
    [
        (b"\xff\xfed\x00e\x00f\x00", "Python cannot read it (source code string cannot contain null bytes): save it"),
        (b"s = 'gr\xfc\xdfe'\n", "line 1: Python cannot read it ((unicode error) 'utf-8' codec can't decode byte"),
    ],
)
def test_a_file_in_another_encoding(text, problem, tmp_path):
    (tmp_path / "student.py").write_bytes(text)
    function, found = child.load(str(tmp_path / "student.py"), "backward")
    assert function is None and found.startswith(problem) and "\n" not in found


@pytest.mark.parametrize("start, end", [(b"\xef\xbb\xbf", b"\n"), (b"", b"\r\n"), (b"", b"\r")])
def test_a_byte_order_mark_and_other_ends_of_lines(start, end, tmp_path):
    lines = [b"def backward(gy, x):", b"\treturn gy * (x > 0)", b""]
    (tmp_path / "student.py").write_bytes(start + end.join(lines))
    function, found = child.load(str(tmp_path / "student.py"), "backward")
    assert found == "" and function(3, 1) == 3


@pytest.mark.parametrize(
    "text, problem",
    [
        ("def backward(gy, x)\n    return gy\n", "line 1: Python cannot read it (expected ':'): def backward(gy, x)"),
        ("x = 1\n1 / 0\n", "line 2: ZeroDivisionError: division by zero    [1 / 0]"),
        ("import sys\nsys.exit()\n", "line 2 calls exit"),
        ("import no_such_module\n", "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def forward(x):\n    return x\n", "there is no function `backward` in it"),
        ("backward = 3\n", "there is no function `backward` in it"),
    ],
)
def test_a_file_that_cannot_be_loaded(text, problem, tmp_path):
    (tmp_path / "student.py").write_text(text)
    function, found = child.load(str(tmp_path / "student.py"), "backward")
    assert function is None and found.startswith(problem) and "\n" not in found


def test_endless_printing_is_cut_off():
    printed = child.Printed()
    for k in range(1000):
        print(k, "x" * 1000, file=printed)
    assert [line.split()[0] for line in printed.lines[:10]] == [str(k) for k in range(10)]
    assert printed.total == 1000 and all(len(line) <= 120 for line in printed.lines) and len(printed.lines) <= 11
