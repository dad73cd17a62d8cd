// What surrounds a matrix product: bias and activation after it, their gradients before the next.
#include "common.cuh"
#include "activation.cuh"

// a <- f(a + bias) in place, the rest of a dense layer after cuBLAS left x W in a          (E5, E7, E8)
// a (rows, columns), bias (columns,); grid: column tiles by row tiles of rows_per_block. before, if
// not null, is left a + bias: what a derivative that cannot be read off the output is made from.
extern "C" __global__ void __launch_bounds__(THREADS)
bias_act(real* __restrict__ a, const real* __restrict__ bias, real* __restrict__ before, int rows,
         int columns, int rows_per_block, int act, int vec) {
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int first = blockIdx.x * TILE;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    Quad shift;  // the bias itself may lie anywhere in the flat buffer: never read by fours
    for (int i = 0; i < WIDTH; ++i) {
        const int c = column_of(first, lane, i, vec);
        shift.v[i] = c < columns ? bias[c] : real(0);
    }
    for (int r = start + warp; r < stop; r += WARPS) {
        real* row = a + i64(r) * columns;
        Quad y = load_columns(row, first, lane, columns, vec);
        for (int i = 0; i < WIDTH; ++i) y.v[i] = y.v[i] + shift.v[i];
        if (before) store_columns(before + i64(r) * columns, y, first, lane, columns, vec);
        for (int i = 0; i < WIDTH; ++i) y.v[i] = activated(y.v[i], act);
        store_columns(row, y, first, lane, columns, vec);
    }
}

// da = dy f', read off the output y (or the input, see activation.cuh), and the bias's gradient on the way                (E6, E7, E8)
// dy, y, da (rows, columns); da may be dy. With act = LINEAR, y and da are not touched and only
// the sums are made. part (row tiles, part_stride): one row of column sums a block, from
// part_offset on; column_finish adds the rows. part may be null.
extern "C" __global__ void __launch_bounds__(THREADS)
act_backward(const real* dy, const real* __restrict__ y, real* da, real* __restrict__ part,
             int part_stride, int part_offset, int rows, int columns, int rows_per_block, int act,
             int vec) {
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int first = blockIdx.x * TILE;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    Quad sum = {{0, 0, 0, 0}};
    for (int r = start + warp; r < stop; r += WARPS) {
        const i64 at = i64(r) * columns;
        Quad d = load_columns(dy + at, first, lane, columns, vec);
        if (act != LINEAR) {
            const Quad out = load_columns(y + at, first, lane, columns, vec);
            for (int i = 0; i < WIDTH; ++i) d.v[i] = through(d.v[i], out.v[i], act);
            store_columns(da + at, d, first, lane, columns, vec);
        }
        for (int i = 0; i < WIDTH; ++i) sum.v[i] += d.v[i];
    }
    if (part)
        write_column_sums(sum, part + i64(blockIdx.y) * part_stride + part_offset, first, columns,
                          vec);
}

// out[where[c]] = the sum of column c of part (tiles, columns); where null: out[c].
// A block of 32 x 8 threads adds 32 columns: 8 threads stride down the rows, then add in order.
extern "C" __global__ void __launch_bounds__(THREADS)
column_finish(const real* __restrict__ part, const int* __restrict__ where,
              real* __restrict__ out, int tiles, int columns) {
    __shared__ real held[WARPS][LANES];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int c = blockIdx.x * LANES + lane;
    real sum = 0;
    if (c < columns)
        for (int t = warp; t < tiles; t += WARPS) sum += part[i64(t) * columns + c];
    held[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || c >= columns) return;
    sum = 0;
    for (int w = 0; w < WARPS; ++w) sum += held[w][lane];
    out[where ? where[c] : c] = sum;
}
