"""The command line: `minunet COMMAND …`, one file per command."""

import importlib
import sys

from minunet.cli.arguments import Parser
from minunet.cli.console import INTERRUPTED, fail, flush_output, open_closed_streams
from minunet.version import __version__

COMMANDS = {
    "train": "train a U-Net on images with masks: drawn pets, the Oxford-IIIT pets, or your own",
    "predict": "find the pets in your own images with a trained network",
    "show-augmentation": "draw a sheet of what --augment does to an image",
    "explain": "look inside a trained network: one HTML page, in which every number can be clicked",
    "draw": "draw cats and dogs with their masks, as a dataset in files",
    "experiment": "ask a network a question: guess, measure, and read why",
    "exercise": "write a backward yourself, and be told what is wrong with it",
    "gradcheck": "compare every hand-written derivative with differences of its forward",
    "selftest": "check what a device computes, and measure how fast it trains",
}


def main(argv: list[str] | None = None) -> int:
    """Runs the command that `argv` names, by default that of the command line, with the rest of `argv`.

    Returns its exit code. What a command does not report itself ends here in one line: an interrupt, an output that
    cannot be written (a full disk, a pipe that nobody reads), too little memory.
    """
    open_closed_streams()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            flush_output()
    except KeyboardInterrupt:
        return fail("stopped", INTERRUPTED)
    except OSError as error:
        return fail(error)
    except MemoryError as error:
        return fail(f"out of memory: {error}")


def _run(arguments: list[str]) -> int:
    """Finds the command and hands it its arguments; returns the exit code."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    parser = Parser(
        f"A U-Net from the first pixel to the last gradient.\n\ncommands:\n{listed}\n\n"
        "`minunet COMMAND --help` describes one of them."
    )
    parser.add_argument("--version", action="version", version=f"minunet {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands above")
    command = parser.parse_args(arguments[:1]).command
    module = importlib.import_module(f"minunet.cli.{command.replace('-', '_')}")
    return module.main(arguments[1:])
