"""Training: the loop, its checkpoints and everything that keeps a run from being lost."""
