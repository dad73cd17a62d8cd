"""The kernels for an NVIDIA card: CUDA C, launched through CuPy."""
