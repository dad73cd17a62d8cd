// Enough of CUDA C for g++: the kernels' own text, run on the host one fibre per thread.
//
// Blocks run one after another; inside a block every thread is a fibre that runs until it meets a
// barrier or a shuffle. What this shows: the arithmetic, the indexing, the barriers and the shuffles.
// What it cannot show: the card's own exp and log, memory coalescing, speed, and races that the
// orders tried here (ascending, descending, shuffled) happen not to bring out.
#pragma once
#include <cmath>
#include <cstring>
#include <utility>

#define __global__
#define __device__
#define __launch_bounds__(...)
// All shared memory lies in one section, so that it can be filled with NaN before every block.
#define __shared__ static __attribute__((section("minivae_shared")))

struct Three {
    unsigned int x, y, z;
};
extern Three threadIdx, blockIdx, blockDim, gridDim;

namespace shim {
void at_block_barrier();
void at_warp_barrier();
extern unsigned long long slot[32][32];  // [warp][lane]: what a lane offers in a shuffle
[[noreturn]] void fail(const char* what);
}  // namespace shim

inline void __syncthreads() { shim::at_block_barrier(); }
inline void __syncwarp() { shim::at_warp_barrier(); }

// Every lane offers its value, then takes its partner's; no lane may offer anew before all have taken.
template <typename T>
T __shfl_xor_sync(unsigned int mask, T value, int apart) {
    if (mask != 0xffffffffu) shim::fail("a shuffle of less than a whole warp");
    const unsigned int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    std::memcpy(&shim::slot[warp][lane], &value, sizeof value);
    shim::at_warp_barrier();
    T other;
    std::memcpy(&other, &shim::slot[warp][lane ^ unsigned(apart)], sizeof other);
    shim::at_warp_barrier();
    return other;
}

inline unsigned int __umulhi(unsigned int a, unsigned int b) {
    return static_cast<unsigned int>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned int __float_as_uint(float x) {
    unsigned int bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned int bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
// Each rounds by itself, whatever the compiler may contract: it cannot see through an asm.
inline float alone(float x) {
    __asm__("" : "+x"(x));
    return x;
}
inline float __fmul_rn(float a, float b) { return alone(a * b); }
inline float __fadd_rn(float a, float b) { return alone(a + b); }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __uint2float_rn(unsigned int a) { return static_cast<float>(a); }
inline float __int2float_rn(int a) { return static_cast<float>(a); }
inline int min(int a, int b) { return a < b ? a : b; }

// A kernel of any signature, called with an array of pointers to its arguments, as the driver does.
template <auto F>
struct Call;
template <typename... A, void (*F)(A...)>
struct Call<F> {
    template <std::size_t... I>
    static void with(void** args, std::index_sequence<I...>) {
        F(*static_cast<A*>(args[I])...);
    }
    static void run(void** args) { with(args, std::index_sequence_for<A...>{}); }
};
