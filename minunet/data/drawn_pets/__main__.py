"""A door: `python -m minunet.data.drawn_pets …` is the command `minunet draw …`."""

import sys

from minunet.cli import main

if __name__ == "__main__":
    sys.exit(main(["draw", *sys.argv[1:]]))
