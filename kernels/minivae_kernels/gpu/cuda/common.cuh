// What every kernel file shares: the number type, four columns to a lane, sums in a fixed order.
//
// A file is compiled once with REAL = float (training) and, when float64 arrays turn up, once more
// with REAL = double; nothing else differs. The host build (../host) compiles the same text with g++.
//
// The one-pass kernels share a shape. A block has 8 warps of 32 lanes and owns 128 columns of some
// rows. A warp walks down its rows (warp, warp + 8, ...), a lane holds 4 columns; so one read of a
// matrix gives row sums (across the lanes of a warp) and column sums (down the rows) together.
// No atomics: every partial sum has its own place and every sum its own order, whatever the card
// does first, so the bits are the same in every run.
#ifndef REAL
#define REAL float
#endif
typedef REAL real;
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define LANES 32
#define WARPS 8
#define THREADS (LANES * WARPS)
#define WIDTH 4
#define TILE (LANES * WIDTH)
#define FULL_WARP 0xffffffffu

// Four neighbouring numbers, moved as one 16-byte access (two for double).
struct alignas(16) Quad {
    real v[WIDTH];
};

// The functions of the number type at hand; the float ones are the accurate, not the fast ones.
#define FUNCTION_OF(NAME, OF_C)                                        \
    __device__ inline float NAME##_of(float x) { return OF_C##f(x); }  \
    __device__ inline double NAME##_of(double x) { return OF_C(x); }
FUNCTION_OF(exp, exp)
FUNCTION_OF(expm1, expm1)
FUNCTION_OF(ln, log)
FUNCTION_OF(log1p, log1p)
FUNCTION_OF(tanh, tanh)
FUNCTION_OF(erfc, erfc)
FUNCTION_OF(sqrt, sqrt)
#undef FUNCTION_OF

// i / n for i >= 0: in 32 bits where that will do, for 64 take a hundred instructions.
__device__ inline i64 divided(i64 i, int n) {
    return i <= 0xffffffffll ? i64(u32(i) / u32(n)) : i / n;
}

// -|x|, with NaN staying NaN (fabs and the comparison agree on everything else).
__device__ inline real minus_abs(real x) { return x > 0 ? -x : x; }

// Where the i-th of a lane's columns lies. With vector access the four are neighbours; without,
// they are 32 apart, so that the lanes of a warp still read neighbours together.
__device__ inline int column_of(int first, int lane, int i, int vec) {
    return first + (vec ? lane * WIDTH + i : lane + i * LANES);
}

// A lane's four columns of one row; columns past the end read as 0.
__device__ inline Quad load_columns(const real* row, int first, int lane, int columns, int vec) {
    Quad q;
    if (vec) {
        const int c = first + lane * WIDTH;
        if (c < columns) return *reinterpret_cast<const Quad*>(row + c);
        for (int i = 0; i < WIDTH; ++i) q.v[i] = 0;
        return q;
    }
    for (int i = 0; i < WIDTH; ++i) {
        const int c = column_of(first, lane, i, 0);
        q.v[i] = c < columns ? row[c] : real(0);
    }
    return q;
}

__device__ inline void store_columns(real* row, const Quad& q, int first, int lane, int columns,
                                     int vec) {
    if (vec) {
        const int c = first + lane * WIDTH;
        if (c < columns) *reinterpret_cast<Quad*>(row + c) = q;
        return;
    }
    for (int i = 0; i < WIDTH; ++i) {
        const int c = column_of(first, lane, i, 0);
        if (c < columns) row[c] = q.v[i];
    }
}

// The sum over a warp, the same bits in every lane: a butterfly, and a + b is b + a.
template <typename T>
__device__ inline T warp_sum(T value) {
    for (int apart = LANES / 2; apart > 0; apart /= 2)
        value += __shfl_xor_sync(FULL_WARP, value, apart);
    return value;
}

template <typename T>
__device__ inline T warp_max(T value) {
    for (int apart = LANES / 2; apart > 0; apart /= 2) {
        const T other = __shfl_xor_sync(FULL_WARP, value, apart);
        value = other > value ? other : value;
    }
    return value;
}

// The sum over a block of THREADS threads: warps by butterfly, then the warps one after another.
// Every thread of the block must call it, and every thread gets the result.
template <typename T>
__device__ inline T block_sum(T value) {
    __shared__ T of_warp[WARPS];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    value = warp_sum(value);
    __syncthreads();  // an earlier call's readers are done
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    T sum = 0;
    for (int w = 0; w < WARPS; ++w) sum += of_warp[w];
    return sum;
}

// Add up what the block's 8 warps hold for its 128 columns and write one row of partial sums.
// Every thread of the block must call it.
__device__ inline void write_column_sums(const Quad& mine, real* part_row, int first, int columns,
                                         int vec) {
    __shared__ Quad held[WARPS][LANES];  // column c is number c % 4 of quad c / 4
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    __syncthreads();
    if (vec)  // as one access: four by single numbers, and lanes 8 apart would meet in one bank
        held[warp][lane] = mine;
    else
        for (int i = 0; i < WIDTH; ++i) {
            const int c = column_of(0, lane, i, 0);
            held[warp][c / WIDTH].v[c % WIDTH] = mine.v[i];
        }
    __syncthreads();
    const int c = threadIdx.x;
    if (c < TILE && first + c < columns) {
        real sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += held[w][c / WIDTH].v[c % WIDTH];
        part_row[first + c] = sum;
    }
}
