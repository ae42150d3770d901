"""Annotation of folders of labeled images with boxes, as training data of detectors."""
