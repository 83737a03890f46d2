"""`minunet train --resume`: what an earlier run's folder says, and what is taken from it.

The folder may be a stranger's. Its run.json has the words with which the run was started; of these, only what describes
the training is taken: not where results go, nor whether something is downloaded. What will be read and written is said
before anything is; and so is what is different now: nothing changes without a word.
"""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from minunet.cli.arguments import Parser
from minunet.cli.console import count, warn
from minunet.cli.train.datasets import is_drawn
from minunet.cli.train.recipes import schedule_end
from minunet.data import DataError
from minunet.inputs import readable
from minunet.precision import resolve_precision
from minunet.training.checkpoint import CheckpointError
from minunet.training.loop import Trainer
from minunet.training.run_folder import read_run

# what may be different when a run is resumed
MAY_CHANGE = {
    "epochs",
    "schedule_epochs",
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
    "precision",
}
NOT_TAKEN = ("out", "download", "resume")  # what only counts if it is asked for now

Read = Callable[[list[str], str], Namespace]  # words, and where they come from -> checked arguments


def continued(args: Namespace, command: list[str], read: Read, parser: Parser) -> Namespace:
    """Returns the arguments of the run in `args.resume`, with what `command` changes; in `before`, those of that run.

    Exits as a parser does.

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
    if is_drawn(old) and not is_drawn(new):
        # Before the defaults that depend on it are compared: nobody has typed these.
        parser.error(f"the run in {args.resume} is on drawn images: omit {new.data_dir or new.images or '--download'}")
    differing = changes(old, new)
    for name in differing:
        if name not in MAY_CHANGE:
            parser.error(
                f"{flag(name)} {getattr(new, name)} contradicts the run in {args.resume}, which has "
                f"{getattr(old, name)}: omit it"
            )
    new.command, new.before = [*before, *command] if differing else before, old
    return new


def choose_precision(args: Namespace, device: str) -> str:
    """Returns the precision to train in; a resumed run keeps its own, unless another is asked for.

    Where it cannot be kept, that is said. Raises DataError for one that the device does not have.
    """
    before = None if args.resume is None else read_run(args.resume).get("precision", "float32")
    try:
        if args.precision != "auto" or before is None:
            now = resolve_precision(args.precision, device)
        else:
            now = _kept(before, device)
    except ValueError as error:
        raise DataError(error) from error
    if before not in (None, now):
        warn(f"the run was in the precision {before!r:.20} and continues in {now}: the last digits will differ")
    return now


def _kept(precision: Any, device: str) -> str:
    """The precision of an earlier run, or, where this device does not have it, the one that is nearest."""
    try:
        return resolve_precision(precision, device)
    except (ValueError, TypeError):
        return resolve_precision("auto", device)


def changes(before: Namespace, now: Namespace) -> list[str]:
    """Returns the names of the arguments that differ, besides --resume itself."""
    return [name for name, value in vars(before).items() if name != "resume" and value != getattr(now, name)]


def flag(name: str) -> str:
    """Returns an argument's name as it is typed."""
    return "--" + name.replace("_", "-")


def other_defaults(run: Mapping[str, Any], now: Namespace) -> Iterator[str]:
    """Yields a sentence for each argument that run.json records with another value than it has now.

    Its command is the same: another version of minunet, with other defaults, must have written it.
    """
    recorded = run.get("arguments")
    for name, value in vars(now).items():
        if name in {*MAY_CHANGE, *NOT_TAKEN} or not isinstance(recorded, dict) or name not in recorded:
            continue
        value = json.loads(json.dumps(value, default=str))  # as it was recorded
        if value != recorded[name]:
            yield f"{flag(name)} was {recorded[name]!r:.60} as the run began, and is {value!r:.60} here: it counts now"


def resumed_lines(before: Namespace, now: Namespace, trainer: Trainer, epochs: int, batches: int) -> Iterator[str]:
    """Yields the lines on how far the run had come, and on what is different now.

    epochs: those that are done. batches: how many an epoch has.
    """
    step = trainer.progress.step
    within = f" and {step} of {batches} batches of the next" if step else ""
    yield f"resumed     after {count(epochs, 'epoch')}{within}"
    if epochs >= now.epochs:
        yield f"            which is all that it was to train ({now.epochs}): --epochs asks for more"
    names = [name for name in changes(before, now) if name in MAY_CHANGE.difference(NOT_TAKEN)]
    parts = [f"{flag(name)} {_told(getattr(now, name))} (formerly {_told(getattr(before, name))})" for name in names]
    if parts:
        yield f"changed     {', '.join(parts)}"
    if "threads" in names:
        yield "            another number of threads: the last digits may differ"
    if epochs < now.epochs:
        yield from _stretched_lines(before, now, trainer)


def _stretched_lines(before: Namespace, now: Namespace, trainer: Trainer) -> Iterator[str]:
    """Yields the lines on a cosine that ends elsewhere than it was to end."""
    former, end, optimizer = schedule_end(before), schedule_end(now), trainer.optimizer
    if now.schedule != "cosine" or former == end or trainer.schedule is None or optimizer.steps == 0:
        return
    yield (
        f"            the cosine ends with epoch {end} now, not {former}: the learning rate of the last step was "
        f"{optimizer.lr:.1e}, that of the next is {trainer.schedule(optimizer.steps):.1e}"
    )
    if end > former:
        yield f"            (--schedule-epochs {former} keeps the former rates, and the last of them for what follows)"


def _told(value: Any) -> str:
    return "not given" if value is None else str(value)


def what_is_read(args: Namespace) -> str:
    """Returns, in words, what a resumed run will read besides its own folder."""
    paths = {name: value for name, value in vars(args).items() if isinstance(value, Path) and name not in NOT_TAKEN}
    flags = [f"{flag(name)} {readable(value)}" for name, value in paths.items()]
    if args.classes is not None:
        flags.append("--classes")
    return ", ".join(flags) or "no files (its images are drawn)"
