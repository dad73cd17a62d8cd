"""The fused training step: whole updates, one after another, in one call of compiled code."""
