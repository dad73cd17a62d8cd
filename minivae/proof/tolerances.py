"""Every tolerance of the proof, each with the argument it follows from; what `check` itself allows
stands in `minivae.verify.derivatives`."""

from __future__ import annotations

from minivae.verify.derivatives import TOLERANCES, Tolerance

TABLE: dict[str, Tolerance] = {
    # Figures our own ops and models have to reach.
    "complex_step": Tolerance(
        5e-15,
        "about 22 eps of the tensor's largest entry: a few roundings per op, a dozen ops deep",
    ),
    "worst_entry": Tolerance(
        1e-12, "one entry against itself: a sum may cancel to 1/200 of its terms, 22 eps * 200"
    ),
    "fifty_digits": Tolerance(
        1e-30, "a difference in 80 digits is good to 50; 20 are left to cancellation and to f'''"
    ),
    "fifty_digits_step": Tolerance(
        1e-25,
        "step of the central difference in 80 digits: truncation h**2 = 1e-50, rounding 1e-55",
    ),
    "adjoint64": Tolerance(1e-14, "two dot products of the same numbers in other orders: 45 eps"),
    "adjoint32": Tolerance(5e-7, "the same in float32, of the terms' absolute sum: 4 eps32"),
    "taylor_slope": Tolerance(
        0.02, "the remainder is c t**2 (1 + O(t)); six halvings below t=2**-6"
    ),
    "probe": Tolerance(
        1e-14, "of the gradient's 2-norm: rounding adds like a random walk over entries"
    ),
    "plant": Tolerance(1e-6, "relative size of the errors planted to score the localisation"),
    "attribution": Tolerance(0.95, "the share of curated bugs whose op has to be named"),
    "quadrature": Tolerance(
        2e-15, "9 eps: Gauss-Hermite sums of a few hundred terms of both signs"
    ),
    "meaning_quadrature": Tolerance(1e-12, "sums of a few thousand quadrature terms, 4500 eps"),
    "z_score": Tolerance(
        5.0, "a fixed-seed Monte-Carlo mean five standard errors off: 6e-7 by chance"
    ),
    "ulp_p99": Tolerance(
        2.0, "elementwise kernels: one rounding of the op, one of its last factor"
    ),
    "ulp_worst": Tolerance(6.0, "elementwise kernels: three dependent roundings on top of it"),
    "budget_factor": Tolerance(
        2.0, "a kernel may be twice as far from float64 as the float32 reference"
    ),
    "budget_tail": Tolerance(
        4.0, "the worst of thousands of roundings, in another order of summation"
    ),
    "tf32_input": Tolerance(
        2.0**-10,
        "an input of a TF32 product keeps 10 bits: off by 2**-11 rounded to the nearest, by "
        "2**-10 cut off, and cuBLAS does not say which",
    ),
    "bf16_input": Tolerance(
        2.0**-8, "bfloat16 has 8 bits of significand: half a last place, rounded to the nearest"
    ),
    "full_size_seconds": Tolerance(1.0, "all tensors of 784-400-20 at batch 128, one thread"),
    "locate_seconds": Tolerance(2.0, "one wrong entry of a tensor of 313,600"),
    "mutants": Tolerance(1000, "planted by the syntax-tree mutator, at least"),
    "mutant_seconds": Tolerance(10.0, "for all of them"),
    "corpus": Tolerance(40, "curated bugs, at least"),
    "tensor": Tolerance(1024.0, "eps of the tensor's largest entry: a naive sum of 1e6 terms"),
}


def tol(name: str) -> float:
    """The tolerance called `name`, of the proof or of the checker."""
    return (TABLE.get(name) or TOLERANCES[name]).value
