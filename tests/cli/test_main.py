"""`minunet`: the list of its commands, and what they all have in common."""

import importlib
import os
import pkgutil
import subprocess
import sys
from importlib import metadata

import pytest

import minunet
from minunet import cli


def run(*arguments):
    """The exit code of the command line, in this process."""
    try:
        return cli.main(list(arguments))
    except SystemExit as end:
        return end.code


def test_each_command_has_a_file_and_each_file_with_a_main_is_a_command():
    names = [module.name for module in pkgutil.iter_modules(cli.__path__)]
    with_main = {name for name in names if hasattr(importlib.import_module(f"minunet.cli.{name}"), "main")}
    assert {name.replace("_", "-") for name in with_main} == set(cli.COMMANDS)


def test_help_lists_each_command_with_a_line(capsys):
    assert run("--help") == 0
    out, err = capsys.readouterr()
    listed = out.partition("commands:\n")[2].partition("\n\n")[0].splitlines()
    assert {line.split()[0]: line.split(maxsplit=1)[1] for line in listed} == cli.COMMANDS and err == ""


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_help_under_its_own_name(command, capsys):
    assert run(command, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: minunet {command} ") and "--help" in out.partition("options:")[2] and err == ""


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_flag_that_a_command_does_not_have_points_to_its_help(command, capsys):
    assert run(command, "--no-such-flag") == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.endswith(f" (see minunet {command} --help)\n") and err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["trian", "--help"], "invalid choice: 'trian'"),
        (["show_augmentation"], "invalid choice: 'show_augmentation'"),
        ([""], "invalid choice: ''"),
        (["--device"], "required: COMMAND"),
        (["no\nsuch"], "invalid choice: "),
    ],
)
def test_anything_else_ends_with_one_line_and_code_2(arguments, message, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert message in err and err.startswith("error: ") and err.endswith(" (see minunet --help)\n")
    assert err.count("\n") == 1 and out == ""


def test_the_error_for_an_unknown_command_names_all_commands(capsys):
    run("trian")
    error = capsys.readouterr().err
    assert all(command in error for command in cli.COMMANDS)


def test_the_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"minunet {minunet.__version__}\n"


def test_a_command_gets_the_other_arguments_and_its_exit_code_is_returned(monkeypatch):
    given = []
    monkeypatch.setattr("minunet.cli.show_augmentation.main", lambda argv: given.append(argv) or 7)
    assert run("show-augmentation", "--seed", "3", "train") == 7
    assert given == [["--seed", "3", "train"]]


@pytest.mark.parametrize(
    "error, code, message",
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (MemoryError("cannot allocate\n9 GiB"), 2, "out of memory: cannot allocate 9 GiB"),
    ],
)
def test_what_a_command_does_not_report_itself_ends_with_one_line(error, code, message, monkeypatch, capsys):
    def fails(argv):
        raise error

    monkeypatch.setattr("minunet.cli.gradcheck.main", fails)
    assert run("gradcheck") == code
    assert capsys.readouterr() == ("", f"error: {message}\n")


@pytest.mark.parametrize(
    "arguments", ["--version", "train --help", "draw x --trainval 1 --test 0 --size 16", "show-augmentation --size 16"]
)
def test_a_pipe_that_nobody_reads(arguments, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "minunet", *arguments.split()]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": writer, "stderr": subprocess.PIPE, "env": environment}
    done = subprocess.run(command, **pipes, cwd=tmp_path, text=True, timeout=100)
    os.close(writer)
    assert done.returncode == 2 and done.stderr == "error: Broken pipe\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(closed, tmp_path):
    command = f'"{sys.executable}" -m minunet draw x --trainval 1 --test 0 --size 16 {closed}'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert done.returncode == 0 and "Traceback" not in done.stderr and (tmp_path / "x" / "images").is_dir()


def test_the_arguments_are_by_default_those_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["minunet", "--version"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0 and capsys.readouterr().out.startswith("minunet ")


def test_the_installed_command_is_this_one():
    found = metadata.entry_points(group="console_scripts", name="minunet")
    if not found:
        pytest.skip("minunet is not installed")
    (command,) = found
    assert command.load() is cli.main
