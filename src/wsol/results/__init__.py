"""What is found in an image, in memory and on disk."""
