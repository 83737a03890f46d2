"""pytest collects the doctests of every module; these two import Keras, which the tests do not need."""

collect_ignore = ["make_keras_files.py", "make_keras_numbers.py"]
