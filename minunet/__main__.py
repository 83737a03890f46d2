"""`python -m minunet …` is the command `minunet …`."""

import sys

from minunet.cli import main

if __name__ == "__main__":
    sys.exit(main())
