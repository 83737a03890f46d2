"""`python examples/show_augmentation.py …` is the command `minunet show-augmentation …`."""

import sys

from minunet.cli import main

if __name__ == "__main__":
    sys.exit(main(["show-augmentation", *sys.argv[1:]]))
