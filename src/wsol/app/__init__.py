"""Local web app with image upload, and a machine-learning backend for Label Studio."""
