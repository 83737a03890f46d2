"""sigmoid: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import sigmoid as template
from minunet.ops.sigmoid import SigmoidFunction

sigma = template.forward


def trials():
    """The worked example, and random numbers."""
    yield Trial("the worked example", np.array([8.0, 16]), (np.array([0, np.log(3)]),))
    yield Trial("random numbers", random_like((2, 3, 5), 1), (2 * random_like((2, 3, 5), 2),))


EXERCISE = Exercise(
    name="sigmoid",
    learns="a derivative that is a function of the output",
    minutes=10,
    gradients=("gx",),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("gx", "the factor 1 - y is missing: σ' = y (1 - y)", lambda gy, x: gy * sigma(x)),
        Mistake("gx", "the factor y is missing: σ' = y (1 - y)", lambda gy, x: gy * (1 - sigma(x))),
        Mistake("gx", "this is gy y²: above 1 + e⁻ˣ stands e⁻ˣ, and σ' = y (1 - y)", lambda gy, x: gy * sigma(x) ** 2),
        Mistake("gx", "x in place of y: σ' = y (1 - y), with y = σ(x)", lambda gy, x: gy * x * (1 - x)),
        Mistake("gx", "gy is left out: this is σ'(x) alone", lambda gy, x: sigma(x) * (1 - sigma(x))),
        Mistake("gx", "1 + y in place of 1 - y", lambda gy, x: gy * sigma(x) * (1 + sigma(x))),
        Mistake("gx", "this is y² - y or 1 - y², the derivative of tanh", lambda gy, x: gy * (1 - sigma(x) ** 2)),
        Mistake("gx", "σ(gy) in place of σ(x)", lambda gy, x: gy * sigma(gy) * (1 - sigma(gy))),
    ),
    hints=(
        "y = 1/u with u = 1 + e⁻ˣ. The derivative of 1/u is -1/u², that of e⁻ˣ is -e⁻ˣ: σ' = e⁻ˣ / (1 + e⁻ˣ)².",
        "Write that as a product of 1 / (1 + e⁻ˣ) and e⁻ˣ / (1 + e⁻ˣ). The first is y; the second is 1 - y.",
        "y = forward(x);  gx = gy * y * (1 - y)",
    ),
    solution=(SigmoidFunction,),
    why="σ'(x) = σ(x) (1 - σ(x)), so the project keeps only y. It is 1/4 at most: gradients shrink on their way "
    "through a sigmoid, one reason why the layers inside use ReLU.",
)
