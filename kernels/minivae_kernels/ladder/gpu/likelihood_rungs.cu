// The Bernoulli likelihood on the way to gpu/cuda/likelihood.cu: kept for teaching and racing.
#include "common.cuh"

// One thread, one number: the terms of the loss                                           (E23)
extern "C" __global__ void nll_terms_rung(const real* a, const real* x, real* term, i64 n, i64 plane) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    term[i] = (a[i] > 0 ? a[i] : real(0)) + log1p_of(exp_of(minus_abs(a[i]))) - x[i % plane] * a[i];
}

// One thread, one number: the gradient                                                    (E24)
extern "C" __global__ void nll_slope_rung(const real* dnll, const real* a, const real* x, real* da,
                                          i64 n, i64 plane, int columns) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real t = exp_of(minus_abs(a[i]));
    da[i] = dnll[i / columns] * ((a[i] > 0 ? real(1) : t) / (1 + t) - x[i % plane]);
}

// One thread, one row: neighbouring threads read numbers a whole row apart.
extern "C" __global__ void row_sums_rung(const real* term, real* nll, int rows, int columns) {
    const int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    real sum = 0;
    for (int c = 0; c < columns; ++c) sum += term[i64(r) * columns + c];
    nll[r] = sum;
}

// One thread, one number, but loss and gradient from one exponential.
extern "C" __global__ void nll_both_rung(const real* dnll, const real* a, const real* x, real* term,
                                         real* da, i64 n, i64 plane, int columns) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real logit = a[i], pixel = x[i % plane], t = exp_of(minus_abs(logit));
    term[i] = (logit > 0 ? logit : real(0)) + log1p_of(t) - pixel * logit;
    da[i] = dnll[i / columns] * ((logit > 0 ? real(1) : t) / (1 + t) - pixel);
}

// One warp, one row: the terms stay in registers and are added across the lanes.
extern "C" __global__ void nll_warp_rung(const real* dnll, const real* a, const real* x, real* nll,
                                         real* da, int rows, int batch, int columns) {
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
