// What the likelihoods of counts need of the gamma function: how it rises over a whole number. (E55, E56)
//
// log Gamma(r + x) - log Gamma(r) is the logarithm of r (r + 1) ... (r + x - 1), whose derivative is a
// sum of fractions: a difference of two large numbers would lose its digits.

#define STEPS 8  // factors that are multiplied; from r + 8 on, Stirling's series has all digits
#define FAR_OUT real(1e4)  // beyond it eight factors might overflow, and the series has them too

struct Rise {
    real log, slope;  // log Gamma(r + x) - log Gamma(r), and its derivative in r
};

// Stirling's series for log Gamma(z), but for its constant, and for psi(z) (Abramowitz & Stegun 6.1.40)
__device__ inline Rise stirling(real z) {
    const double terms[] = {1.0 / 12,   -1.0 / 360,      1.0 / 1260, -1.0 / 1680,
                            1.0 / 1188, -691.0 / 360360, 1.0 / 156};
    const real inverse = 1 / z, square = inverse * inverse, log_z = ln_of(z);
    real series = 0, falling = 0;
#pragma unroll
    for (int k = 6; k >= 0; --k) {
        series = series * square + real(terms[k]);
        falling = falling * square + real((2 * k + 1) * terms[k]);
    }
    return {(z - real(0.5)) * log_z - z + series * inverse,
            log_z - real(0.5) * inverse - falling * square};
}

// r > 0, x a whole number of at least 0
__device__ inline Rise rise_of(real r, real x) {
    const bool near = !(r > FAR_OUT);
    real product = 1, slope = 0;
#pragma unroll
    for (int k = 0; k < STEPS; ++k)
        if (near && k < x) {
            slope = slope * (r + k) + product;
            product *= r + k;
        }
    Rise by = {ln_of(product), slope / product};
    if (!near || x > STEPS) {
        const Rise to = stirling(r + x), from = stirling(near ? r + STEPS : r);
        by.log += to.log - from.log;
        by.slope += to.slope - from.slope;
    }
    return by;
}
