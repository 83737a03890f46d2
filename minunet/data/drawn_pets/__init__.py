"""Drawn cats and dogs with their trimaps: any number of them, from a seed, with nothing to download.

    image, trimap = draw(12)                     one image and its trimap
    DrawnPets(700), DrawnPets(100, first=700)    datasets: one to train with, one of other images to test with
    write_dataset("folder", 700, 100)            files in the layout of the Oxford-IIIT Pet dataset
    python -m minunet.data.drawn_pets folder --trainval 700 --test 100

The images are meant to be clear to the eye and hard for a threshold: the pet has a face, limbs and fur, but the clutter
around it wears the same colors. A number and a seed always give the same image, whatever was drawn before; so a
held-out set is simply other numbers.

    animals.py, heads.py, poses.py               an animal, as outlines with an ink
    scenes.py, clutter.py, backdrop.py           the scene around it
    paint.py                                     outlines to pixels
    compose.py                                   an animal in a scene, lit and photographed
    dataset.py, files.py                         many of them, in memory or as files
"""

from minunet.data.drawn_pets.compose import draw, species_of
from minunet.data.drawn_pets.dataset import DrawnPets
from minunet.data.drawn_pets.files import write_dataset

__all__ = ["DrawnPets", "draw", "species_of", "write_dataset"]
