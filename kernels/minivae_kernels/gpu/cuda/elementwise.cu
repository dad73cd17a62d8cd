// Elementwise functions and their derivatives: a grid walks an array four numbers at a time.
//
// Arrays off the 16-byte grid (vec = 0) and the last few numbers of a length that four does not
// divide go singly.
#include "common.cuh"
#include "activation.cuh"

// One thread's share of out = f(a): quads first, then the rest one by one.
template <typename F>
__device__ inline void map_one(const real* a, real* out, i64 n, int vec, F f) {
    const i64 start = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    const i64 quads = vec ? n / WIDTH : 0;
    i64 q = start;
    for (; q + stride < quads; q += 2 * stride) {  // two reads under way: one leaves memory idle
        Quad x = reinterpret_cast<const Quad*>(a)[q];
        Quad y = reinterpret_cast<const Quad*>(a)[q + stride];
        for (int i = 0; i < WIDTH; ++i) x.v[i] = f(x.v[i]), y.v[i] = f(y.v[i]);
        reinterpret_cast<Quad*>(out)[q] = x;
        reinterpret_cast<Quad*>(out)[q + stride] = y;
    }
    if (q < quads) {
        Quad x = reinterpret_cast<const Quad*>(a)[q];
        for (int i = 0; i < WIDTH; ++i) x.v[i] = f(x.v[i]);
        reinterpret_cast<Quad*>(out)[q] = x;
    }
    for (i64 i = quads * WIDTH + start; i < n; i += stride) out[i] = f(a[i]);
}

// The same for out = f(dy, x).
template <typename F>
__device__ inline void map_two(const real* dy, const real* a, real* out, i64 n, int vec, F f) {
    const i64 start = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    const i64 quads = vec ? n / WIDTH : 0;
    i64 q = start;
    for (; q + stride < quads; q += 2 * stride) {  // two reads of each array under way, as above
        const Quad d = reinterpret_cast<const Quad*>(dy)[q];
        const Quad e = reinterpret_cast<const Quad*>(dy)[q + stride];
        Quad x = reinterpret_cast<const Quad*>(a)[q];
        Quad y = reinterpret_cast<const Quad*>(a)[q + stride];
        for (int i = 0; i < WIDTH; ++i) x.v[i] = f(d.v[i], x.v[i]), y.v[i] = f(e.v[i], y.v[i]);
        reinterpret_cast<Quad*>(out)[q] = x;
        reinterpret_cast<Quad*>(out)[q + stride] = y;
    }
    if (q < quads) {
        const Quad d = reinterpret_cast<const Quad*>(dy)[q];
        Quad x = reinterpret_cast<const Quad*>(a)[q];
        for (int i = 0; i < WIDTH; ++i) x.v[i] = f(d.v[i], x.v[i]);
        reinterpret_cast<Quad*>(out)[q] = x;
    }
    for (i64 i = quads * WIDTH + start; i < n; i += stride) out[i] = f(dy[i], a[i]);
}

#define LOGVAR_BOUND real(40)

// The kernels: NAME(x) or NAME(dy, x), each with its equation in MATHS.md. An activation that has no
// line here gets two from ../sources.py, by activated() and gradient_at().
#define FORWARD(NAME, EXPRESSION)                                                        \
    extern "C" __global__ void NAME(const real* __restrict__ a, real* __restrict__ out,  \
                                    i64 n, int vec) {                                    \
        map_one(a, out, n, vec, [](real x) -> real { return EXPRESSION; });              \
    }
#define BACKWARD(NAME, EXPRESSION)                                                       \
    extern "C" __global__ void NAME(const real* __restrict__ dy,                         \
                                    const real* __restrict__ a, real* __restrict__ out,  \
                                    i64 n, int vec) {                                    \
        map_two(dy, a, out, n, vec, [](real d, real x) -> real { return EXPRESSION; });  \
    }

FORWARD(relu_forward, x <= 0 ? real(0) : x)                                           // (E7)
BACKWARD(relu_backward, x <= 0 ? real(0) : d)                                         // (E7)
FORWARD(tanh_forward, tanh_of(x))                                                     // (E8)
BACKWARD(tanh_backward, d * (4 * bell_of(exp_of(2 * minus_abs(x)))))                  // (E8)
BACKWARD(dense_tanh_backward, d * ((1 - x) * (1 + x)))                                // (E8), x is y
FORWARD(sigmoid_forward, sigmoid_of(x))                                               // (E22)
BACKWARD(sigmoid_backward, d * bell_of(exp_of(minus_abs(x))))                         // (E22)
FORWARD(softplus_forward, (x > 0 ? x : real(0)) + log1p_of(exp_of(minus_abs(x))))     // (E22)
BACKWARD(softplus_backward, d * sigmoid_of(x))                                        // (E22)
FORWARD(bound_logvar_forward,                                                         // (E25)
        x > LOGVAR_BOUND ? LOGVAR_BOUND : (x < -LOGVAR_BOUND ? -LOGVAR_BOUND : x))
BACKWARD(bound_logvar_backward, x > LOGVAR_BOUND || x < -LOGVAR_BOUND ? real(0) : d)  // (E25)
