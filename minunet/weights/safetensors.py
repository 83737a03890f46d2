"""The safetensors format: a header in JSON, then the plain bytes of each array. Needs the package safetensors.

    8 bytes, the length of the header │ header: {"__metadata__": {text: text}, name: {dtype, shape, place}} │ data

Our metadata is JSON text under the name "about" in theirs, which can only hold texts.
"""

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from minunet.inputs import parse_json
from minunet.nn import Module
from minunet.weights.unpacking import check_unpacked

ABOUT = "about"


def encode(model: Module, metadata: Mapping[str, Any]) -> bytes:
    """See minunet/weights/__init__.py."""
    from safetensors.numpy import save

    return save(model.state_dict(), metadata={ABOUT: json.dumps(metadata)})


def decode(content: bytes, max_bytes: int | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """See minunet/weights/__init__.py."""
    from safetensors.numpy import load

    check_unpacked([len(content)], len(content), max_bytes)  # nothing is packed: it is what it is
    arrays = load(content)  # first, because it checks the header that is read below
    header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return arrays, parse_json(header.get("__metadata__", {}).get(ABOUT, "{}"))
