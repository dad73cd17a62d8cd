// What the likelihoods of counts need of the gamma function: how it rises over a whole number. (E55, E56)
//
// log Gamma(r + x) - log Gamma(r) is the logarithm of r (r + 1) ... (r + x - 1), whose derivative is a
// sum of fractions. Eight factors are multiplied; Stirling's series has the others. There the two
// large logarithms are never subtracted, which would lose their digits: they make one of a quotient.

#define STEPS 8  // factors that are multiplied; from r + 8 on, Stirling's series has all digits
#define FAR_OUT real(1e4)  // beyond it eight factors might overflow, and the series has all of them

struct Rise {
    real log;      // log Gamma(r + x) - log Gamma(r)
    double slope;  // its derivative in r: one r is for all data, and an error in it would add up
};

struct Remainder {
    real rest, lack;  // what Stirling's formula leaves out of log Gamma(z); what psi(z) lacks to log z
};

// Stirling's series (Abramowitz & Stegun 6.1.40) and its derivative
__device__ inline Remainder stirling(real z) {
    const double terms[] = {1.0 / 12,   -1.0 / 360,      1.0 / 1260, -1.0 / 1680,
                            1.0 / 1188, -691.0 / 360360, 1.0 / 156};
    const real inverse = 1 / z, square = inverse * inverse;
    real series = 0, falling = 0;
#pragma unroll
    for (int k = 6; k >= 0; --k) {
        series = series * square + real(terms[k]);
        falling = falling * square + real((2 * k + 1) * terms[k]);
    }
    return {series * inverse, real(0.5) * inverse + falling * square};
}

// r > 0, x a whole number of at least 0
__device__ inline Rise rise_of(real r, real x) {
    const bool near = !(r > FAR_OUT);
    double product = 1, slope = 0;
#pragma unroll
    for (int k = 0; k < STEPS; ++k)
        if (near && k < x) {
            slope = slope * (double(r) + k) + product;
            product *= double(r) + k;
        }
    Rise by = {ln_of(real(product)), slope / product};
    if (!near || x > STEPS) {
        const real since = near ? r + STEPS : r, n = near ? x - STEPS : x, to = since + n;
        const real growth = log1p_of(n / since);  // log to - log since
        const Remainder first = stirling(since), last = stirling(to);
        by.log += (since - real(0.5)) * growth + (n * ln_of(to) - n) + (last.rest - first.rest);
        by.slope += growth + (first.lack - last.lack);
    }
    return by;
}
