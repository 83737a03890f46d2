"""Images with panoptic labels in COCO's format: a folder of images, one of PNGs, and a JSON file about them.

IMAGES/NAME.jpg      the photographs
PANOPTIC/NAME.png    one number per segment, in the colors of the pixels (panoptic_ids.py)
panoptic.json        "categories": id, name, isthing, and a color if given
                     "images": id and file_name of each
                     "annotations": image_id, file_name of its PNG, and segments_info, the category of each segment

document.py    the JSON file
dataset.py     the images and their labels
"""

from minunet.data.coco.dataset import CocoPanoptic

__all__ = ["CocoPanoptic"]
