// The latent head on the way to gpu/cuda/latent.cu: kept for teaching and racing.
#include "common.cuh"
#include "latent_math.cuh"

// One thread, one (b, j): the draws                                                       (E26)
extern "C" __global__ void draw_rung(const real* __restrict__ mu, const real* __restrict__ logvar,
                                     const real* __restrict__ eps, real* __restrict__ z, i64 n,
                                     int draws) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real m = mu[i], sigma = deviation(logvar[i]);
    for (int l = 0; l < draws; ++l) z[l * n + i] = m + sigma * eps[l * n + i];
}

// One thread, one (b, j): the price                                                       (E15)
extern "C" __global__ void price_rung(const real* __restrict__ mu, const real* __restrict__ logvar,
                                      real* __restrict__ kl, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) kl[i] = kl_of(mu[i], logvar[i]);
}

// One thread, one (b, j): both, so mu and logvar are read once.
extern "C" __global__ void head_rung(const real* __restrict__ mu, const real* __restrict__ logvar,
                                     const real* __restrict__ eps, real* __restrict__ z,
                                     real* __restrict__ kl, i64 n, int draws) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real m = mu[i], s = logvar[i], sigma = deviation(s);
    kl[i] = kl_of(m, s);
    for (int l = 0; l < draws; ++l) z[l * n + i] = m + sigma * eps[l * n + i];
}
