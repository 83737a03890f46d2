"""pytest looks for examples in every module; these import Keras, which the tests do without."""

collect_ignore = ["make_keras_files.py", "make_keras_numbers.py"]
