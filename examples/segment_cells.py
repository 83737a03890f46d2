"""`python examples/segment_cells.py train …` is `minunet train --task instance …`; `predict` finds the cells in images.

python examples/segment_cells.py train --images IMAGES --masks LABELS --preset best --augment flips
python examples/segment_cells.py predict runs/NAME/last.npz FOLDER --out cells --flips
"""

import sys

from minunet.cli import main

if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["--help"]
    sys.exit(main([command, *(["--task", "instance"] if command == "train" else []), *arguments]))
