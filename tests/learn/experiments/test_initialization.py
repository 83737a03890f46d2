"""The claims of the experiment, in a smaller form: powers by layer, and which starts learn."""

import numpy as np
import pytest

from minunet.learn.experiments.initialization import STARTS, Course, learned, measure, report


@pytest.fixture(scope="module")
def found():
    return measure([0], images=32, others=8, epochs=2, size=32, depth=3)


def test_a_factor_on_all_weights_is_there_once_for_each_layer(found):
    """Down to the bottleneck each layer reads only the one before: a factor of 3 becomes 3, 9, 27, …"""
    ones, threes, tenths = (list(found[name].forward.values())[:8] for name in ("Glorot", "Glorot x 3", "Glorot x 0.1"))
    np.testing.assert_allclose(np.divide(threes, ones), 3.0 ** np.arange(1, 9), rtol=1e-3)
    np.testing.assert_allclose(np.divide(tenths, ones), 0.1 ** np.arange(1, 9), rtol=1e-3)


def test_he_keeps_the_scale_and_glorot_does_not(found):
    layers = list(found["He"].forward)
    assert layers[0] == "Conv_Down_1_1" and layers[7] == "Conv_Bottle_2"
    down = {name: course.forward["Conv_Bottle_2"] / course.forward["Conv_Down_1_1"] for name, course in found.items()}
    assert 0.3 < down["He"] < 3.5
    assert down["Glorot"] < 0.3 and down["Glorot x 3"] > 30 and down["Glorot x 0.1"] < 1e-6


def test_gradients_vanish_and_explode(found):
    gradient = {name: course.backward["Conv_Bottle_1"] for name, course in found.items()}
    assert gradient["Glorot x 0.1"] < 1e-6 * gradient["Glorot"] < gradient["He"] < 0.01 * gradient["Glorot x 3"]


def test_losses_begin_where_the_start_puts_them(found):
    first = {name: course.losses[0, 0] for name, course in found.items()}
    assert abs(first["Glorot x 0.1"] - np.log(2)) < 0.01  # an answer of one half everywhere
    assert first["Glorot x 3"] > 10 * first["Glorot"]


def test_the_answer_counts_those_that_have_learned(found):
    def with_scores(*scores):
        return {name: found[name]._replace(iou=np.array([score])) for name, score in zip(STARTS, scores)}

    assert learned(with_scores(0.1, 0.6, 0.2, 0.7)) == ["Glorot", "He"]
    answers = [report(with_scores(*scores)).answer for scores in ([0.9] * 4, [0, 0.9, 0.9, 0.9], [0, 0.8, 0, 0.8])]
    assert [*answers, report(with_scores(0, 0, 0, 0.8)).answer, report(with_scores(0, 0, 0, 0)).answer] == [
        0,
        1,
        2,
        3,
        3,
    ]
    assert isinstance(found["He"], Course) and len(report(found).rows) == 4
