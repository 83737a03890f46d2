"""How the drawn pets come about, to be read in this order: paint, animals, heads, poses, scenes.

    paint.py     shapes become a picture of ink numbers, and the numbers become fur, relief and light
    animals.py   coats, builds, and limbs that wear a coat
    heads.py     faces of cats and dogs
    poses.py     whole animals: standing, sitting, lying, asleep, close up
    scenes.py    rooms, gardens, and clutter that wears the colours of fur

minunet/data/drawn_pets.py puts an animal into a scene.
"""
