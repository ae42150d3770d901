"""Training of classifiers on image-level labels."""
