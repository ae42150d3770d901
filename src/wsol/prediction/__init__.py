"""Prediction of boxes for folders of images."""
