"""How numbers and pictures become text in an HTML file.

numbers   float32, little-endian → deflate → base64; the browser's DecompressionStream undoes the second step
maps      8 bits per pixel: 0 is the lowest value of a map, 255 the highest; all maps of a layer in one PNG
"""

import base64
import io
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128  # pixels; larger maps are averaged over blocks


def pack(arrays: Sequence[NDArray]) -> str:
    """Returns the numbers of all arrays, one after the other, as text.

    >>> zlib.decompress(base64.b64decode(pack([np.array([1.0, 0.0])])))
    b'\\x00\\x00\\x80?\\x00\\x00\\x00\\x00'
    """
    numbers = b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays)
    return base64.b64encode(zlib.compress(numbers, 9)).decode()


def data_url(picture: Image.Image, **options: object) -> str:
    """Returns a picture as a PNG in a data URL; options as for Pillow, format="JPEG" among them."""
    file = io.BytesIO()
    kind = str(options.pop("format", "PNG"))
    picture.save(file, kind, **({"optimize": True} | options))  # type: ignore[arg-type]
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def shrink(maps: NDArray, side: int = SIDE) -> NDArray:
    """Returns maps (H, W, M), averaged over blocks of pixels so that no side is longer than `side`.

    Rows and columns that are left over belong to smaller blocks at the end.

    >>> shrink(np.arange(6.0).reshape(1, 6, 1), side=3).ravel()
    array([0.5, 2.5, 4.5])
    """
    block = -(-max(maps.shape[:2]) // side)
    if block == 1:
        return maps
    for axis in (0, 1):
        starts = np.arange(0, maps.shape[axis], block)
        counts = np.diff(np.append(starts, maps.shape[axis]))
        sums = np.add.reduceat(maps.astype(np.float64), starts, axis=axis)
        maps = sums / (counts[:, None, None] if axis == 0 else counts[None, :, None])
    return maps


def sheet(maps: NDArray, lows: NDArray, highs: NDArray) -> str:
    """Returns the maps (H, W, M) below each other in one gray PNG, (M·H, W): 0 at lows (M,), 255 at highs (M,)."""
    span = np.where(highs > lows, highs - lows, 1)
    levels = np.clip((maps - lows) / span, 0, 1) * 255
    pixels = np.moveaxis(np.rint(levels).astype(np.uint8), 2, 0).reshape(-1, maps.shape[1])
    return data_url(Image.fromarray(pixels))
