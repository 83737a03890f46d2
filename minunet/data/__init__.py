"""Pictures with masks: drawn or read, fetched, kept decoded, and served in batches. NumPy and Pillow only.

A dataset is anything with a length, `names` (list of str), and `dataset[i]` -> (image, mask):
image uint8 (H, W, 3) in 0..255; mask uint8 (H, W, 1) with 0 background, 1 pet, 255 ignore.
"""


class DataError(ValueError):
    """The data cannot be used as it is; the message names each file, and says what is wrong with it."""
