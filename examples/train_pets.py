"""`python examples/train_pets.py …` is the command `minunet train …`; minunet/cli/train.py has it."""

import sys

from minunet.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
