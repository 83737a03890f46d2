"""Drawn scenes with several cats and dogs: classes and segments for every kind of segmentation, nothing to download.

    image, classes, segments = draw_scene(12)       one scene
    DrawnScenes(800), DrawnScenes(100, first=800)   datasets: one to train with, one of other scenes to test with
    write_scenes("folder", 800, 100)                files: images, class maps, instances, COCO's panoptic format
    minunet draw folder --scenes --trainval 800 --test 100

The animals are those of drawn pets. Some stand one before the other, so that there is something to tell apart; each
kind of stuff has its place and its colors, so that a small network learns it in minutes.

    classes.py             what a pixel can be: wall, floor, sky, grass, plant, furniture; cat, dog
    places.py              rooms, gardens and yards that know what each of their shapes is
    layout.py              where the animals stand
    compose.py             animals in a place, lit and photographed, with the class and segment of each pixel
    dataset.py, files.py   many of them, in memory or as files
"""

from minunet.data.drawn_scenes.classes import CLASSES
from minunet.data.drawn_scenes.compose import draw_scene
from minunet.data.drawn_scenes.dataset import DrawnScenes
from minunet.data.drawn_scenes.files import write_scenes

__all__ = ["CLASSES", "DrawnScenes", "draw_scene", "write_scenes"]
