"""Using a trained network: on images of any size (predict.py), and what that leaves behind in files (outputs.py)."""
