"""`python examples/predict_pets.py …` is the command `minunet predict …`."""

import sys

from minunet.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
