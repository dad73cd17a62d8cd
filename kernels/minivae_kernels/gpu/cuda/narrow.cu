// Products over the few latent dimensions, in one kernel with what surrounds them: only in the step.
//
// A product with so short an inner dimension is soon done; what costs is a launch of its own and a
// result that the next launch reads again. A block keeps its 128 columns of the weights in shared
// memory and walks down its rows as in the other one-pass kernels. Terms are added in order.
#include "common.cuh"
#include "activation.cuh"

#define NARROW 32  // the most terms; wider latent layers go through cuBLAS

// What the compiler may count on when it gives out registers: at most 64 a thread. Left to itself it
// takes from 32, with spills, to 87.
#define BLOCKS_AT_ONCE 4

struct alignas(16) Row {
    real v[TILE + WIDTH];  // by the rest, at most four lanes of a warp write into one bank
};

// Keep 128 columns of W, from `first` on. W is (inner, columns), or (columns, inner) if turned.
__device__ inline void hold(Row* held, const real* W, int inner, int columns, int first, bool turned) {
    for (int i = threadIdx.x; i < inner * TILE; i += THREADS) {
        const int k = turned ? i % inner : i / TILE, c = turned ? i / inner : i % TILE;
        const int column = first + c;
        const i64 at = turned ? i64(column) * inner + k : i64(k) * columns + column;
        held[k].v[c] = column < columns ? W[at] : real(0);
    }
}

// sum += row[0 .. inner) times the held weights, for a lane's four columns.
__device__ inline void add_product(Quad& sum, const real* row, const Row* held, int inner, int lane,
                                   int vec) {
    for (int k = 0; k < inner; ++k) {
        const real x = row[k];
        Quad w;
        if (vec)
            w = *reinterpret_cast<const Quad*>(held[k].v + lane * WIDTH);
        else
            for (int i = 0; i < WIDTH; ++i) w.v[i] = held[k].v[column_of(0, lane, i, 0)];
        for (int i = 0; i < WIDTH; ++i) sum.v[i] += x * w.v[i];
    }
}

// y = f(x W + bias), and what f was given into before: the decoder's first layer, x (rows, inner), W (inner, columns)        (E5, E7, E8)
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
narrow_dense(const real* __restrict__ x, const real* __restrict__ W,
             const real* __restrict__ bias, real* __restrict__ y, real* __restrict__ before,
             int rows, int inner, int columns, int rows_per_block, int act, int vec) {
    __shared__ Row held[NARROW];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int first = blockIdx.x * TILE;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    hold(held, W, inner, columns, first, false);
    Quad shift;
    for (int i = 0; i < WIDTH; ++i) {
        const int c = column_of(first, lane, i, vec);
        shift.v[i] = c < columns ? bias[c] : real(0);
    }
    __syncthreads();
    for (int r = start + warp; r < stop; r += WARPS) {
        Quad sum = {{0, 0, 0, 0}};
        add_product(sum, x + i64(r) * inner, held, inner, lane, vec);
        for (int i = 0; i < WIDTH; ++i) sum.v[i] = sum.v[i] + shift.v[i];
        if (before) store_columns(before + i64(r) * columns, sum, first, lane, columns, vec);
        for (int i = 0; i < WIDTH; ++i) sum.v[i] = activated(sum.v[i], act);
        store_columns(y + i64(r) * columns, sum, first, lane, columns, vec);
    }
}

// da = (dmu mu_W^T + dlogvar logvar_W^T) f'(y): from both heads through the encoder's last layer,
// with the column sums for its bias in part as act_backward leaves them               (E6, E7, E8, E27)
// dmu, dlogvar (rows, inner), the weights (columns, inner), y and da (rows, columns).
// A block takes 37.9 KB of shared memory, both heads' weights and the sums: a multiprocessor holds two
// on Volta and four on an A100 or H100, a quarter and half of its warps; one on Turing, two on smaller
// Ampere and Ada. Of a batch of 128 there are 64 blocks in all, fewer than a large card has
// multiprocessors; large batches would gain by one head at a time.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
narrow_backward(const real* __restrict__ dmu, const real* __restrict__ dlogvar,
                const real* __restrict__ mu_W, const real* __restrict__ logvar_W,
                const real* __restrict__ y, real* __restrict__ da, real* __restrict__ part,
                int part_stride, int part_offset, int rows, int inner, int columns,
                int rows_per_block, int act, int vec) {
    __shared__ Row held[2 * NARROW];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int first = blockIdx.x * TILE;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    hold(held, mu_W, inner, columns, first, true);
    hold(held + NARROW, logvar_W, inner, columns, first, true);
    __syncthreads();
    Quad sum = {{0, 0, 0, 0}};
    for (int r = start + warp; r < stop; r += WARPS) {
        const i64 at = i64(r) * columns;
        Quad d = {{0, 0, 0, 0}};
        add_product(d, dmu + i64(r) * inner, held, inner, lane, vec);
        add_product(d, dlogvar + i64(r) * inner, held + NARROW, inner, lane, vec);
        const Quad out = load_columns(y + at, first, lane, columns, vec);
        for (int i = 0; i < WIDTH; ++i) {
            d.v[i] = through(d.v[i], out.v[i], act);
            sum.v[i] += d.v[i];
        }
        store_columns(da + at, d, first, lane, columns, vec);
    }
    write_column_sums(sum, part + i64(blockIdx.y) * part_stride + part_offset, first, columns, vec);
}
