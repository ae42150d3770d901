"""Plain training of a classifier, as class activation mapping uses it (Zhou et al., 2016)."""
