"""`minunet explain`: a network and an image become one HTML page, in which every number can be looked into.

trace.py        the image sent through the network: what each layer read and wrote
gradients.py    ∂L/∂y of each layer
ablation.py     the answer without a skip, without all of them, without the bottleneck
fields.py       receptive fields
choice.py       which maps and pixels fit into the page
arithmetic.py   the numbers behind them
layout.py       where each layer stands in the drawing
answers.py      the answer as a picture
encoding.py     numbers and pictures as text
layers.py       each layer in JSON
build.py        all of it, and the page
page/           the page itself: HTML, CSS, JavaScript
"""

from minunet.learn.explain.build import MARK, explain

__all__ = ["MARK", "explain"]
