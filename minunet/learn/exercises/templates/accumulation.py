"""Exercise accumulation: the walk back through a graph, where a gradient arrives twice.

This is the engine of automatic differentiation in small. A program is a list of steps, in the order in which they run.
Each step has an operation, the name of its output, and the names of its inputs:

    program = [("multiply", "a", ("x", "w")),          a = x · w
               ("add",      "y", ("a", "x"))]          y = a + x

The steps are walked from the last to the first. Each operation knows its own derivative (RULES, below): it takes the
gradient of its output and returns those of its inputs. x is used twice here, so its gradient arrives twice: once from
the sum, once from the product. What is its gradient altogether?

x, w and all results have one shape. Given gy = ∂L/∂y, find gx and gw.

A worked example, to check by hand, with the program above:

    x = 3, w = 5      a = 15, y = 18      gy = 2
    gx = 12           2 from the sum, and 2 · 5 from the product
    gw = 6            2 · 3

Run this file to see your own gradients beside it. Then:

    minunet exercise accumulation --check accumulation_exercise.py
    minunet exercise accumulation --hint
"""

import numpy as np

OPERATIONS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "exp": lambda a: np.exp(a),
}
RULES = {  # operation → from gy and the inputs to the gradients of the inputs, a tuple
    "add": lambda gy, a, b: (gy, gy),  # one array, twice
    "multiply": lambda gy, a, b: (gy * b, gy * a),
    "exp": lambda gy, a: (gy * np.exp(a),),
}


def run(x, w, program):
    """Returns all values by name: "x", "w", the results of the steps, and at last "y"."""
    values = {"x": x, "w": w}
    for operation, output, inputs in program:
        values[output] = OPERATIONS[operation](*(values[name] for name in inputs))
    return values


def forward(x, w, program):
    """Returns y."""
    return run(x, w, program)["y"]


def backward(gy, x, w, program):
    """Returns gx, gw."""
    values = run(x, w, program)
    gradients = {"y": gy}
    for operation, output, inputs in reversed(program):
        arrived = RULES[operation](gradients[output], *(values[name] for name in inputs))
        for name, g in zip(inputs, arrived):
            # Hint: what if gradients[name] is there already? And who else may hold that array? (Look at RULES["add"].)
            raise NotImplementedError("TODO: put g into gradients[name]")
    return gradients["x"], gradients["w"]


if __name__ == "__main__":
    program = [("multiply", "a", ("x", "w")), ("add", "y", ("a", "x"))]
    gx, gw = backward(np.array([2.0]), np.array([3.0]), np.array([5.0]), program)
    print("gx is", gx, "and should be [12.]")
    print("gw is", gw, "and should be [6.]")
