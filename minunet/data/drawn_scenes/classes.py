"""The classes of drawn scenes: six kinds of stuff, and two things."""

from minunet.data.classes import Classes

STUFF = {
    "wall": (196, 176, 148),
    "floor": (128, 96, 72),
    "sky": (112, 176, 224),
    "grass": (128, 176, 64),
    "plant": (32, 104, 56),
    "furniture": (144, 96, 176),
}
THINGS = {"cat": (240, 144, 32), "dog": (208, 48, 64)}

WALL, FLOOR, SKY, GRASS, PLANT, FURNITURE, CAT, DOG = range(8)  # class indices, which are also the numbers in files
CLASSES = Classes(
    names=(*STUFF, *THINGS),
    colors=(*STUFF.values(), *THINGS.values()),
    things=(False,) * len(STUFF) + (True,) * len(THINGS),
)
