"""Datasets: images with labels each, drawn or read from files, decoded once, augmented, and served in batches.

A dataset has a length, `names` (list of str), and `dataset[i]` -> (image, labels): image uint8 (H, W, 3) in 0..255;
labels (H, W, L), such as a mask uint8 (H, W, 1) with 0 background, 1 pet, 255 ignore. sample.py states that as types;
labels.py says which kinds there are, and what their numbers mean. Everything here needs NumPy and Pillow only.
"""


class DataError(ValueError):
    """The data cannot be used as it is; the message names each file, and says what is wrong with it."""
