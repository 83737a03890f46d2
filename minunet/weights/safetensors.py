"""The safetensors format: a header in JSON, then the plain bytes of each array. Needs the package
safetensors.

    8 bytes, the length of the header │ header: {"__metadata__": {text: text}, name: {dtype, shape, place}} │ data

`about` travels as JSON text in the metadata, which holds nothing but texts.
"""

import json

ABOUT = "about"


def encode(model, about):
    """See minunet/weights/__init__.py."""
    from safetensors.numpy import save

    return save(model.state_dict(), metadata={ABOUT: json.dumps(about)})


def decode(content):
    """See minunet/weights/__init__.py."""
    from safetensors.numpy import load

    arrays = load(content)  # this one first: it checks the header that is read below
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return arrays, json.loads(header.get("__metadata__", {}).get(ABOUT, "{}"))
