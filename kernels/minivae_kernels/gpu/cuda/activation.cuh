// The hidden layers' activations and their derivatives                          (E7, E8, E22, E47-E51)
//
// The codes, by the names of the plan. Up to ELU a derivative is read off the output y; from SILU on
// it is not to be had from there, and the layer keeps what went in. A new one: a name, a line in each
// function; its ops follow from the name.
enum Activation { LINEAR, RELU, TANH, SIGMOID, SOFTPLUS, LEAKY_RELU, ELU, SILU, GELU, GELU_TANH };

#define LEAK real(0.01)
#define FAR real(sizeof(real) == 4 ? 15 : 39)  // beyond it a normal's tail is 0

// t = exp(-|x|) is at most 1, so nothing overflows in either tail.
__device__ inline real sigmoid_of(real x) {
    const real t = exp_of(minus_abs(x));
    return (x > 0 ? real(1) : t) / (1 + t);
}
__device__ inline real bell_of(real t) { return t / ((1 + t) * (1 + t)); }

__device__ inline real near(real x) { return x > FAR ? FAR : (x < -FAR ? -FAR : x); }

// The standard normal's distribution function and density; |x| <= FAR
__device__ inline real normal_cdf(real x) {
    return real(0.5) * erfc_of(real(-0.70710678118654752) * x);
}
__device__ inline real normal_pdf(real x) {
    return real(0.39894228040143268) * exp_of(real(-0.5) * (x * x));
}

// gelu_tanh's argument of the sigmoid: 2 sqrt(2 / pi) (x + 0.044715 x^3), and its slope
__device__ inline real bend_of(real x) {
    return real(1.5957691216057308) * (x + real(0.044715) * (x * x * x));
}
__device__ inline real bend_slope(real x) {
    return real(1.5957691216057308) * (1 + 3 * (real(0.044715) * (x * x)));
}

__device__ inline real activated(real x, int act) {
    switch (act) {
        case RELU: return x <= 0 ? real(0) : x;                                       // (E7)
        case TANH: return tanh_of(x);                                                 // (E8)
        case SIGMOID: return sigmoid_of(x);                                           // (E22)
        case SOFTPLUS: return (x > 0 ? x : real(0)) + log1p_of(exp_of(minus_abs(x))); // (E22)
        case LEAKY_RELU: return x <= 0 ? LEAK * x : x;                                // (E47)
        case ELU: return x <= 0 ? expm1_of(x) : x;                                    // (E48)
        case SILU: return x * sigmoid_of(x);                                          // (E49)
        case GELU: return x * normal_cdf(near(x));                                    // (E50)
        case GELU_TANH: return x * sigmoid_of(bend_of(near(x)));                      // (E51)
        default: return x;
    }
}

// upstream d times f'(x)
__device__ inline real gradient_at(real d, real x, int act) {
    switch (act) {
        case LEAKY_RELU: return x <= 0 ? LEAK * d : d;
        case ELU: return x <= 0 ? d * exp_of(x) : d;
        case SILU: return d * (sigmoid_of(x) * (1 + x * sigmoid_of(-x)));
        case GELU: return d * (normal_cdf(near(x)) + x * normal_pdf(near(x)));
        case GELU_TANH: {
            const real b = near(x), u = bend_of(b);
            return d * (sigmoid_of(u) + b * bell_of(exp_of(minus_abs(u))) * bend_slope(b));
        }
        default: return d;
    }
}

// The same in a layer, which has kept y = f(x), or from SILU on x itself.
__device__ inline real through(real d, real kept, int act) {
    switch (act) {
        case RELU: return kept <= 0 ? real(0) : d;
        case TANH: return d * ((1 - kept) * (1 + kept));
        case SIGMOID: return d * (kept * (1 - kept));
        case SOFTPLUS: return d * -expm1_of(-kept);
        case ELU: return kept > 0 ? d : d * (kept + 1);
        default: return gradient_at(d, kept, act);
    }
}
