// Adam and gradient descent over the one flat buffer, in place; as ops and for the captured step.
#include "common.cuh"
#include "counters.cuh"

// The constants of one call, rounded from double where the reference rounds them.
struct Adam {
    real beta1, rest1, beta2, rest2, rate, correct, eps;
    // m and v are running means of g and g^2, corrected for their start at zero            (E33)
    __device__ void operator()(real& theta, real g, real& m, real& v) const {
        m = beta1 * m + rest1 * g;
        v = beta2 * v + rest2 * (g * g);
        theta -= rate * m / (sqrt_of(v * correct) + eps);
    }
};

struct Descent {  // (E32); m is the velocity
    real rate, momentum;
    __device__ void operator()(real& theta, real g, real& m, real&) const {
        m = momentum * m + g;
        theta -= rate * m;
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
                                       real rest1, real beta2, real rest2, real rate,
                                       real correct, real eps, i64 n, int vec) {
    const Adam rule = {beta1, rest1, beta2, rest2, rate, correct, eps};
    walk(rule, theta, grad, m, v, n, vec);
}

extern "C" __global__ void sgd_update(real* __restrict__ theta, const real* __restrict__ grad,
                                      real* __restrict__ velocity, real rate, real momentum,
                                      i64 n, int vec) {
    const Descent rule = {rate, momentum};
    walk(rule, theta, grad, velocity, nullptr, n, vec);
}

// The same inside a graph: rates = (rate, correct) were left by loss_finish for this very update,
// and an update whose loss is not finite (LIVE = 0) moves nothing.
extern "C" __global__ void adam_step(real* __restrict__ theta, const real* __restrict__ grad,
                                     real* __restrict__ m, real* __restrict__ v, real beta1,
                                     real rest1, real beta2, real rest2,
                                     const real* __restrict__ rates, real eps,
                                     const i64* __restrict__ counters, i64 n, int vec) {
    if (!counters[LIVE]) return;
    const Adam rule = {beta1, rest1, beta2, rest2, rates[0], rates[1], eps};
    walk(rule, theta, grad, m, v, n, vec);
}

extern "C" __global__ void sgd_step(real* __restrict__ theta, const real* __restrict__ grad,
                                    real* __restrict__ velocity, const real* __restrict__ rates,
                                    real momentum, const i64* __restrict__ counters, i64 n,
                                    int vec) {
    if (!counters[LIVE]) return;
    const Descent rule = {rates[0], momentum};
    walk(rule, theta, grad, velocity, nullptr, n, vec);
}
