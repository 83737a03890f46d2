"""`minunet predict`: its flags, and the command itself."""

from minunet.cli.predict.command import main

__all__ = ["main"]
