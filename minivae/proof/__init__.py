"""The proof of our own passes: every op, layer, model and kernel, and the examination of the
checker itself."""
