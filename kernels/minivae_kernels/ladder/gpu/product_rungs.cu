// The dense layer y = x W + b by hand, from one thread a number to tensor cores: for teaching and racing.
//
// x (rows, inner), W (inner, columns), b (columns,), y (rows, columns), all row-major. The product
// itself is cuBLAS's in the training step; what a tuned library does, in its simplest form.
#include "common.cuh"

// One thread, one number of y; the lanes of a warp are neighbours in a row.                     (E5)
extern "C" __global__ void product_naive_rung(const real* __restrict__ x,
                                              const real* __restrict__ W,
                                              const real* __restrict__ b, real* __restrict__ y,
                                              int inner, int columns) {
    const int r = blockIdx.x, c = blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= columns) return;
    real sum = 0;
    for (int k = 0; k < inner; ++k) sum += x[i64(r) * inner + k] * W[i64(k) * columns + c];
    y[i64(r) * columns + c] = sum + b[c];
}

#define SIDE 16  // of a tile, and of a block's threads

// 16 x 16 numbers of y a block: of x and W a tile at a time in shared memory, read 16 times there.
extern "C" __global__ void __launch_bounds__(THREADS)
product_tiled_rung(const real* __restrict__ x, const real* __restrict__ W,
                   const real* __restrict__ b, real* __restrict__ y, int rows, int inner,
                   int columns) {
    __shared__ real of_x[SIDE][SIDE], of_W[SIDE][SIDE];
    const int i = threadIdx.x / SIDE, j = threadIdx.x % SIDE;
    const int r = blockIdx.y * SIDE + i, c = blockIdx.x * SIDE + j;
    real sum = 0;
    for (int first = 0; first < inner; first += SIDE) {
        const int across = first + j, down = first + i;
        of_x[i][j] = r < rows && across < inner ? x[i64(r) * inner + across] : real(0);
        of_W[i][j] = down < inner && c < columns ? W[i64(down) * columns + c] : real(0);
        __syncthreads();
        for (int k = 0; k < SIDE; ++k) sum += of_x[i][k] * of_W[k][j];
        __syncthreads();  // everyone is done with the tiles
    }
    if (r < rows && c < columns) y[i64(r) * columns + c] = sum + b[c];
}

// From here on a block makes 128 x 64 numbers of y, a slab of 16 terms of their sums at a time.
#define BLOCK_ROWS 128
#define BLOCK_COLUMNS 64
#define DEPTH 16
#define EACH_ROWS 8     // of a thread, 16 x 16 threads
#define EACH_COLUMNS 4

struct alignas(16) Slab {
    real x[DEPTH][BLOCK_ROWS + WIDTH];  // turned: one term's rows are neighbours
    real W[DEPTH][BLOCK_COLUMNS];
};

// A thread's share of the next slab, on its way from memory.
struct Share {
    real x[BLOCK_ROWS * DEPTH / THREADS];
    real W[BLOCK_COLUMNS * DEPTH / THREADS];
};

// Which number of a tile is the e-th of this thread: by fours, or every 256th.
__device__ inline int spot(int e, int fours) {
    const int thread = threadIdx.x;
    return fours ? (e / WIDTH * THREADS + thread) * WIDTH + e % WIDTH : e * THREADS + thread;
}

// This thread's share of the tile, `wide` columns across, at (top, left) of a matrix; 0 outside it.
template <int wide, int count>
__device__ inline void fetch(real (&mine)[count], const real* from, int rows, int columns, int top,
                             int left, int fours) {
    if (fours) {
        for (int e = 0; e < count; e += WIDTH) {
            const int at = spot(e, 1), r = top + at / wide, c = left + at % wide;
            Quad q = {{0, 0, 0, 0}};
            if (r < rows && c < columns)
                q = *reinterpret_cast<const Quad*>(from + i64(r) * columns + c);
            for (int i = 0; i < WIDTH; ++i) mine[e + i] = q.v[i];
        }
        return;
    }
    for (int e = 0; e < count; ++e) {
        const int at = spot(e, 0), r = top + at / wide, c = left + at % wide;
        mine[e] = r < rows && c < columns ? from[i64(r) * columns + c] : real(0);
    }
}

__device__ inline void keep(Slab& slab, const Share& mine, int fours) {
    for (int e = 0; e < BLOCK_ROWS * DEPTH / THREADS; ++e) {  // turning: two lanes to a bank
        const int at = spot(e, fours);
        slab.x[at % DEPTH][at / DEPTH] = mine.x[e];
    }
    for (int e = 0; e < BLOCK_COLUMNS * DEPTH / THREADS; e += WIDTH) {
        if (fours) {
            const int at = spot(e, 1);
            const Quad q = {{mine.W[e], mine.W[e + 1], mine.W[e + 2], mine.W[e + 3]}};
            *reinterpret_cast<Quad*>(&slab.W[at / BLOCK_COLUMNS][at % BLOCK_COLUMNS]) = q;
            continue;
        }
        for (int i = 0; i < WIDTH; ++i) {
            const int at = spot(e + i, 0);
            slab.W[at / BLOCK_COLUMNS][at % BLOCK_COLUMNS] = mine.W[e + i];
        }
    }
}

// What a block multiplies: the matrices and where its tile of y begins.
struct Product {
    const real *x, *W, *b;
    real* y;
    int rows, inner, columns, top, left;

    __device__ void fetch_slab(Share& share, int first, int fours) const {
        fetch<DEPTH>(share.x, x, rows, inner, top, first, fours);
        fetch<BLOCK_COLUMNS>(share.W, W, inner, columns, first, left, fours);
    }
    __device__ void put(int row, int column, real sum) const {
        const int r = top + row, c = left + column;
        if (r < rows && c < columns) y[i64(r) * columns + c] = sum + b[c];
    }
};

// A thread's numbers of y in registers: 12 are read from shared memory for 32 multiply-adds.
// fours: its rows and columns are neighbours, read by fours; else they are 16 apart.
template <int fours>
struct Registers {
    real sum[EACH_ROWS][EACH_COLUMNS] = {};

    template <int count>
    __device__ static void take(real (&mine)[count], const real* row, int thread) {
        for (int e = 0; e < count; ++e) mine[e] = row[place<count>(e, thread)];
    }
    template <int count>
    __device__ static int place(int e, int thread) {
        return fours ? thread * count + e : thread + e * SIDE;
    }
    __device__ void add(const Slab& slab) {
        for (int k = 0; k < DEPTH; ++k) {
            real a[EACH_ROWS], b[EACH_COLUMNS];
            take(a, slab.x[k], threadIdx.x / SIDE);
            take(b, slab.W[k], threadIdx.x % SIDE);
            for (int p = 0; p < EACH_ROWS; ++p)
                for (int q = 0; q < EACH_COLUMNS; ++q) sum[p][q] += a[p] * b[q];
        }
    }
    __device__ void write(const Product& of) const {
        for (int p = 0; p < EACH_ROWS; ++p)
            for (int q = 0; q < EACH_COLUMNS; ++q)
                of.put(place<EACH_ROWS>(p, threadIdx.x / SIDE),
                       place<EACH_COLUMNS>(q, threadIdx.x % SIDE), sum[p][q]);
    }
};

// To TF32: 10 bits of mantissa, to nearest. NaN stays NaN: added to, its bits could carry to -0.
__device__ inline u32 tf32(real x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    u32 rounded;  // the same in one instruction; a test for NaN here takes 40 registers more
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(float(x)));
    return rounded;
#else
    return x == x ? (__float_as_uint(float(x)) + 0x1000u) & 0xffffe000u : 0x7fffe000u;
#endif
}

// sum (16, 8) += a (16, 8) b (8, 8) by the 32 lanes of a warp, each with its share of all three.
__device__ inline void tensor_product(real (&sum)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else  // the same sums where there is no such instruction, through shared memory
    __shared__ float of_a[WARPS][16][8], of_b[WARPS][8][8];
    const int warp = threadIdx.x / LANES, group = threadIdx.x % LANES / 4, member = threadIdx.x % 4;
    for (int h = 0; h < 4; ++h)
        of_a[warp][group + h % 2 * 8][member + h / 2 * 4] = __uint_as_float(a[h]);
    for (int h = 0; h < 2; ++h) of_b[warp][member + h * 4][group] = __uint_as_float(b[h]);
    __syncwarp();
    for (int h = 0; h < 4; ++h)
        for (int k = 0; k < 8; ++k)
            sum[h] += of_a[warp][group + h / 2 * 8][k] * of_b[warp][k][2 * member + h % 2];
    __syncwarp();
#endif
}

// A warp's 32 x 32 numbers of y on the tensor cores: 2 x 4 tiles of 16 x 8.
struct Tensors {
    real sum[2][4][4] = {};

    __device__ static int row(int m, int h) {  // of the h-th of a lane's four numbers
        return threadIdx.x / LANES % 4 * 32 + m * 16 + threadIdx.x % LANES / 4 + h % 2 * 8;
    }
    __device__ static int column(int n) { return threadIdx.x / LANES / 4 * 32 + n * 8; }

    __device__ void add(const Slab& slab) {
        const int group = threadIdx.x % LANES / 4, member = threadIdx.x % 4;
        for (int k = 0; k < DEPTH; k += 8) {
            u32 a[2][4], b[4][2];
            for (int m = 0; m < 2; ++m)
                for (int h = 0; h < 4; ++h)
                    a[m][h] = tf32(slab.x[k + member + h / 2 * 4][row(m, h)]);
            for (int n = 0; n < 4; ++n)
                for (int h = 0; h < 2; ++h)
                    b[n][h] = tf32(slab.W[k + member + h * 4][column(n) + group]);
            for (int m = 0; m < 2; ++m)
                for (int n = 0; n < 4; ++n) tensor_product(sum[m][n], a[m], b[n]);
        }
    }
    __device__ void write(const Product& of) const {
        for (int m = 0; m < 2; ++m)
            for (int n = 0; n < 4; ++n)
                for (int h = 0; h < 4; ++h)
                    of.put(row(m, h / 2), column(n) + 2 * (threadIdx.x % 4) + h % 2, sum[m][n][h]);
    }
};

// One slab: fetched, kept, multiplied, and everyone waits in between.
template <typename Sums>
__device__ inline void one_slab(const Product& of, int fours) {
    __shared__ Slab slab;
    Share share;
    Sums sums;
    for (int first = 0; first < of.inner; first += DEPTH) {
        of.fetch_slab(share, first, fours);
        __syncthreads();  // everyone is done with the slab
        keep(slab, share, fours);
        __syncthreads();
        sums.add(slab);
    }
    sums.write(of);
}

// Two slabs: the next is on its way while this one is multiplied, and one barrier is enough.
template <typename Sums>
__device__ inline void two_slabs(const Product& of, int fours) {
    __shared__ Slab slab[2];
    Share share;
    Sums sums;
    of.fetch_slab(share, 0, fours);
    keep(slab[0], share, fours);
    __syncthreads();
    for (int first = 0; first < of.inner; first += DEPTH) {
        const int now = first / DEPTH % 2;
        const bool more = first + DEPTH < of.inner;
        if (more) of.fetch_slab(share, first + DEPTH, fours);
        sums.add(slab[now]);
        if (more) keep(slab[1 - now], share, fours);
        __syncthreads();
    }
    sums.write(of);
}

extern "C" __global__ void __launch_bounds__(THREADS)
product_registers_rung(const real* __restrict__ x, const real* __restrict__ W,
                       const real* __restrict__ b, real* __restrict__ y, int rows, int inner,
                       int columns) {
    const int top = blockIdx.y * BLOCK_ROWS, left = blockIdx.x * BLOCK_COLUMNS;
    one_slab<Registers<0>>({x, W, b, y, rows, inner, columns, top, left}, 0);
}

// vec: x and W begin on the 16-byte grid, and so do all their rows.
#define RUNG(NAME, SLABS)                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS)                                    \
    NAME(const real* __restrict__ x, const real* __restrict__ W, const real* __restrict__ b, \
         real* __restrict__ y, int rows, int inner, int columns, int vec) {                  \
        const int top = blockIdx.y * BLOCK_ROWS, left = blockIdx.x * BLOCK_COLUMNS;          \
        SLABS({x, W, b, y, rows, inner, columns, top, left}, vec);                           \
    }

RUNG(product_fours_rung, one_slab<Registers<1>>)
RUNG(product_ahead_rung, two_slabs<Registers<1>>)
RUNG(product_tf32_rung, two_slabs<Tensors>)
