"""Boxes for folders of labelled images, as training data of detectors."""
