"""What the commands print: lines on stdout and stderr, whatever the text and whatever the encoding."""

import io

import pytest

from minunet.cli.console import WRONG_USE, fail, one_line, report_error, say, warn


def stream(encoding):
    """A text stream of this encoding, and the file of bytes below it."""
    file = io.BytesIO()
    return io.TextIOWrapper(file, encoding, newline="\n"), file


def test_say_prints_lines_on_stdout(capsys):
    say("two\nlines")
    say(3)
    assert capsys.readouterr() == ("two\nlines\n3\n", "")


@pytest.mark.parametrize("function, name", [(warn, "warning"), (report_error, "error"), (fail, "error")])
def test_warnings_and_errors_are_one_line_on_stderr(function, name, capsys):
    function("no network:\n  try\tit \r\n again ")
    assert capsys.readouterr() == ("", f"{name}: no network: try it again\n")


def test_an_exception_is_printed_as_its_message(capsys):
    report_error(ValueError("no such\nfile"))
    assert capsys.readouterr().err == "error: no such file\n"


def test_report_error_returns_nothing_and_fail_returns_the_exit_code():
    assert report_error("one file") is None
    assert warn("one file") is None
    assert fail("all files") == WRONG_USE == 2
    assert fail("interrupted", 130) == 130
    assert fail("diverged", code=1) == 1


def test_one_line():
    assert one_line(" a\n\n b\t\u2028c ") == "a b c"
    assert one_line("bad names: [Errno 2] No such file: 'a'") == "bad names: No such file: 'a'"
    assert one_line("cannot fetch: [Errno -2] Name or service not known") == "cannot fetch: Name or service not known"
    assert one_line("[Errno] and [2] stay") == "[Errno] and [2] stay"


@pytest.mark.parametrize(
    "encoding, expected",
    [
        ("utf-8", "ü σ 🐈".encode()),
        ("latin-1", b"\xfc \\u03c3 \\U0001f408"),
        ("ascii", b"\\xfc \\u03c3 \\U0001f408"),
        ("cp1252", b"\xfc \\u03c3 \\U0001f408"),
    ],
)
def test_a_stream_whose_encoding_lacks_characters(encoding, expected, monkeypatch):
    for name, function, before in [("stdout", say, b""), ("stderr", report_error, b"error: ")]:
        text, file = stream(encoding)
        monkeypatch.setattr(f"sys.{name}", text)
        function("ü σ 🐈")
        assert file.getvalue() == before + expected + b"\n"  # flushed


def test_a_stray_byte_is_escaped_before_it_reaches_the_stream(monkeypatch):
    text, file = stream("utf-8")
    monkeypatch.setattr("sys.stdout", text)
    say("bad \udcff byte")
    assert file.getvalue() == b"bad \\udcff byte\n"


def test_a_stream_without_an_encoding(monkeypatch):
    text = io.StringIO()
    assert text.encoding is None
    monkeypatch.setattr("sys.stdout", text)
    say("ü\nσ")
    assert text.getvalue() == "ü\nσ\n"
