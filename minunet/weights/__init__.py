"""Weights on disk: io.py saves and loads them; one module per format. Each format has the same two functions:

    encode(model, metadata)   returns the bytes of a file: the weights of a Module, and `metadata`, a dict for JSON
    decode(content)           the way back: returns ({name: array}, metadata); {} where the file holds no metadata

The metadata lets a model be rebuilt without knowing how it was made: its class, its options, the size of the images
that it was trained on. A damaged or foreign file makes decode raise nearly anything, and so does a package that is not
installed; io.py turns that into one error with the name of the file.
"""
