"""`minunet train`: its flags, the data that they name, what the presets stand for, and the command itself."""

from minunet.cli.train.command import main

__all__ = ["main"]
