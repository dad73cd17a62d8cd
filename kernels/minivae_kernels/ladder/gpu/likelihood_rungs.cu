// The Bernoulli likelihood on the way to gpu/cuda/likelihood.cu: kept for teaching and racing.
//
// a (draws, batch, columns), x (batch, columns). The grid says which row and columns a thread has:
// to find them by dividing would cost more than what the rungs compare.
#include "common.cuh"

// A thread's pixel of x, in every draw: work(its place in a, its place in x, its row of dnll).
template <typename Work>
__device__ inline void every_draw(int draws, int batch, int columns, Work work) {
    const int b = blockIdx.x, c = blockIdx.y * blockDim.x + threadIdx.x;
    const i64 pixel = i64(b) * columns + c;
    if (c >= columns) return;
    for (int l = 0; l < draws; ++l) work(i64(l) * batch * columns + pixel, pixel, l * batch + b);
}

// softplus(logit) - x logit with t = exp(-|logit|), and the sigmoid with the same t    (E22, E23)
__device__ inline real loss_of(real logit, real t, real x) {
    return (logit > 0 ? logit : real(0)) + log1p_of(t) - x * logit;
}
__device__ inline real sigmoid_by(real logit, real t) {
    return (logit > 0 ? real(1) : t) / (1 + t);
}

// One thread, one pixel of every draw: the terms of the loss                              (E23)
extern "C" __global__ void nll_terms_rung(const real* __restrict__ a, const real* __restrict__ x,
                                          real* __restrict__ term, int draws, int batch,
                                          int columns) {
    every_draw(draws, batch, columns, [&](i64 i, i64 pixel, int) {
        term[i] = loss_of(a[i], exp_of(minus_abs(a[i])), x[pixel]);
    });
}

// One thread, one pixel of every draw: the gradient                                       (E24)
extern "C" __global__ void nll_slope_rung(const real* __restrict__ dnll,
                                          const real* __restrict__ a, const real* __restrict__ x,
                                          real* __restrict__ da, int draws, int batch,
                                          int columns) {
    every_draw(draws, batch, columns, [&](i64 i, i64 pixel, int row) {
        da[i] = dnll[row] * (sigmoid_by(a[i], exp_of(minus_abs(a[i]))) - x[pixel]);
    });
}

// One thread, one row: neighbouring threads read numbers a whole row apart.
extern "C" __global__ void row_sums_rung(const real* __restrict__ term, real* __restrict__ nll,
                                         int rows, int columns) {
    const int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    real sum = 0;
    for (int c = 0; c < columns; ++c) sum += term[i64(r) * columns + c];
    nll[r] = sum;
}

// The same as the first two in one: loss and gradient from one exponential.
extern "C" __global__ void nll_both_rung(const real* __restrict__ dnll, const real* __restrict__ a,
                                         const real* __restrict__ x, real* __restrict__ term,
                                         real* __restrict__ da, int draws, int batch,
                                         int columns) {
    every_draw(draws, batch, columns, [&](i64 i, i64 pixel, int row) {
        const real logit = a[i], t = exp_of(minus_abs(logit));
        term[i] = loss_of(logit, t, x[pixel]);
        da[i] = dnll[row] * (sigmoid_by(logit, t) - x[pixel]);
    });
}

// One warp, one row: the terms stay in registers and are added across the lanes.
extern "C" __global__ void nll_warp_rung(const real* __restrict__ dnll, const real* __restrict__ a,
                                         const real* __restrict__ x, real* __restrict__ nll,
                                         real* __restrict__ da, int rows, int batch,
                                         int columns) {
    const int lane = threadIdx.x % LANES;
    const int r = blockIdx.x * WARPS + threadIdx.x / LANES;
    if (r >= rows) return;  // the whole warp leaves together
    const real *row = a + i64(r) * columns, *pixel = x + i64(r % batch) * columns;
    const real upstream = dnll[r];
    real sum = 0;
    for (int c = lane; c < columns; c += LANES) {
        const real logit = row[c], t = exp_of(minus_abs(logit));
        sum += loss_of(logit, t, pixel[c]);
        da[i64(r) * columns + c] = upstream * (sigmoid_by(logit, t) - pixel[c]);
    }
    sum = warp_sum(sum);
    if (lane == 0) nll[r] = sum;
}
