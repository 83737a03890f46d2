"""Using a trained network: on images of any size (predict.py), and what that leaves behind in files (outputs.py).

Objects in the formats of others: label images and tables (instance_files.py), COCO's JSON (coco.py) with its two ways
to write a mask (rle.py, polygons.py).
"""
