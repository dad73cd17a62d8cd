// The likelihoods; each is a type for the one pass of likelihood_pass.cuh, and a line that makes its kernel.
#include "common.cuh"
#include "counts.cuh"
#include "likelihood_pass.cuh"

struct Bernoulli : Plain {  // loss = softplus(a) - x a, slope s(a) - x                      (E23, E24)
    __device__ Bernoulli() {}
    __device__ Bernoulli(real) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real&) const {
        const real t = exp_of(minus_abs(a));  // the one exponential that both need
        loss = (a > 0 ? a : real(0)) + log1p_of(t) - x * a;
        slope = (a > 0 ? real(1) : t) / (1 + t) - x;
    }
};
LIKELIHOOD(bernoulli_pass, Bernoulli)

struct Gaussian : Plain {  // loss = r^2 (rows add the constant), slope r / c                (E20, E21)
    real precision;
    __device__ Gaussian() {}
    __device__ Gaussian(real logc) : precision(exp_of(-logc)) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real&) const {
        const real r = a - x;
        loss = r * r;
        slope = precision * r;
    }
};
LIKELIHOOD(gaussian_pass, Gaussian)

struct Laplace : Plain {  // loss = |r| (rows add the constant), slope sign(r) / b            (E53)
    real rate;
    __device__ Laplace() {}
    __device__ Laplace(real logb) : rate(exp_of(-logb)) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real&) const {
        const real r = a - x;
        loss = -minus_abs(r);
        slope = rate * (r > 0 ? real(1) : r < 0 ? real(-1) : 0 * r);  // a NaN stays one
    }
};
LIKELIHOOD(laplace_pass, Laplace)

// A(a) = log((exp a - 1) / a) = a / 2 + sum of EVEN[k] a^(2k + 2) near 0; the mean is its slope.
struct ContinuousBernoulli : Plain {  // loss = A(a) - x a, slope A'(a) - x                  (E54)
    __device__ ContinuousBernoulli() {}
    __device__ ContinuousBernoulli(real) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real&) const {
        const double even[] = {1.0 / 24,
                               -1.0 / 2880,
                               1.0 / 181440,
                               -1.0 / 9676800,
                               1.0 / 479001600,
                               -691.0 / 15692092416000.0,
                               1.0 / 1046139494400.0,
                               -3617.0 / 170729965486080000.0};
        const real size = -minus_abs(a);
        if (size < real(0.5)) {
            const real y = a * a;
            real series = 0, rising = 0;
#pragma unroll
            for (int k = 7; k >= 0; --k) {
                series = (series + real(even[k])) * y;
                rising = rising * y + real((2 * k + 2) * even[k]);
            }
            loss = real(0.5) * a + series - x * a;
            slope = real(0.5) + a * rising - x;
        } else {
            const real t = exp_of(-size), rest = -expm1_of(-size);
            loss = (a > 0 ? a : real(0)) + ln_of(rest / size) - x * a;
            slope = (a > 0 ? 1 / rest - 1 / size : 1 / size - t / rest) - x;
        }
    }
};
LIKELIHOOD(continuous_bernoulli_pass, ContinuousBernoulli)

struct Poisson : Plain {  // loss = exp(a) - x a + log x!, slope exp(a) - x                  (E55)
    __device__ Poisson() {}
    __device__ Poisson(real) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real&) const {
        const real rate = exp_of(a);
        loss = rate - x * a + rise_of(1, x).log;
        slope = rate - x;
    }
};
LIKELIHOOD(poisson_pass, Poisson)

// loss = log x! - log Gamma(r + x) / Gamma(r) + (x + r) softplus(t) - x t, t = a - log r        (E56)
struct NegativeBinomial : Plain {
    static constexpr bool PULLS = true;
    real logr, r;
    __device__ NegativeBinomial() {}
    __device__ NegativeBinomial(real s) : logr(s), r(exp_of(s)) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real& pull) const {
        const real t = a - logr, e = exp_of(minus_abs(t));
        const real softplus = (t > 0 ? t : real(0)) + log1p_of(e);
        const Rise by = rise_of(r, x);
        loss = rise_of(1, x).log - by.log + (x + r) * softplus - x * t;
        const double share = double(e / (1 + e)) * (x + r), exact = t > 0 ? r - share : share - x;
        slope = real(exact);
        pull = real(r * (softplus - by.slope) - exact);
    }
};
LIKELIHOOD(negative_binomial_pass, NegativeBinomial)

struct StudentT : Plain {  // loss = log 8b/3 + 5/2 log(1 + q), q = r^2 / 4b^2               (E66)
    static constexpr bool PULLS = true;
    real constant, precision;
    __device__ StudentT() {}
    __device__ StudentT(real logb)
        : constant(real(0.98082925301172623686) + logb), precision(real(0.25) * exp_of(-2 * logb)) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real& pull) const {
        const real r = a - x, q = precision * (r * r), share = 1 / (1 + q);
        loss = constant + real(2.5) * log1p_of(q);
        slope = 5 * precision * r * share;
        pull = 1 - 5 * (q * share);
    }
};
LIKELIHOOD(student_t_pass, StudentT)

struct GaussianDiagonal : Plain {  // loss = (log 2 pi + log c + r^2 / c) / 2, slope r / c    (E52)
    static constexpr bool EACH = true, PULLS = true;
    real logc, precision;
    __device__ GaussianDiagonal() {}
    __device__ GaussianDiagonal(real s) : logc(s), precision(exp_of(-s)) {}
    __device__ void operator()(real a, real x, real& loss, real& slope, real& pull) const {
        const real r = a - x, scaled = precision * (r * r);
        loss = real(0.5) * (real(1.8378770664093454836) + logc + scaled);
        slope = precision * r;
        pull = real(0.5) * (1 - scaled);
    }
};
LIKELIHOOD(gaussian_diagonal_pass, GaussianDiagonal)

// The categorical likelihood, over groups of columns that end at `ends` (groups,): loss = w log sum
// exp(a) - sum x a with w = sum x, slope w softmax(a) - x. A warp takes a row: a group may be longer
// than a tile of columns.                                                                   (E57)
// Grid: (1, row tiles); row_part (rows,), total (row tiles,), both or dout null: not asked.
extern "C" __global__ void __launch_bounds__(THREADS)
categorical_pass(const real* out, const real* __restrict__ bias, const real* __restrict__ x,
                 const real* __restrict__ dnll, real constant, const int* __restrict__ ends,
                 int groups, real* dout, real* __restrict__ row_part, real* __restrict__ total,
                 int rows, int batch, int columns, int rows_per_block) {
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    real block_loss = 0;
    for (int r = start + warp; r < stop; r += WARPS) {
        const real* a = out + i64(r) * columns;
        const real* datum = x + i64(r % batch) * columns;
        const real upstream = dnll ? dnll[r] : constant;
        real row_loss = 0;
        for (int g = 0, low = 0; g < groups; low = ends[g++]) {
            real top = a[low] + (bias ? bias[low] : real(0)), share = 0, dot = 0, mass = 0;
            for (int c = low + lane; c < ends[g]; c += LANES) {
                const real v = a[c] + (bias ? bias[c] : real(0));
                top = v > top ? v : top;
                share += datum[c];
                dot += datum[c] * v;
            }
            top = warp_max(top);
            share = warp_sum(share);
            for (int c = low + lane; c < ends[g]; c += LANES)
                mass += exp_of(a[c] + (bias ? bias[c] : real(0)) - top);
            mass = warp_sum(mass);
            row_loss -= dot;
            if (lane == 0) row_loss += share * (ln_of(mass) + top);
            if (!dout) continue;
            const real weight = share / mass;
            for (int c = low + lane; c < ends[g]; c += LANES) {
                const real e = exp_of(a[c] + (bias ? bias[c] : real(0)) - top);
                dout[i64(r) * columns + c] = upstream * (weight * e - datum[c]);
            }
        }
        if (row_part) {
            const real whole = warp_sum(row_loss);
            if (lane == 0) row_part[r] = whole;
        }
        block_loss += row_loss;
    }
    if (!total) return;
    const real whole = block_sum(block_loss);
    if (threadIdx.x == 0) total[blockIdx.y] = whole;
}

// From each row's sum of losses: nll (rows,), and its share of the log scale's gradient; null: not
// asked. With a scale s, nll = weight (D (constant + s) + sum / exp(s)); without, it is the sum.
// In double: rows are few, and D - sum / exp(s) loses digits where the scale fits the data. (E20, E21, E53)
extern "C" __global__ void nll_rows(const real* __restrict__ row_part,
                                    const real* __restrict__ dnll,
                                    const real* __restrict__ log_scale, double weight,
                                    double constant, real* __restrict__ nll,
                                    double* __restrict__ dscale, int rows, int tiles,
                                    int columns) {
    const int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    double sum = 0;
    for (int t = 0; t < tiles; ++t) sum += double(row_part[i64(r) * tiles + t]);
    const double s = log_scale ? double(log_scale[0]) : 0, scaled = exp(-s) * sum;
    if (nll) nll[r] = real(weight * (columns * (constant + s) + scaled));
    if (dscale) dscale[r] = double(dnll[r]) * (weight * (columns - scaled));
}

// out[0] = the sum of a (n,), by one block in a fixed order.
extern "C" __global__ void __launch_bounds__(THREADS) sum_all(const double* __restrict__ a,
                                                              real* __restrict__ out, int n) {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) sum += a[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] = real(sum);
}
