// The latent head as ops: reparameterise, KL, and both their gradients, one thread per (b, j).
#include "common.cuh"
#include "latent_math.cuh"

// z (L, BJ) and kl (BJ,) from mu, logvar (BJ,) and eps (L, BJ); either output may be null  (E26, E15)
extern "C" __global__ void latent_forward(const real* mu, const real* logvar, const real* eps,
                                          real* z, real* kl, i64 n, int draws) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real m = mu[i], s = logvar[i];
    if (kl) kl[i] = kl_of(m, s);
    if (!z) return;
    const real sigma = deviation(s);
    for (int l = 0; l < draws; ++l) z[l * n + i] = m + sigma * eps[l * n + i];
}

// dmu, dlogvar (BJ,) from dz (L, BJ) and dkl (BJ,); a null upstream counts as 0            (E27, E16)
extern "C" __global__ void latent_backward(const real* dz, const real* dkl, const real* mu,
                                           const real* logvar, const real* eps, real* dmu,
                                           real* dlogvar, i64 n, int draws) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const real s = logvar[i];
    real to_mu = 0, to_logvar = 0;
    if (dz) {
        for (int l = 0; l < draws; ++l) {
            to_mu += dz[l * n + i];
            to_logvar += dz[l * n + i] * eps[l * n + i];
        }
        to_logvar *= real(0.5) * deviation(s);
    }
    if (dkl) {
        to_mu += dkl[i] * mu[i];
        to_logvar += dkl[i] * dkl_dlogvar(s);
    }
    dmu[i] = to_mu;
    dlogvar[i] = to_logvar;
}

// max(floor, mean KL) of every latent dimension, and its gradient: none below the floor      (E31)
extern "C" __global__ void free_bits_forward(const real* kl_mean, real floor, real* out, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) out[i] = kl_mean[i] < floor ? floor : kl_mean[i];
}

extern "C" __global__ void free_bits_backward(const real* dout, const real* kl_mean, real floor,
                                              real* dkl_mean, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) dkl_mean[i] = kl_mean[i] < floor ? real(0) : dout[i];
}
