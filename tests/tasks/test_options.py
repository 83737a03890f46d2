"""Options of tasks: what is accepted, and what the refusals say."""

import math

import pytest

from minunet.tasks.options import check_choice, check_length, check_pixels, check_word


def test_the_ends_of_a_range_are_in_it():
    assert [check_pixels("boundary", value, 1, 4) for value in (1, 4)] == [1, 4]
    for value in (0, 5):
        with pytest.raises(ValueError, match=rf"boundary is {value}: it must be a number of pixels, 1 to 4"):
            check_pixels("boundary", value, 1, 4)
    assert check_pixels("smallest", 10**9) == 10**9
    with pytest.raises(ValueError, match="smallest is -1.*0 to"):
        check_pixels("smallest", -1)


@pytest.mark.parametrize("value", [2.0, "2", None, [2]])
def test_pixels_are_whole(value):
    with pytest.raises(TypeError):
        check_pixels("boundary", value)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_length_is_finite_and_above_0(value):
    assert check_length("sigma", 1) == 1.0
    with pytest.raises(ValueError, match="sigma is"):
        check_length("sigma", value)


def test_choices_and_words():
    assert check_choice("separate_by", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="separate_by is 'c': it must be one of a, b"):
        check_choice("separate_by", "c", ("a", "b"))
    assert check_word("object_name", "blood cell") == "blood cell"
    for value in ("", " ", "a\tb", 7, None):
        with pytest.raises(ValueError, match="object_name is"):
            check_word("object_name", value)
