"""The ops, each beside its compiled kernel: the same names and arguments as the reference's."""
