"""Training: from a network, an optimizer and images with masks to trained weights.

loop.py            the Trainer: epochs, steps, validation
batches.py         batches on the device, prefetched
schedules.py       the learning rate over time
recorded.py        a step recorded as a CUDA graph
early_stopping.py  when to stop waiting for an improvement
progress.py        how far a training has come; its losses
baselines.py       what answers without a network would score
memory.py          which batch size fits into a GPU's memory
checkpoint.py      all that resuming needs, in one file
run_folder.py      what a run leaves behind
plots.py           its curves and predictions
interrupt.py       Ctrl-C, between two steps
"""
