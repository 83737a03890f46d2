"""What all experiments keep to: names as on the command line, a few guesses, a time that fits into a coffee break."""

import re

import pytest

from minunet.learn.experiments import EXPERIMENTS

NAMES = """receptive-field pooling checkerboard skips bottleneck initialization
losses optimizers learning-rate batch-norm augmentation memory""".split()


def test_all_are_there():
    assert list(EXPERIMENTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_question_with_guesses(name):
    experiment = EXPERIMENTS[name]
    assert experiment.name == name and experiment.run.__module__.endswith(name.replace("-", "_"))
    assert experiment.question.endswith("?") and len(experiment.question) < 320
    assert 2 <= len(experiment.guesses) <= 4 and len(set(experiment.guesses)) == len(experiment.guesses)
    assert 1 <= experiment.seconds <= 180
    assert not re.search(r"\s\s|\n", experiment.question + "".join(experiment.guesses))
