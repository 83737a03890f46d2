"""Objects as files for others: a 16-bit label image, and a table with a line per object.

NAME.labels.png (or .tif)    the number of each pixel's object; 0 where there is none
NAME.objects.csv             one line per object: number, area, center, bounding box, mean brightness, class

Functions return bytes and text; writing them to a disk is for others.
"""

import csv
import io
from collections.abc import Mapping

from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minunet.data.labels import as_segments
from minunet.metrics.objects import mean_intensities, measure

FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
SOFTWARE = 305  # the number of this tag in TIFF files


def label_image(segments: NDArray, suffix: str = ".png", software: str | None = None) -> bytes:
    """Returns segments as the bytes of a 16-bit gray image: what ImageJ, napari, CellProfiler and scikit-image read.

    segments: integers (H, W), at least one pixel; suffix: .png, .tif or .tiff; software: a text to keep inside, under
    "Software". Raises ValueError for another suffix, for more objects than 16 bits can number, or for no pixels.
    """
    if suffix.lower() not in FORMATS:
        raise ValueError(f"suffix is {suffix!r}: a label image is saved as one of {', '.join(FORMATS)}")
    pixels = as_segments(segments, ignore=True)
    if not pixels.size:
        raise ValueError(f"segments have shape {pixels.shape}: an image needs at least one pixel")
    image, file = Image.fromarray(pixels), io.BytesIO()
    if FORMATS[suffix.lower()] == "PNG":
        text = PngInfo()
        if software:
            text.add_text("Software", software)
        image.save(file, "PNG", pnginfo=text)
    else:
        image.save(file, "TIFF", tiffinfo={SOFTWARE: software} if software else {})
    return file.getvalue()


def objects_csv(segments: NDArray, image: NDArray | None = None, classes: Mapping[int, str | int] | None = None) -> str:
    """Returns a table of the objects as CSV text, with a header.

    Areas are in pixels. The center of the first pixel is (0, 0); x1 and y1 are one after the last column and row of the
    object. image: of which the mean brightness is taken, see metrics.objects.mean_intensities; classes: {number: name
    or index of its class}. Without them, their columns are left out. A name that a spreadsheet would take for a formula
    (=1+1) begins with an apostrophe.

    >>> import numpy as np
    >>> print(objects_csv(np.array([[0, 7, 7]]), np.array([[10, 20, 31]]), {7: "cell"}))
    number,class,area,centroid_y,centroid_x,x0,y0,x1,y1,mean_intensity
    7,cell,2,0.000,1.500,1,0,3,1,25.500
    <BLANKLINE>
    """
    objects = measure(segments)
    columns = {"number": objects.numbers.tolist()}
    if classes is not None:
        columns["class"] = [_cell(classes.get(number, "")) for number in objects.numbers.tolist()]
    columns["area"] = objects.areas.tolist()
    for name, values in zip(("centroid_y", "centroid_x"), objects.centroids.T.tolist()):
        columns[name] = [f"{value:.3f}" for value in values]
    for name, values in zip(("x0", "y0", "x1", "y1"), objects.boxes.T.tolist()):
        columns[name] = values
    if image is not None:
        columns["mean_intensity"] = [f"{value:.3f}" for value in mean_intensities(segments, image)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values()))
    return file.getvalue()


def _cell(name: str | int) -> str | int:
    """A name as a cell of a table: spreadsheets run what begins like a formula, and show what follows an apostrophe."""
    return f"'{name}" if isinstance(name, str) and name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
