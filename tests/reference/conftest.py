"""pytest looks for examples in every module; this one imports Keras, which the tests do without."""

collect_ignore = ["make_keras_numbers.py"]
