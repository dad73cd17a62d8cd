// The latent head as ops: reparameterise, KL, and both their gradients, four (b, j) a thread.
#include "common.cuh"
#include "latent_math.cuh"

// A thread's share of an array: four neighbours, moved at once, where vec allows it, else one.
// The arithmetic is always done on four, so that a Quad stays in registers; three may be idle zeros.
struct Fours {
    i64 at;
    bool inside, whole;
    __device__ Fours(i64 n, int vec) {
        const i64 thread = i64(blockIdx.x) * blockDim.x + threadIdx.x;
        whole = vec;
        at = vec ? thread * WIDTH : thread;
        inside = at < n;
    }
    __device__ Quad load(const real* a) const {
        if (whole) return *reinterpret_cast<const Quad*>(a + at);
        Quad q = {{a[at], 0, 0, 0}};
        return q;
    }
    __device__ void store(real* a, const Quad& q) const {
        if (whole)
            *reinterpret_cast<Quad*>(a + at) = q;
        else
            a[at] = q.v[0];
    }
};

// z (L, BJ) and kl (BJ,) from mu, logvar (BJ,) and eps (L, BJ); either output may be null  (E26, E15)
// vec: four numbers a thread; needs BJ a multiple of four.
extern "C" __global__ void latent_forward(const real* __restrict__ mu,
                                          const real* __restrict__ logvar,
                                          const real* __restrict__ eps, real* __restrict__ z,
                                          real* __restrict__ kl, i64 n, int draws, int vec) {
    const Fours mine(n, vec);
    if (!mine.inside) return;
    const Quad m = mine.load(mu), s = mine.load(logvar);
    Quad out;
    if (kl) {
        for (int i = 0; i < WIDTH; ++i) out.v[i] = kl_of(m.v[i], s.v[i]);
        mine.store(kl, out);
    }
    if (!z) return;
    Quad sigma;
    for (int i = 0; i < WIDTH; ++i) sigma.v[i] = deviation(s.v[i]);
    for (int l = 0; l < draws; ++l) {
        const Quad e = mine.load(eps + l * n);
        for (int i = 0; i < WIDTH; ++i) out.v[i] = m.v[i] + sigma.v[i] * e.v[i];
        mine.store(z + l * n, out);
    }
}

// dmu, dlogvar (BJ,) from dz (L, BJ) and dkl (BJ,); a null upstream counts as 0            (E27, E16)
extern "C" __global__ void latent_backward(const real* __restrict__ dz,
                                           const real* __restrict__ dkl,
                                           const real* __restrict__ mu,
                                           const real* __restrict__ logvar,
                                           const real* __restrict__ eps, real* __restrict__ dmu,
                                           real* __restrict__ dlogvar, i64 n, int draws, int vec) {
    const Fours mine(n, vec);
    if (!mine.inside) return;
    const Quad s = mine.load(logvar);
    Quad to_mu = {{0, 0, 0, 0}}, to_logvar = {{0, 0, 0, 0}};
    if (dz) {
        for (int l = 0; l < draws; ++l) {
            const Quad d = mine.load(dz + l * n), e = mine.load(eps + l * n);
            for (int i = 0; i < WIDTH; ++i) {
                to_mu.v[i] += d.v[i];
                to_logvar.v[i] += d.v[i] * e.v[i];
            }
        }
        for (int i = 0; i < WIDTH; ++i) to_logvar.v[i] *= real(0.5) * deviation(s.v[i]);
    }
    if (dkl) {
        const Quad d = mine.load(dkl), m = mine.load(mu);
        for (int i = 0; i < WIDTH; ++i) {
            to_mu.v[i] += d.v[i] * m.v[i];
            to_logvar.v[i] += d.v[i] * dkl_dlogvar(s.v[i]);
        }
    }
    mine.store(dmu, to_mu);
    mine.store(dlogvar, to_logvar);
}

// max(floor, mean KL) of every latent dimension, and its gradient: none below the floor      (E31)
extern "C" __global__ void free_bits_forward(const real* __restrict__ kl_mean, real floor,
                                             real* __restrict__ out, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) out[i] = kl_mean[i] < floor ? floor : kl_mean[i];
}

extern "C" __global__ void free_bits_backward(const real* __restrict__ dout,
                                              const real* __restrict__ kl_mean, real floor,
                                              real* __restrict__ dkl_mean, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) dkl_mean[i] = kl_mean[i] < floor ? real(0) : dout[i];
}
