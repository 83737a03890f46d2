"""What others hand over: paths, files, JSON, and text that is to be shown."""

import json
import logging
import os
from pathlib import Path

import pytest

from minunet import files
from minunet.inputs import log, parse_json, read_file, readable, readable_lines, user_path


@pytest.mark.parametrize(
    "text, shown",
    [
        ("my cat ü σ 猫 🐈.png", "my cat ü σ 猫 🐈.png"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),  # the same escape sequence in one character
        ("\udcff", r"\udcff"),
        ("\u202egnp.tac", r"\u202egnp.tac"),  # would be shown from right to left
        ("\u00a0\u2028", r"\xa0\u2028"),
        (r"back\slash 'and' quotes\"", r"back\slash 'and' quotes\""),
        ("", ""),
    ],
)
def test_readable(text, shown):
    assert readable(text) == shown
    assert shown.isprintable()


def test_readable_takes_a_path_too():
    assert readable(Path("a\nb")) == r"a\nb"
    assert readable_lines("one\ntwo\x1b") == "one\ntwo\\x1b"


def test_what_is_logged_is_readable_whoever_shows_it(caplog):
    log.warning("skipped %s:\n  %s", "a\x1b]0;owned\x07.png", "\x9bm")
    assert caplog.messages == ["skipped a\\x1b]0;owned\\x07.png:\n  \\x9bm"]
    assert log is logging.getLogger("minunet")


# ---- paths ----


def test_a_path_of_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x" == user_path(Path("~/x"))
    assert user_path("a/~/x") == Path("a/~/x")
    files.atomic_write("~/written", "here")
    assert (tmp_path / "written").read_text() == "here"


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800"])
def test_what_is_no_path(text):
    with pytest.raises(ValueError, match="is not a path"):
        user_path(text)


# ---- files ----


def test_read_file(tmp_path):
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"12345")
    link.symlink_to(path)
    assert read_file(path) == read_file(link) == read_file(path, most=5) == b"12345"
    with pytest.raises(OSError, match="may have"):
        read_file(path, most=4)
    with pytest.raises(OSError, match="symbolic link"):
        read_file(link, links=False)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "b")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        read_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(OSError, match="a pipe or a device"):
            read_file(path)


# ---- JSON ----


def test_json_as_everybody_writes_it():
    value = {"a": [1, 2.5, None, True, "ü \U0001f408"], "b": {"c": []}, "d": [[[]]]}
    assert parse_json(json.dumps(value)) == parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"a": 1, "b": 2, "a": 1}', "'a' is there twice"),
        ('{"x": {"": 0, "": 0}}', "'' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "more than 100 levels"),
        ('{"a":' * 101 + "1" + "}" * 101, "more than 100 levels"),
        (r'"\ud800"', "half a character"),
        (r'{"\uDFFF": 0}', "half a character"),
        (b'"\xff"', "utf-8"),
        ("{", "Expecting"),
        ("", "Expecting"),
    ],
)
def test_json_that_is_damaged_or_could_mean_two_things(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_json_within_the_limits():
    assert parse_json("[" * 100 + "]" * 100)
    assert parse_json(r'"\ud83d\udc08"') == "\U0001f408"  # two halves are a whole
