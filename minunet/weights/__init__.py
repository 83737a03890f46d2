"""Files of weights, one module per format. Each has the same two functions:

    encode(model, about)   bytes of a file with the weights of `model`, a Module, and `about`, a dict for JSON
    decode(content)        the way back: ({name: array}, about); about is {} where the file says nothing

What a file is about lets a model be built again without knowing how it was made: its class, its options, the
size of the pictures that it learnt from. A damaged or foreign file makes decode raise nearly anything, and so
does a package that is not installed; minunet/checkpoint.py turns that into one error, with the name of the
file.
"""
