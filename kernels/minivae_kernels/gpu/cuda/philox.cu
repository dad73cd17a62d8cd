// Random words, uniforms and normals as arrays: one thread makes one Philox block of four.
#include "common.cuh"
#include "philox.cuh"

// Raw words for given counters (n, 4)                                                     (E34)
extern "C" __global__ void philox_words(const u32* __restrict__ counter, u32* __restrict__ out,
                                        i64 n, u32 k0, u32 k1) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const u32* c = counter + 4 * i;
    const Words block = philox_block(c[0], c[1], c[2], c[3], k0, k1);
    for (int w = 0; w < 4; ++w) out[4 * i + w] = block.w[w];
}

struct alignas(16) Floats {  // whatever REAL is
    float v[4];
};

// n uniforms (normal = 0) or normals (normal = 1) for each of the samples: out (count, n)  (E35, E36)
extern "C" __global__ void noise(const i64* __restrict__ samples, float* __restrict__ out,
                                 i64 count, int n, u32 step, u32 stream, u32 k0, u32 k1,
                                 int normal) {
    const int blocks = (n + 3) / 4;
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count * blocks) return;
    const i64 sample = divided(i, blocks);
    const int block = int(i - sample * blocks);
    const Words words = philox_block(u32(block), u32(samples[sample]), step, stream, k0, k1);
    Floats value;
    if (normal) {
        const Pair low = box_muller(words.w[0], words.w[1]), high = box_muller(words.w[2], words.w[3]);
        value = {{low.first, low.second, high.first, high.second}};
    } else {
        for (int w = 0; w < 4; ++w) value.v[w] = uniform_of(words.w[w]);
    }
    float* to = out + sample * n + 4 * block;
    if (n % 4 == 0) {  // out begins on the 16-byte grid, so every four do
        *reinterpret_cast<Floats*>(to) = value;
        return;
    }
    for (int w = 0; w < 4; ++w)
        if (4 * block + w < n) to[w] = value.v[w];
}
