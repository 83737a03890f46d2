"""`minunet train --resume`: what an earlier run's folder says, and what is taken from it.

The folder may be a stranger's. Its run.json has the words with which the run was started; of these, only what describes
the training is taken: not where results go, nor whether something is downloaded. What will be read and written is said
before anything is.
"""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from minunet.cli.arguments import Parser
from minunet.inputs import readable
from minunet.training.checkpoint import CheckpointError
from minunet.training.run_folder import read_run

# what may be different when a run is resumed
MAY_CHANGE = {
    "epochs",
    "early_stop",
    "save_minutes",
    "data_dir",
    "download",
    "images",
    "masks",
    "panoptic_json",
    "validation_images",
    "validation_masks",
    "validation_panoptic_json",
    "names",
    "validation_names",
    "device",
    "threads",
}
NOT_TAKEN = ("out", "download", "resume")  # what only counts if it is asked for now

Read = Callable[[list[str], str], Namespace]  # words, and where they come from -> checked arguments


def continued(args: Namespace, command: list[str], read: Read, parser: Parser) -> Namespace:
    """Returns the arguments of the run in `args.resume`, with what `command` changes. Exits as a parser does.

    args: what `command` alone says; read: makes arguments of words.
    """
    try:
        before = read_run(args.resume)["command"]
    except CheckpointError as error:
        parser.error(str(error))
    origin = str(Path(args.resume) / "run.json")
    if any(word.startswith(("-h", "--help")) for word in before):
        parser.error(f"{origin} was not written by a run: it asks for help")
    old, new = read(before, origin), read([*before, *command], "")
    for name in NOT_TAKEN:
        setattr(old, name, parser.get_default(name))
        setattr(new, name, getattr(args, name))
    differing = [name for name, value in vars(new).items() if name != "resume" and value != getattr(old, name)]
    for name in differing:
        if name not in MAY_CHANGE:
            flag = "--" + name.replace("_", "-")
            parser.error(
                f"{flag} {getattr(new, name)} contradicts the run in {args.resume}, which has "
                f"{getattr(old, name)}: omit it"
            )
    new.command = [*before, *command] if differing else before
    return new


def what_is_read(args: Namespace) -> str:
    """Returns, in words, what a resumed run will read besides its own folder."""
    paths = {name: value for name, value in vars(args).items() if isinstance(value, Path) and name not in NOT_TAKEN}
    flags = [f"--{name.replace('_', '-')} {readable(value)}" for name, value in paths.items()]
    if args.classes is not None:
        flags.append("--classes")
    return ", ".join(flags) or "no files (its images are drawn)"
