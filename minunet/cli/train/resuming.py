"""What may be different when a run is resumed, and what is said about it: nothing changes without a word."""

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from minunet.cli.console import count
from minunet.cli.train.recipes import schedule_end
from minunet.training.loop import Trainer

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
}


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
        if name in MAY_CHANGE or not isinstance(recorded, dict) or name not in recorded:
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
    names = [name for name in changes(before, now) if name in MAY_CHANGE - {"download"}]
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
