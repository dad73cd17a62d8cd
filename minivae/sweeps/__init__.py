"""Many runs at once: a grid of settings, an engine that trains them, one table and its pictures."""
