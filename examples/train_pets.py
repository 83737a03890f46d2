"""`python examples/train_pets.py …` is the command `minunet train …`."""

import sys

from minunet.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
