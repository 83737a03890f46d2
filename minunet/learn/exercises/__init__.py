"""Exercises: the reader writes a backward, and is told whether it is right or what kind of mistake it has.

exercise.py      what an exercise is made of
templates/       the files that students get, one per exercise
definitions/     beside each: inputs to check with, typical mistakes, hints, where the solution is
run.py           runs a student's file in a process of its own (child.py)
check.py         compares what it returned with differences of the forward; recognize.py names the mistake
"""

from minunet.learn.exercises.definitions import (
    accumulation,
    add,
    batch_norm,
    binary_cross_entropy,
    concatenate,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    dice,
    matmul,
    max_pool2d,
    relu,
    rmsprop,
    sigmoid,
)
from minunet.learn.exercises.exercise import Exercise

__all__ = ["EXERCISES"]

# From easy to hard
EXERCISES: dict[str, Exercise] = {
    module.EXERCISE.name: module.EXERCISE
    for module in (
        relu,
        sigmoid,
        concatenate,
        rmsprop,
        binary_cross_entropy,
        matmul,
        add,
        accumulation,
        dice,
        max_pool2d,
        cross_entropy,
        conv2d,
        conv_transpose2d,
        batch_norm,
    )
}
