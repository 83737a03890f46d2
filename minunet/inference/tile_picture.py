"""A picture of the tiles in which an image is predicted, and of what one of them sees: figure 2 of the U-Net paper."""

import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from minunet.files import atomic_write
from minunet.inference.overlap_tile import overlap_tiles, surroundings
from minunet.models.valid_sizes import margin

SEEN, ANSWERED = "#2f6db3", "#f2b632"  # blue and yellow, as in the paper
INK, FAINT = "#2b2b2b", "#8a8a8a"


def save_tile_picture(
    path: str | Path, image: NDArray, tile: int = 572, depth: int = 4, chosen: tuple[int, int] = (0, 0)
) -> None:
    """Writes a .png: the image in its mirrored surroundings with the outlines of all tiles, and one tile on its own.

    image   uint8 (H, W, 3), or gray (H, W) or (H, W, 1).
    tile    as for `predict_tiled`; depth: of the network.
    chosen  (row, column) of the tile whose boxes are drawn: blue around what it sees, yellow around its answer.

    Raises ValueError for another shape, a tile size that is too small, and a tile that is not there.
    """
    pixels = _rgb(image)
    (H, W), m = pixels.shape[:2], margin(depth)
    rows, columns = (overlap_tiles(n, tile, depth) for n in (H, W))
    if not (0 <= chosen[0] < len(rows) and 0 <= chosen[1] < len(columns)):
        raise ValueError(f"there is no tile {chosen}: there are {len(rows)} rows of {len(columns)} tiles, from (0, 0)")
    whole, _ = surroundings(pixels, depth)
    pale = (0.45 * whole + 0.55 * 255).astype(np.uint8)  # what is only mirrored
    pale[m : m + H, m : m + W] = pixels

    down, across = rows[chosen[0]], columns[chosen[1]]
    figure, left, right = _two_axes(pale.shape[:2], [part.seen.stop - part.seen.start for part in (down, across)])
    _draw_all(left, pale, rows, columns, m, (down, across))
    _draw_one(right, pale, down, across, m)
    tiles = f"{len(rows)} x {len(columns)} tiles" if len(rows) * len(columns) > 1 else "one tile"
    left.set_title(f"image {H} x {W}, its edges mirrored by {m}: {tiles}", **TITLE)
    right.set_title("what one tile sees", **TITLE)
    _legend(figure, down, across)
    _write(figure, path)


TITLE = {"loc": "left", "color": INK, "fontsize": 12}


def _two_axes(left_size, right_size):
    """A figure with room for two images of these sizes (H, W), below each a line of text."""
    (H, W), (h, w) = left_size, right_size
    scale, right_scale = min(6 / H, 8 / W), min(6 / h, 5 / w)  # inches per pixel
    widths, heights = (W * scale, w * right_scale), (H * scale, h * right_scale)
    width, height = sum(widths) + 0.5, max(heights) + 0.85
    figure = Figure(figsize=(max(width, 9), height), dpi=110)  # the legend is 9 inches wide
    lefts, width = (0.15, 0.35 + widths[0]), max(width, 9)
    places = [
        (x / width, (height - 0.35 - tall) / height, wide / width, tall / height)
        for x, wide, tall in zip(lefts, widths, heights)
    ]
    return figure, *(figure.add_axes(place) for place in places)


def _draw_all(axes, pixels, rows, columns, m, chosen):
    """The mirrored image; white lines between the answers; the edge of the image dashed; the boxes of one tile."""
    axes.imshow(pixels, interpolation="nearest" if max(pixels.shape) < 400 else None)
    for down in rows:
        for across in columns:
            _box(axes, down.answered, across.answered, m, edgecolor=INK, linewidth=2.4)  # on bright images
            _box(axes, down.answered, across.answered, m, edgecolor="white", linewidth=1)
    H, W = rows[-1].answered.stop, columns[-1].answered.stop
    _box(axes, slice(0, H), slice(0, W), m, edgecolor=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    down, across = chosen
    _box(axes, down.seen, across.seen, 0, edgecolor=SEEN, linewidth=2.5)
    _box(axes, down.answered, across.answered, m, edgecolor=ANSWERED, linewidth=2.5)
    _bare(axes)


def _draw_one(axes, pixels, down, across, m):
    """What a tile sees, with the part that it answers for."""
    axes.imshow(pixels[down.seen, across.seen], interpolation="nearest" if max(pixels.shape) < 400 else None)
    inside = (slice(s.answered.start - s.seen.start, s.answered.stop - s.seen.start) for s in (down, across))
    _box(axes, *inside, m, edgecolor=ANSWERED, linewidth=2.5)
    for side in axes.spines.values():
        side.set(color=SEEN, linewidth=2.5)
    _no_ticks(axes)


def _box(axes, rows, columns, offset, **style):
    """A rectangle around whole pixels: these rows and columns, counted from `offset`."""
    corner = columns.start + offset - 0.5, rows.start + offset - 0.5
    axes.add_patch(
        Rectangle(corner, columns.stop - columns.start, rows.stop - rows.start, fill=False, clip_on=False, **style)
    )


def _legend(figure, down, across):
    sizes = [f"{d.stop - d.start} x {a.stop - a.start}" for d, a in zip(down[:2], across[:2])]
    texts = {
        f"seen by the tile, {sizes[0]}": {"edgecolor": SEEN, "linewidth": 2.5},
        f"answered by it, {sizes[1]}": {"edgecolor": ANSWERED, "linewidth": 2.5},
        "edge of the image; paler beyond it: mirrored": {"edgecolor": FAINT, "linestyle": (0, (4, 3))},
    }
    handles = [Rectangle((0, 0), 1, 1, fill=False, label=text, **style) for text, style in texts.items()]
    figure.legend(handles=handles, loc="lower left", ncols=3, frameon=False, labelcolor=INK, fontsize=10)


def _bare(axes):
    """Only the image: no ticks, no frame."""
    _no_ticks(axes)
    for side in axes.spines.values():
        side.set_visible(False)


def _no_ticks(axes):
    axes.set_xticks([])
    axes.set_yticks([])


def _rgb(image):
    image = np.asarray(image)
    gray = image[..., None] if image.ndim == 2 else image
    if gray.ndim != 3 or gray.shape[2] not in (1, 3) or 0 in gray.shape or gray.dtype != np.uint8:
        raise ValueError(
            f"the image is {image.dtype} {image.shape}: it must be uint8 (H, W, 3), (H, W, 1) or (H, W), with at least "
            "one pixel"
        )
    return np.broadcast_to(gray, (*gray.shape[:2], 3))


def _write(figure, path):
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    atomic_write(path, content.getvalue())
