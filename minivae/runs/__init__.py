"""A run on disk: its settings, its directory and lock, checkpoints, metrics, and how to go on."""
