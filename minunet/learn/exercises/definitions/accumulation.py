"""accumulation: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.autograd import function
from minunet.autograd.tensor import Tensor
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import accumulation as template

PROGRAMS = {
    "the worked example": (("multiply", "a", ("x", "w")), ("add", "y", ("a", "x"))),
    "nothing is used twice": (("exp", "a", ("x",)), ("multiply", "y", ("a", "w"))),
    "twice in one step": (
        ("multiply", "a", ("x", "x")),
        ("multiply", "b", ("w", "w")),
        ("multiply", "y", ("a", "b")),
    ),
    "twice in the last step": (("multiply", "a", ("x", "w")), ("multiply", "y", ("a", "a"))),
    "three times": (
        ("multiply", "a", ("x", "w")),
        ("exp", "b", ("x",)),
        ("add", "c", ("a", "b")),
        ("multiply", "y", ("c", "x")),
    ),
    "two that share an array": (
        ("exp", "a", ("x",)),
        ("multiply", "b", ("x", "w")),
        ("multiply", "c", ("a", "w")),
        ("add", "d", ("a", "b")),  # hands one array to a and to b; later more arrives at a
        ("multiply", "y", ("d", "c")),
    ),
}


def trials():
    """Programs in which an input is used once, twice and three times, in different steps and in one."""
    for seed, (label, program) in enumerate(PROGRAMS.items()):
        x, w, gy = (0.5 * random_like((2, 3), 3 * seed + k) for k in range(3))
        if seed == 0:
            x, w, gy = np.array([3.0]), np.array([5.0]), np.array([2.0])
        yield Trial(label, gy, (x, w), (program,))


def walk(put):
    """Returns a backward that calls put(gradients, name, g, arrived so far) for each gradient that arrives."""

    def backward(gy, x, w, program):
        values = template.run(x, w, program)
        gradients, counts = {"y": gy.copy()}, {}
        for operation, output, inputs in reversed(program):
            arrived = template.RULES[operation](gradients[output], *(values[name] for name in inputs))
            for name, g in zip(inputs, arrived):
                put(gradients, name, g, counts.setdefault(name, 0))
                counts[name] += 1
        return gradients["x"], gradients["w"]

    return backward


def overwrite(gradients, name, g, count):
    """Only the last gradient that arrives is kept."""
    gradients[name] = g


def keep_first(gradients, name, g, count):
    """Only the first gradient that arrives is kept."""
    gradients.setdefault(name, g)


def average(gradients, name, g, count):
    """The mean of the gradients in place of their sum."""
    gradients[name] = (gradients.get(name, 0) * count + g) / (count + 1)


def subtract(gradients, name, g, count):
    """Each gradient is subtracted."""
    gradients[name] = gradients.get(name, 0) - g


def multiply(gradients, name, g, count):
    """The gradients are multiplied."""
    gradients[name] = gradients.get(name, 1) * g


def in_place(gradients, name, g, count):
    """Added into an array that another tensor holds, too."""
    if name in gradients:
        gradients[name] += g
    else:
        gradients[name] = g


def from_one(gradients, name, g, count):
    """The sum begins at 1."""
    gradients[name] = gradients.get(name, 1) + g


def once_per_step(gy, x, w, program):
    """Added between steps, but an input that is used twice in one step gets only the last."""
    values, gradients = template.run(x, w, program), {"y": gy}
    for operation, output, inputs in reversed(program):
        arrived = template.RULES[operation](gradients[output], *(values[name] for name in inputs))
        for name, g in dict(zip(inputs, arrived)).items():
            gradients[name] = gradients.get(name, 0) + g
    return gradients["x"], gradients["w"]


WAYS = (
    ("overwritten in place of added: a gradient that arrives later replaces what is there", walk(overwrite)),
    ("only the first is kept: what arrives later must be added to it", walk(keep_first)),
    ("a mean in place of a sum: the effects of all uses add up", walk(average)),
    ("subtracted in place of added: the effects of several uses add up", walk(subtract)),
    ("multiplied in place of added: the effects of several uses add up", walk(multiply)),
    (
        "added in place, into an array that somebody else holds, too: `add` hands one array to both of its inputs. "
        "Write gradients[name] = gradients[name] + g, which makes a new one",
        walk(in_place),
    ),
    ("started at 1 in place of 0: before anything arrives, a gradient is 0", walk(from_one)),
    ("an input that is used twice within one step, as in x·x, gets only one of its two gradients", once_per_step),
)

EXERCISE = Exercise(
    name="accumulation",
    learns="how an engine adds up what arrives at a tensor that is used twice",
    minutes=20,
    gradients=("gx", "gw"),
    template=template,
    trials=trials,
    mistakes=tuple(
        Mistake(gradient, words, lambda *arguments, way=way, k=k: way(*arguments)[k])
        for k, gradient in enumerate(("gx", "gw"))
        for words, way in WAYS
    ),
    hints=(
        "If x is used in two places, a change of x reaches L in two ways. The total effect is the sum of both.",
        "The first gradient of a name is stored, each later one is added. Do not use += on the array that is there: "
        'RULES["add"] returns one array for two names, and += would change both.',
        "gradients[name] = gradients[name] + g if name in gradients else g",
    ),
    solution=(function.Function.run_backward, function._add, Tensor.accumulate),
    why="The engine adds into an array only if nobody else holds it, else into a new one. And it walks the graph so "
    "that a step's turn comes only when all gradients of its output have arrived.",
)
