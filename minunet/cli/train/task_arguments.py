"""Which kind of segmentation a command is about, and how the task is made of the arguments and the data."""

from argparse import ArgumentTypeError, BooleanOptionalAction, Namespace

from minunet.cli.arguments import Parser, whole
from minunet.data import classes as class_lists
from minunet.data.classes import Classes, median_frequency_weights
from minunet.data.sample import Dataset
from minunet.tasks import TASKS, Binary, Instance, Panoptic, Semantic, Task, instance, panoptic
from minunet.tasks.options import WIDEST_BOUNDARY

OF_TASKS = {  # which flag belongs to which tasks
    "classes": ("semantic",),
    "trimap": ("semantic",),
    "class_weights": ("semantic", "panoptic"),
    "boundary": ("instance", "panoptic"),
    "weight_map": ("instance",),
    "separate_by": ("instance", "panoptic"),
    "panoptic_json": ("panoptic",),
    "validation_panoptic_json": ("panoptic",),
    "border": ("binary", "semantic"),
}


def add_task_arguments(parser: Parser) -> None:
    """Adds the flags that choose a task."""
    add = parser.add_argument
    add(
        "--task",
        choices=TASKS,
        default="binary",
        help="the kind of segmentation: binary (pet or not), semantic (a class per pixel), instance (each object by "
        "itself), panoptic (both) (default: binary)",
    )
    add(
        "--classes",
        type=class_list,
        metavar="LIST|FILE",
        help="semantic: what the numbers in --masks mean, 0=sky,1=building,255=ignore, or a file with a line for each "
        "class",
    )
    add("--trimap", action="store_true", help="semantic, pets: the classes are pet, background and boundary")
    add(
        "--class-weights",
        choices=("none", "median", "sqrt"),
        default="none",
        help="pixels of rare classes count more: median, by median frequency; sqrt, by the square root of that, which "
        "costs the frequent classes less (default: none)",
    )
    add(
        "--boundary",
        type=whole(0, WIDEST_BOUNDARY),
        default=1,
        metavar="N",
        help="instance, and panoptic by boundaries: pixels of an object's boundary; 0: none (default: 1)",
    )
    add(
        "--weight-map",
        action=BooleanOptionalAction,
        default=True,
        help="instance: background in narrow gaps counts more, as in the U-Net paper (default: on)",
    )
    add(
        "--separate-by",
        choices=(*instance.METHODS, *panoptic.METHODS),
        help="what tells objects apart. instance: distance (where they are deepest, for round ones), inside (seeds "
        "without their boundary) or components (default: distance; drawn scenes: inside); panoptic: "
        "centers or boundaries (default: centers)",
    )


def class_list(text: str) -> dict:
    """An argument type: the classes in a list NUMBER=NAME,… or in a file, as JSON (run.json keeps the arguments)."""
    try:
        found = class_lists.parse(text) if "=" in text else class_lists.read_classes(text)
    except (ValueError, OSError) as error:
        raise ArgumentTypeError(str(error)) from error
    return found.to_json()


def check_task_arguments(parser: Parser, args: Namespace) -> None:
    """Refuses flags that the task has no use for."""
    for name, tasks in OF_TASKS.items():
        if args.task not in tasks and getattr(args, name) != parser.get_default(name):
            flag = "--" + name.replace("_", "-")
            parser.error(f"{flag} is for the task {' or '.join(tasks)}, and this is {args.task}")
    methods = {"instance": instance.METHODS, "panoptic": panoptic.METHODS}.get(args.task, ())
    if args.separate_by is not None and args.separate_by not in methods:
        parser.error(f"--separate-by {args.separate_by} is not for the task {args.task}: choose {' or '.join(methods)}")
    if args.separate_by is None and args.task == "instance" and args.images is None:
        args.separate_by = "inside"
    args.separate_by = args.separate_by or next(iter(methods), None)
    if args.task == "panoptic" and args.boundary != parser.get_default("boundary"):
        if args.separate_by != "boundaries":
            parser.error("--boundary goes with --separate-by boundaries where the task is panoptic")
        if args.boundary == 0:
            parser.error("--boundary 0: panoptic segmentation by boundaries needs one of at least 1")


def make_task(args: Namespace, training: Dataset, classes: Classes | None) -> Task:
    """Returns the task that the arguments ask for. classes: those of the data, where it has any.

    Raises ValueError if the task cannot be made with these classes.
    """
    if args.task == "binary":
        return Binary()
    if args.task == "instance":
        return Instance(args.boundary, args.weight_map, args.separate_by)
    if classes is None:
        raise ValueError(f"the task {args.task} needs classes")
    weights = None
    if args.class_weights != "none":
        power = 0.5 if args.class_weights == "sqrt" else 1.0
        maps = (training[i][1][..., 0] for i in range(len(training)))
        weights = [weight**power for weight in median_frequency_weights(maps, len(classes))]
    if args.task == "semantic":
        return Semantic(classes, weights)
    return Panoptic(classes, args.separate_by, weights, boundary=args.boundary)
