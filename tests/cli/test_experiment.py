"""`minunet experiment`, with experiments that take no time."""

import io
import sys

import pytest
from matplotlib.figure import Figure
from PIL import Image

from minunet import cli
from minunet.cli import experiment as command
from minunet.learn.experiments import Experiment, Result


def measured(seed):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, seed])
    rows = (("first", "1.5"), ("second", "10"))
    text = "Because of minunet/ops/relu.py.\n\n    y = max(x, 0)\n\nSo much for that."
    return Result(f"It is {seed} of 10.", 1, ("which", "how much"), rows, text, figure)


def unreachable(seed):
    raise AssertionError("nothing should be measured")


@pytest.fixture
def experiments(monkeypatch):
    found = {
        name: Experiment(name, f"Does {name} matter?", ("No.", "Yes.", "Only on Sundays."), seconds, measured)
        for name, seconds in (("skips", 95), ("batch-norm", 20), ("initialization", 150))
    }
    monkeypatch.setattr(command, "EXPERIMENTS", found)
    return found


@pytest.fixture
def terminal(monkeypatch):
    """terminal(lines): stdin and stdout are a terminal, where these lines are typed."""

    def open_terminal(typed):
        stream = io.StringIO(typed)
        stream.isatty = lambda: True
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    return open_terminal


def test_one_experiment(experiments, run, tmp_path):
    code, out, err = run("experiment", "skips", "--seed", 7, "--out", tmp_path / "new" / "folder")
    assert (code, err) == (0, "")
    picture = tmp_path / "new" / "folder" / "skips.png"
    with Image.open(picture) as image:
        assert image.format == "PNG"
    assert [path.name for path in picture.parent.iterdir()] == ["skips.png"]
    assert out.splitlines() == [
        "Does skips matter?",
        "",
        "  1  No.",
        "  2  Yes.",
        "  3  Only on Sundays.",
        "",
        "measuring: about 1.5 min on two cores …",
        "",
        "measured: It is 7 of 10.",
        "          So it is 2, Yes.",
        "",
        "which   how much",
        "first        1.5",
        "second        10",
        "",
        "Because of minunet/ops/relu.py.",
        "",
        "    y = max(x, 0)",
        "",
        "So much for that.",
        "",
        f"written: {picture}",
    ]


@pytest.mark.parametrize(
    ("guess", "words"), [(2, "You guessed right: 2, Yes."), (3, "You guessed 3. It turned out otherwise: 2, Yes.")]
)
def test_a_guess_on_the_command_line(experiments, run, tmp_path, guess, words):
    code, out, err = run("experiment", "skips", "--guess", guess, "--out", tmp_path)
    assert (code, err) == (0, "") and f"          {words}\n" in out


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("2\n", "You guessed right"),
        ("1\n", "You guessed 1."),
        ("four\n4\n0\n 3 \n", "You guessed 3."),
        ("\n", "So it is 2"),
        ("", "So it is 2"),
    ],
)
def test_a_guess_at_a_terminal(experiments, terminal, capsys, tmp_path, typed, words):
    terminal(typed)
    assert cli.main(["experiment", "skips", "--out", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    assert "Your guess (1 to 3, or Enter for none): " in out and words in out


def test_a_guess_on_the_command_line_is_not_asked_for_again(experiments, terminal, capsys, tmp_path):
    terminal("1\n")
    assert cli.main(["experiment", "skips", "--guess", "2", "--out", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    assert "Your guess" not in out and "You guessed right" in out


@pytest.mark.parametrize("name", ["initialization", "initialisation", "Initialization"])
def test_spellings(experiments, run, tmp_path, name):
    assert run("experiment", name, "--out", tmp_path)[0] == 0
    assert (tmp_path / "initialization.png").exists()


def test_an_underscore_for_a_hyphen(experiments, run, tmp_path):
    assert run("experiment", "batch_norm", "--out", tmp_path)[0] == 0
    assert (tmp_path / "batch-norm.png").exists()


def test_the_list(experiments, run):
    code, out, err = run("experiment", "--list")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "skips           1.5 min  Does skips matter?",
        "batch-norm         20 s  Does batch-norm matter?",
        "initialization  2.5 min  Does initialization matter?",
    ]


def test_all_of_them(experiments, run, tmp_path):
    code, out, err = run("experiment", "--all", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("1/3  skips (1.5 min)\n     It is 0 of 10.\n2/3  batch-norm (20 s)\n")
    page = (tmp_path / "experiments.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in experiments) and "Not measured" not in page


def test_what_is_measured_lasts_when_the_rest_is_stopped(experiments, monkeypatch, run, tmp_path):
    def stop(seed):
        raise KeyboardInterrupt

    last = experiments["initialization"]
    experiments["initialization"] = Experiment(last.name, last.question, last.guesses, 1, stop)
    assert run("experiment", "--all", "--out", tmp_path)[::2] == (130, "error: stopped\n")
    page = (tmp_path / "experiments.html").read_text(encoding="utf-8")
    assert 'id="batch-norm"' in page and "Not measured so far: initialization." in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["skps"], "there is no experiment 'skps': did you mean skips? (see"),
        (["qqq"], "there is no experiment 'qqq': it must be one of skips, batch-norm, initialization (see"),
        ([], "give the NAME of one experiment, or --list, or --all"),
        (["skips", "--all"], "give the NAME of one experiment, or --list, or --all"),
        (["--all", "--list"], "give the NAME of one experiment, or --list, or --all"),
        (["skips", "--guess", "4"], "--guess is 4: skips has the guesses 1 to 3"),
        (["skips", "--guess", "0"], "'0' must be an integer of at least 1"),
        (["--all", "--guess", "1"], "--guess is about one experiment: give its NAME, too"),
        (["skips", "--seed", "-1"], "'-1' must be an integer of at least 0"),
    ],
)
def test_wrong_use(experiments, run, words, message):
    code, out, err = run("experiment", *words)
    assert code == 2 and out == ""
    assert message in err and err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize("words", [["skips"], ["--all"]])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_measured(experiments, run, tmp_path, words):
    for name, each in experiments.items():
        experiments[name] = Experiment(name, each.question, each.guesses, 1, unreachable)
    (tmp_path / "file").write_text("in the way")
    code, out, err = run("experiment", *words, "--out", tmp_path / "file")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and str(tmp_path / "file") in err and err.count("\n") == 1


@pytest.mark.parametrize(("words", "file"), [(["skips"], "skips.png"), (["--all"], "experiments.html")])
def test_a_folder_in_the_place_of_the_file_is_found_before_anything_is_measured(
    experiments, run, tmp_path, words, file
):
    for name, each in experiments.items():
        experiments[name] = Experiment(name, each.question, each.guesses, 1, unreachable)
    (tmp_path / file).mkdir()
    expected = f"error: {tmp_path / file} is a folder: move it away, or give another --out\n"
    assert run("experiment", *words, "--out", tmp_path) == (2, "", expected)


def test_stopped_at_the_question(experiments, terminal, monkeypatch, capsys, tmp_path):
    def stop(prompt):
        raise KeyboardInterrupt

    terminal("")
    monkeypatch.setattr("builtins.input", stop)
    assert cli.main(["experiment", "skips", "--out", str(tmp_path)]) == 130
    out, err = capsys.readouterr()
    assert out.endswith("\n\n\n") and err == "error: stopped\n" and list(tmp_path.iterdir()) == []
