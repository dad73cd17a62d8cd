// From the stored data to a batch: pick rows, cast, scale, and draw black or white for every pixel.
#include "common.cuh"
#include "counters.cuh"
#include "philox.cuh"

// Four neighbours of any type, moved at once.
template <typename T>
struct alignas(sizeof(T) == 8 ? 16 : 4 * sizeof(T)) Four {
    T v[WIDTH];
};

template <typename Stored, typename Out>
__device__ inline Out pixel(Stored stored, Out scale, int draw, u32 word) {
    const Out grey = Out(stored) * scale;
    return draw ? (uniform_of(word) < grey ? Out(1) : Out(0)) : grey;
}

// One thread makes four neighbouring pixels of one datum, the four that share a Philox block.
// counters null: rows (batch,) and step as given. Otherwise rows is the whole call's (n, batch)
// and the counters say which update this is. data and x begin on the 16-byte grid.
template <typename Stored, typename Out>
__device__ inline void gather_pass(const Stored* data, const i64* rows, Out* x, Out scale,
                                   const i64* counters, int batch, int columns, int draw, u32 step,
                                   u32 stream, u32 k0, u32 k1) {
    const int quads = (columns + WIDTH - 1) / WIDTH;
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= i64(batch) * quads) return;
    const i64 b = divided(i, quads);
    const int quad = int(i - b * quads);
    const i64 row = rows[(counters ? counters[CALL] * batch : 0) + b];
    Words words = {{0, 0, 0, 0}};
    if (draw)
        words = philox_block(u32(quad), u32(row), counters ? u32(counters[NOW]) : step, stream, k0, k1);
    const i64 from = row * columns + quad * WIDTH, to = b * columns + quad * WIDTH;
    Four<Out> value;
    if (columns % WIDTH == 0) {  // every row starts on the grid, and the last quad is whole
        const Four<Stored> four = *reinterpret_cast<const Four<Stored>*>(data + from);
        for (int w = 0; w < WIDTH; ++w) value.v[w] = pixel(four.v[w], scale, draw, words.w[w]);
        *reinterpret_cast<Four<Out>*>(x + to) = value;
        return;
    }
    for (int w = 0; w < WIDTH && quad * WIDTH + w < columns; ++w)
        x[to + w] = pixel(data[from + w], scale, draw, words.w[w]);
}

// Bytes become float32, whatever REAL is                                                  (E35)
extern "C" __global__ void gather_u8(const u8* __restrict__ data, const i64* __restrict__ rows,
                                     float* __restrict__ x, float scale,
                                     const i64* __restrict__ counters, int batch, int columns,
                                     int draw, u32 step, u32 stream, u32 k0, u32 k1) {
    gather_pass(data, rows, x, scale, counters, batch, columns, draw, step, stream, k0, k1);
}

extern "C" __global__ void gather_real(const real* __restrict__ data,
                                       const i64* __restrict__ rows, real* __restrict__ x,
                                       real scale, const i64* __restrict__ counters, int batch,
                                       int columns, int draw, u32 step, u32 stream, u32 k0,
                                       u32 k1) {
    gather_pass(data, rows, x, scale, counters, batch, columns, draw, step, stream, k0, k1);
}

// out = 1 where u < x, else 0                                                              (E35)
extern "C" __global__ void binarise(const real* __restrict__ x, const real* __restrict__ u,
                                    real* __restrict__ out, i64 n) {
    const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) out[i] = u[i] < x[i] ? real(1) : real(0);
}
