"""`minunet train`: from images and masks to trained weights and plots of the result."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from minunet.cli.arguments import choose_device, describe_device, precision_line
from minunet.cli.console import INTERRUPTED, count, fail, say, warn
from minunet.cli.evaluation import in_columns
from minunet.cli.reading import reading_of
from minunet.cli.train.arguments import parse_arguments
from minunet.cli.train.datasets import fingerprint, load_data
from minunet.cli.train.recipes import make_model, make_trainer
from minunet.cli.train.resumed import choose_precision, other_defaults, resumed_lines, what_is_read
from minunet.cli.train.task_arguments import make_task
from minunet.data import DataError
from minunet.data.augment import PRESETS as AUGMENTATIONS
from minunet.data.download import DownloadError
from minunet.data.loader import Loader
from minunet.data.sample import Dataset, Relabeled
from minunet.device import OutOfMemory
from minunet.inference.evaluate import evaluate
from minunet.inputs import readable
from minunet.kernels.threads import get_num_threads, set_num_threads
from minunet.models import SegmentationModel
from minunet.precision import precision_in_use, use_precision
from minunet.tasks import Binary, Task
from minunet.tasks.regions import MissingPackage, require
from minunet.training.baselines import class_fractions, constant_baselines
from minunet.training.checkpoint import CheckpointError, check_width
from minunet.training.interrupt import Interrupt
from minunet.training.loop import Trainer
from minunet.training.progress import Diverged
from minunet.training.run_folder import RunFolder, check_free, read_run

SHOWN = 6  # rows of predictions.png
SCORES = {"iou": "pixel IoU", "mean_iou": "mean IoU", "dice": "Dice", "accuracy": "accuracy"}
WORKERS = 4  # threads that augment, at most: three times as fast as one on 16 cores, and more are no faster
FAILED = 1  # the exit code of a run that diverged or ran out of memory


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        return _train(args)
    except (CheckpointError, DataError, DownloadError, OSError) as error:
        return fail(error)
    except OutOfMemory as error:
        return fail(error, FAILED)
    except MemoryError as error:
        return fail(f"out of memory: try a smaller --batch-size or --image-size ({error})", FAILED)
    except KeyboardInterrupt:
        return fail("stopped at once; what finished epochs saved is intact", INTERRUPTED)


def _train(args: Namespace) -> int:
    """From the data to the plots of the result. Returns the exit code."""
    if args.resume is None:
        check_free(args.out)
    if args.threads is not None:
        set_num_threads(args.threads)
    device = choose_device(args.device)
    precision = choose_precision(args, device)
    say(f"device      {describe_device(device)}")
    if line := precision_line(precision, device):
        say(line)
    if args.resume is not None:
        say(f"resume      reads {what_is_read(args)}; writes into {readable(args.resume)} alone, and into the cache")
    with use_precision(precision):
        return _train_on(device, args)


def _train_on(device: str, args: Namespace) -> int:
    """The same, once it is known where it is computed, and how exactly."""
    data = load_data(args)
    say(f"data        {readable(data.source)}")
    size = " x ".join(map(str, data.training[0][0].shape[:2]))
    say(f"images      {len(data.training)} to train, {len(data.validation)} to validate, {size}")
    try:
        task = make_task(args, data.training, data.classes)
        require(task.packages)  # now, and not when all is learned
        to_beat = _report_labels(task, data.training, data.validation)
    except (ValueError, MissingPackage) as error:
        raise DataError(error) from error

    if args.resume is not None and args.width is not None:
        check_width(args.resume, args.width)
    model = make_model(args, task).to(device)
    augment, workers = AUGMENTATIONS[args.augment], min(WORKERS, get_num_threads())
    training = Relabeled(data.training, task.prepare)
    validation = Relabeled(data.validation, task.prepare)
    batches = Loader(training, args.batch_size, args.seed, augment=augment, encode=task.encode, workers=workers)
    val_batches = Loader(validation, args.batch_size, shuffle=False, encode=task.encode)
    trainer = make_trainer(args, model, task, len(batches))
    _report_plan(args, model)
    metadata = {
        "data": data.source,
        "device": device,
        "precision": precision_in_use(),
        "to_beat": to_beat,
        "task": task.metadata(),
        "augmentation": augment,
        "pictures": fingerprint(data.training, data.validation),  # the key that older runs have, which must resume
    }
    with _open_run(args, metadata, trainer) as run, Interrupt() as interrupt:
        say(f"folder      {readable(run.folder)}")
        if args.before is not None:
            for line in resumed_lines(args.before, args, trainer, len(run.history), len(batches)):
                say(line)
        if len(run.history) < args.epochs:
            say("\nscores of training / validation:")
        code = _learn(args, run, trainer, batches, val_batches, interrupt, to_beat)
        if code == 0 and not isinstance(task, Binary):  # of which the last row has said everything
            _report_evaluation(args, run, trainer, data.validation)
        run.draw_predictions(model, task, data.validation, SHOWN)
    say(run.summary())
    return code


def _report_plan(args: Namespace, model: SegmentationModel) -> None:
    """Prints what is learned, and how."""
    augment = AUGMENTATIONS[args.augment]
    changes = ", ".join(type(change).__name__.lower() for change in augment.transforms) if augment else ""
    say(f"augment     {args.augment}: {changes or 'each image as it is'}")
    size = sum(p.size for p in model.parameters())
    say(
        f"model       {type(model).__name__} with {size:,} parameters; loss {args.loss}, "
        f"{args.optimizer} with learning rate {args.lr:g} ({args.schedule}), batches of {args.batch_size}, "
        f"seed {args.seed}"
    )


def _open_run(args: Namespace, metadata: Mapping[str, Any], trainer: Trainer) -> RunFolder:
    """The RunFolder to write into: a new one, or the one to resume, from which the trainer restores its state."""
    arguments = {name: value for name, value in vars(args).items() if name not in ("command", "resume", "before")}
    metadata = {"command": args.command, "arguments": arguments, "seed": args.seed, **metadata}
    if args.resume is not None:
        run = read_run(args.resume)
        _check_same(run, metadata)
        for sentence in other_defaults(run, args):
            warn(sentence)
    return RunFolder(
        args.resume or args.out,
        metadata,
        trainer.parts(),
        task=trainer.task,
        baseline=_line_to_beat(metadata["to_beat"], trainer.task),
        weights_metadata={
            "image_size": args.image_size,
            "threshold": 0.5,
            "border": args.border,
            "stretch": reading_of(args).stretch,
            **trainer.task.metadata(),
        },
        save_minutes=args.save_minutes,
        resume=None if args.resume is None else trainer.model,
    )


def _line_to_beat(to_beat: Mapping[str, Mapping[str, float]], task: Task) -> tuple[str, float]:
    """The answer that needs no network and its score, for the curves."""
    answer, scores = next(iter(to_beat.items()))
    return answer, scores[task.score_names[0]]


def _learn(
    args: Namespace,
    run: RunFolder,
    trainer: Trainer,
    batches: Loader,
    val_batches: Loader,
    interrupt: Interrupt,
    to_beat: Mapping[str, Mapping[str, float]],
) -> int:
    """Trains, keeps and prints each epoch's row until there are no more. Returns the exit code."""
    model = trainer.model
    trainer.stop = interrupt
    trainer.warn = warn
    trainer.after_step = lambda: run.save_if_due(model)
    try:
        for row in trainer.epochs(batches, val_batches, args.epochs):
            run.add(row, model)
            say(_describe(row, args.epochs, trainer.task))
            if row["epoch"] == 1 and (lazy := _answers_like(row, to_beat, trainer.task)):
                say(f"            as {lazy} would score: normal in the first epochs, as long as the loss falls")
        if interrupt.signal is not None:
            run.finish("interrupted", model)
            say("interrupted; everything is saved")
            return 128 + interrupt.signal
    except Diverged as error:
        run.finish("diverged")
        return fail(f"{error}. This was --lr {args.lr:g}", FAILED)
    except MemoryError:
        run.finish("out of memory")
        raise
    except OSError as error:
        raise OSError(
            f"{error}. What was saved before is intact: --resume {run.folder} continues from there"
        ) from error
    patience = trainer.early_stopping
    if patience is not None and patience.exhausted:
        say(f"stopped early: {count(patience.waited, 'epoch')} without an improvement of {args.monitor}")
    run.finish("finished")
    return 0


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compares a run with the one that is to continue it. Raises DataError for other images."""
    if before.get("pictures") != now["pictures"]:
        raise DataError(
            f"these are not the images that the run began with ({before.get('data')!r:.200}): "
            "it cannot continue with others"
        )
    task = before.get("task", {})
    if changed := [name for name, value in now["task"].items() if name in task and task[name] != value]:
        raise DataError(
            f"the run began with another task (other {', '.join(changed)}): it cannot continue with this one"
        )
    if before.get("device") != now["device"]:
        warn(
            f"the run was on {before.get('device')!r:.20} and continues on {now['device']}: the last digits will differ"
        )


def _report_labels(task: Task, training: Dataset, validation: Dataset) -> dict[str, dict[str, float]]:
    """Prints the fraction of each class, and what lazy answers score; returns {answer: its scores} of validation."""
    scores = constant_baselines(task, validation)
    fractions = class_fractions(task, training), class_fractions(task, validation)
    for name in fractions[0]:
        text = "{:.1%} of the training pixels, {:.1%} of the validation pixels"
        say(f"{name:<11} {text.format(*(part[name] for part in fractions))}")
    to_beat = (
        f"{answer}: {', '.join(f'{SCORES[name]} {row[name]:.3f}' for name in task.score_names[:2])}"
        for answer, row in scores.items()
    )
    say(f"to beat     {'; '.join(to_beat)}")
    for part, of_class in zip(("training", "validation"), fractions):
        for problem in _unlikely(task, of_class, part):
            warn(problem)
    return scores


def _unlikely(task: Task, fractions: Mapping[str, float], part: str) -> list[str]:
    """What looks wrong about the labels."""
    if "foreground" in fractions and not 0.01 < fractions["foreground"] < 0.99:
        return [
            f"{fractions['foreground']:.1%} of the {part} pixels are pet: there is next to nothing to learn. "
            "Are the masks right? Trimaps hold 1 for pet, 2 for background, 3 for the boundary; "
            "masks of your own, 0 for background and 1 or 255 for pet"
        ]
    missing = [name for name, fraction in fractions.items() if fraction == 0 and "foreground" not in fractions]
    missing = missing if part == "training" else []  # a few images to validate with need not show every class
    return [f"no {part} pixel is {' or '.join(missing)}: are the labels right?"] if missing else []


def _report_evaluation(args: Namespace, run: RunFolder, trainer: Trainer, validation: Dataset) -> None:
    """Prints what the answers under the last weights score on the validation images, and keeps it with the run."""
    try:
        evaluation = evaluate(trainer.model, trainer.task, validation, args.batch_size)
        scores, table = evaluation.result(), evaluation.table()
    except ValueError as error:  # too many objects, or nothing but crowds to find
        warn(f"the answers on the validation images cannot be scored: {error}")
        return
    run.save_evaluation(evaluation)
    say("\nlast epoch, answers on the validation images:")
    words = (f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}" for name, value in scores.items())
    say(", ".join(words))
    for line in in_columns(table):
        say(line)


def _answers_like(row: Mapping[str, float], to_beat: Mapping[str, Mapping[str, float]], task: Task) -> str | None:
    """The answer without a network that has all validation scores of this row, to three decimals; None if none has."""
    for answer, scores in to_beat.items():
        if all(abs(row[f"val_{name}"] - scores[name]) < 5e-4 for name in task.score_names):
            return answer
    return None


def _describe(row: Mapping[str, float], epochs: int, task: Task) -> str:
    """The line of an epoch."""
    scores = [f"loss {row['train_loss']:.4f} / {row['val_loss']:.4f}"]
    scores += [f"{SCORES[name]} {row['train_' + name]:.3f} / {row['val_' + name]:.3f}" for name in task.score_names]
    epoch = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    return ",  ".join([epoch, *scores, f"{row['seconds']:.1f} s"])
