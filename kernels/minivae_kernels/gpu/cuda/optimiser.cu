// The optimisers over the one flat buffer, in place; as ops and for the captured step.
#include "common.cuh"
#include "counters.cuh"

// The constants of one call, rounded from double where the reference rounds them.
struct Adam {
    real beta1, rest1, beta2, rest2, eps, rate, correct;
    // m and v are running means of g and g^2, corrected for their start at zero            (E33)
    __device__ void operator()(real& theta, real g, real& m, real& v) const {
        m = beta1 * m + rest1 * g;
        v = beta2 * v + rest2 * (g * g);
        theta -= rate * m / (sqrt_of(v * correct) + eps);
    }
};

struct AdamW {  // (E59): the parameters shrink first, by themselves
    Adam adam;
    real rest;
    __device__ void operator()(real& theta, real g, real& m, real& v) const {
        theta *= rest;
        adam(theta, g, m, v);
    }
};

struct Descent {  // (E32); m is the velocity
    real momentum, rate;
    __device__ void operator()(real& theta, real g, real& m, real&) const {
        m = momentum * m + g;
        theta -= rate * m;
    }
};

struct Adagrad {  // (E58); m is the sum of all g^2
    real eps, rate;
    __device__ void operator()(real& theta, real g, real& m, real&) const {
        m += g * g;
        theta -= rate * (g / (sqrt_of(m) + eps));
    }
};

struct RMSprop {  // (E60); m is the running mean of g^2
    real decay, rest, eps, rate;
    __device__ void operator()(real& theta, real g, real& m, real&) const {
        m = decay * m + rest * (g * g);
        theta -= rate * (g / (sqrt_of(m) + eps));
    }
};

// One thread walks the buffer four numbers at a time; v is null for plain descent.
template <typename Rule>
__device__ inline void walk(const Rule& rule, real* theta, const real* grad, real* m, real* v, i64 n,
                            int vec) {
    const i64 start = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    const i64 quads = vec ? n / WIDTH : 0;
    for (i64 q = start; q < quads; q += stride) {
        const Quad g = reinterpret_cast<const Quad*>(grad)[q];
        Quad th = reinterpret_cast<Quad*>(theta)[q], first = reinterpret_cast<Quad*>(m)[q];
        Quad second = {{0, 0, 0, 0}};
        if (v) second = reinterpret_cast<Quad*>(v)[q];
        for (int i = 0; i < WIDTH; ++i) rule(th.v[i], g.v[i], first.v[i], second.v[i]);
        reinterpret_cast<Quad*>(theta)[q] = th;
        reinterpret_cast<Quad*>(m)[q] = first;
        if (v) reinterpret_cast<Quad*>(v)[q] = second;
    }
    for (i64 i = quads * WIDTH + start; i < n; i += stride) {
        real none = 0;
        rule(theta[i], grad[i], m[i], v ? v[i] : none);
    }
}

extern "C" __global__ void adam_update(real* __restrict__ theta, const real* __restrict__ grad,
                                       real* __restrict__ m, real* __restrict__ v, real beta1,
                                       real rest1, real beta2, real rest2, real eps, real rate,
                                       real correct, i64 n, int vec) {
    const Adam rule = {beta1, rest1, beta2, rest2, eps, rate, correct};
    walk(rule, theta, grad, m, v, n, vec);
}

extern "C" __global__ void adamw_update(real* __restrict__ theta, const real* __restrict__ grad,
                                        real* __restrict__ m, real* __restrict__ v, real beta1,
                                        real rest1, real beta2, real rest2, real eps, real rate,
                                        real correct, real rest, i64 n, int vec) {
    const AdamW rule = {{beta1, rest1, beta2, rest2, eps, rate, correct}, rest};
    walk(rule, theta, grad, m, v, n, vec);
}

extern "C" __global__ void sgd_update(real* __restrict__ theta, const real* __restrict__ grad,
                                      real* __restrict__ m, real momentum, real rate, i64 n,
                                      int vec) {
    const Descent rule = {momentum, rate};
    walk(rule, theta, grad, m, nullptr, n, vec);
}

extern "C" __global__ void adagrad_update(real* __restrict__ theta, const real* __restrict__ grad,
                                          real* __restrict__ m, real eps, real rate, i64 n,
                                          int vec) {
    const Adagrad rule = {eps, rate};
    walk(rule, theta, grad, m, nullptr, n, vec);
}

extern "C" __global__ void rmsprop_update(real* __restrict__ theta, const real* __restrict__ grad,
                                          real* __restrict__ m, real decay, real rest, real eps,
                                          real rate, i64 n, int vec) {
    const RMSprop rule = {decay, rest, eps, rate};
    walk(rule, theta, grad, m, nullptr, n, vec);
}

// The same inside a graph: rates = (rate, correct, rest) were left by loss_finish for this very update,
// and an update whose loss is not finite (LIVE = 0) moves nothing.
extern "C" __global__ void adam_step(real* __restrict__ theta, const real* __restrict__ grad,
                                     real* __restrict__ m, real* __restrict__ v, real beta1,
                                     real rest1, real beta2, real rest2, real eps,
                                     const real* __restrict__ rates,
                                     const i64* __restrict__ counters, i64 n, int vec) {
    const Adam rule = {beta1, rest1, beta2, rest2, eps, rates[0], rates[1]};
    if (counters[LIVE]) walk(rule, theta, grad, m, v, n, vec);
}

extern "C" __global__ void adamw_step(real* __restrict__ theta, const real* __restrict__ grad,
                                      real* __restrict__ m, real* __restrict__ v, real beta1,
                                      real rest1, real beta2, real rest2, real eps,
                                      const real* __restrict__ rates,
                                      const i64* __restrict__ counters, i64 n, int vec) {
    const AdamW rule = {{beta1, rest1, beta2, rest2, eps, rates[0], rates[1]}, rates[2]};
    if (counters[LIVE]) walk(rule, theta, grad, m, v, n, vec);
}

extern "C" __global__ void sgd_step(real* __restrict__ theta, const real* __restrict__ grad,
                                    real* __restrict__ m, real momentum,
                                    const real* __restrict__ rates,
                                    const i64* __restrict__ counters, i64 n, int vec) {
    if (counters[LIVE]) walk(Descent{momentum, rates[0]}, theta, grad, m, nullptr, n, vec);
}

extern "C" __global__ void rmsprop_step(real* __restrict__ theta, const real* __restrict__ grad,
                                        real* __restrict__ m, real decay, real rest, real eps,
                                        const real* __restrict__ rates,
                                        const i64* __restrict__ counters, i64 n, int vec) {
    if (counters[LIVE]) walk(RMSprop{decay, rest, eps, rates[0]}, theta, grad, m, nullptr, n, vec);
}

extern "C" __global__ void adagrad_step(real* __restrict__ theta, const real* __restrict__ grad,
                                        real* __restrict__ m, real eps,
                                        const real* __restrict__ rates,
                                        const i64* __restrict__ counters, i64 n, int vec) {
    if (counters[LIVE]) walk(Adagrad{eps, rates[0]}, theta, grad, m, nullptr, n, vec);
}
