// The Bernoulli likelihood on the way to gpu/cuda/likelihood.cu: kept for teaching and racing.
//
// a (draws, batch, columns), x (batch, columns). The grid says which row and columns a thread has:
// to find them by dividing would cost more than what the rungs compare.
#include "common.cuh"

// Which pixel of x a thread has: rows of x by columns of 256.
struct Pixel {
    int b, c;
    i64 at;
    bool inside;
    __device__ Pixel(int columns) {
        b = blockIdx.x;
        c = blockIdx.y * blockDim.x + threadIdx.x;
        at = i64(b) * columns + c;
        inside = c < columns;
    }
};

// One thread, one pixel of every draw: the terms of the loss                              (E23)
extern "C" __global__ void nll_terms_rung(const real* __restrict__ a, const real* __restrict__ x,
                                          real* __restrict__ term, int draws, int batch,
                                          int columns) {
    const Pixel mine(columns);
    if (!mine.inside) return;
    for (int l = 0; l < draws; ++l) {
        const i64 i = i64(l) * batch * columns + mine.at;
        const real logit = a[i];
        term[i] = (logit > 0 ? logit : real(0)) + log1p_of(exp_of(minus_abs(logit))) -
                  x[mine.at] * logit;
    }
}

// One thread, one pixel of every draw: the gradient                                       (E24)
extern "C" __global__ void nll_slope_rung(const real* __restrict__ dnll,
                                          const real* __restrict__ a, const real* __restrict__ x,
                                          real* __restrict__ da, int draws, int batch,
                                          int columns) {
    const Pixel mine(columns);
    if (!mine.inside) return;
    for (int l = 0; l < draws; ++l) {
        const i64 i = i64(l) * batch * columns + mine.at;
        const real t = exp_of(minus_abs(a[i]));
        da[i] = dnll[l * batch + mine.b] * ((a[i] > 0 ? real(1) : t) / (1 + t) - x[mine.at]);
    }
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
    const Pixel mine(columns);
    if (!mine.inside) return;
    for (int l = 0; l < draws; ++l) {
        const i64 i = i64(l) * batch * columns + mine.at;
        const real logit = a[i], pixel = x[mine.at], t = exp_of(minus_abs(logit));
        term[i] = (logit > 0 ? logit : real(0)) + log1p_of(t) - pixel * logit;
        da[i] = dnll[l * batch + mine.b] * ((logit > 0 ? real(1) : t) / (1 + t) - pixel);
    }
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
        sum += (logit > 0 ? logit : real(0)) + log1p_of(t) - pixel[c] * logit;
        da[i64(r) * columns + c] = upstream * ((logit > 0 ? real(1) : t) / (1 + t) - pixel[c]);
    }
    sum = warp_sum(sum);
    if (lane == 0) nll[r] = sum;
}
