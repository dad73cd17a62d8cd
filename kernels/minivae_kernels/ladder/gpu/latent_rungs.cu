// The latent head on the way to gpu/cuda/latent.cu: kept for teaching and racing.
#include "common.cuh"
#include "latent_math.cuh"

// One thread, one number: the draw                                                        (E26)
extern "C" __global__ void draw_rung(const real* mu, const real* logvar, const real* eps, real* z,
                                     i64 n, int draws) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n * draws) z[i] = mu[i % n] + deviation(logvar[i % n]) * eps[i];
}

// One thread, one number: its price                                                       (E15)
extern "C" __global__ void price_rung(const real* mu, const real* logvar, real* kl, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) kl[i] = kl_of(mu[i], logvar[i]);
}

// One thread, one (b, j): both, so mu and logvar are read once and sigma is made once for all draws.
extern "C" __global__ void head_rung(const real* mu, const real* logvar, const real* eps, real* z,
                                     real* kl, i64 n, int draws) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real m = mu[i], s = logvar[i], sigma = deviation(s);
    kl[i] = kl_of(m, s);
    for (int l = 0; l < draws; ++l) z[l * n + i] = m + sigma * eps[l * n + i];
}
