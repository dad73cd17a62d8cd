"""How kernels become machine code: Numba's options, a disk cache, and vector instructions."""
