// Both likelihoods with their gradients in one pass over the decoder's output.
//
// Grid: column tiles by row tiles; rows are the L * B (draw, datum) pairs, x has B rows. A block
// reads each logit (or mean) and pixel once and writes, as asked (null: not asked):
//   dout      (rows, D)             the gradient
//   row_part  (rows, column tiles)  each row's sum over the block's columns: nll, or squared error
//   total     (blocks,)             the same summed over the block, all that a training step needs
//   col_part  (row tiles, stride)   the gradient's column sums: the output bias's gradient
#include "common.cuh"

struct Bernoulli {  // loss = softplus(a) - x a, gradient s(a) - x                          (E23, E24)
    __device__ void operator()(real a, real x, real& loss, real& slope) const {
        const real t = exp_of(minus_abs(a));  // the one exponential that both need
        loss = (a > 0 ? a : real(0)) + log1p_of(t) - x * a;
        slope = (a > 0 ? real(1) : t) / (1 + t) - x;
    }
};

struct Gaussian {  // loss = r^2 (rows add the constant), gradient r / c                    (E20, E21)
    real precision;
    __device__ void operator()(real a, real x, real& loss, real& slope) const {
        const real r = a - x;
        loss = r * r;
        slope = precision * r;
    }
};

template <typename Loss>
__device__ inline void nll_pass(const Loss& of, const real* out, const real* bias, const real* x,
                                const real* dnll, real constant, real* dout, real* row_part,
                                real* total, real* col_part, int part_stride, int part_offset,
                                int rows, int batch, int columns, int rows_per_block, int vec) {
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int first = blockIdx.x * TILE;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    Quad shift = {{0, 0, 0, 0}}, sum = {{0, 0, 0, 0}};
    if (bias)
        for (int i = 0; i < WIDTH; ++i) {
            const int c = column_of(first, lane, i, vec);
            shift.v[i] = c < columns ? bias[c] : real(0);
        }
    real block_loss = 0;
    for (int r = start + warp; r < stop; r += WARPS) {
        const i64 at = i64(r) * columns;
        const Quad a = load_columns(out + at, first, lane, columns, vec);
        const Quad pixel = load_columns(x + i64(r % batch) * columns, first, lane, columns, vec);
        const real upstream = dnll ? dnll[r] : constant;
        Quad gradient;
        real row_loss = 0;
        for (int i = 0; i < WIDTH; ++i) {
            real loss, slope;
            of(a.v[i] + shift.v[i], pixel.v[i], loss, slope);
            gradient.v[i] = upstream * slope;
            if (column_of(first, lane, i, vec) < columns) row_loss += loss;
            sum.v[i] += gradient.v[i];
        }
        if (dout) store_columns(dout + at, gradient, first, lane, columns, vec);
        if (row_part) {
            const real whole = warp_sum(row_loss);
            if (lane == 0) row_part[i64(r) * gridDim.x + blockIdx.x] = whole;
        }
        block_loss += row_loss;
    }
    if (total) {
        const real whole = block_sum(block_loss);
        if (threadIdx.x == 0) total[blockIdx.y * gridDim.x + blockIdx.x] = whole;
    }
    if (col_part)
        write_column_sums(sum, col_part + i64(blockIdx.y) * part_stride + part_offset, first,
                          columns, vec);
}

extern "C" __global__ void __launch_bounds__(THREADS)
bernoulli_pass(const real* logits, const real* __restrict__ bias, const real* __restrict__ x,
               const real* __restrict__ dnll, real constant, real* dlogits,
               real* __restrict__ row_part, real* __restrict__ total, real* __restrict__ col_part,
               int part_stride, int part_offset, int rows, int batch, int columns,
               int rows_per_block, int vec) {
    nll_pass(Bernoulli(), logits, bias, x, dnll, constant, dlogits, row_part, total, col_part,
             part_stride, part_offset, rows, batch, columns, rows_per_block, vec);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gaussian_pass(const real* mean, const real* __restrict__ bias, const real* __restrict__ x,
              const real* __restrict__ dnll, real constant, const real* __restrict__ logc,
              real* dmean, real* __restrict__ row_part, real* __restrict__ total,
              real* __restrict__ col_part, int part_stride, int part_offset, int rows, int batch,
              int columns, int rows_per_block, int vec) {
    const Gaussian of = {exp_of(-logc[0])};
    nll_pass(of, mean, bias, x, dnll, constant, dmean, row_part, total, col_part, part_stride,
             part_offset, rows, batch, columns, rows_per_block, vec);
}

// nll[r] = the sum of row r of row_part (rows, tiles), in order                            (E23)
extern "C" __global__ void bernoulli_rows(const real* __restrict__ row_part,
                                          real* __restrict__ nll, int rows, int tiles) {
    const int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    real sum = 0;
    for (int t = 0; t < tiles; ++t) sum += row_part[i64(r) * tiles + t];
    nll[r] = sum;
}

// From each row's squared error: nll (rows,) and its share of dlogc (rows,); null: not asked (E20, E21)
// In double: rows are few, and D - |r|^2 / c loses digits where c fits the data.
extern "C" __global__ void gaussian_rows(const real* __restrict__ row_part,
                                         const real* __restrict__ dnll,
                                         const real* __restrict__ logc, real* __restrict__ nll,
                                         double* __restrict__ dlogc, int rows, int tiles,
                                         int columns) {
    const int r = blockIdx.x * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    double sum = 0;
    for (int t = 0; t < tiles; ++t) sum += double(row_part[i64(r) * tiles + t]);
    const double log_c = double(logc[0]), scaled = exp(-log_c) * sum;
    const double log_2pi = 1.8378770664093454836;
    if (nll) nll[r] = real(0.5 * (columns * (log_2pi + log_c) + scaled));
    if (dlogc) dlogc[r] = double(dnll[r]) * (0.5 * (columns - scaled));
}

// out[0] = the sum of a (n,), by one block in a fixed order.
extern "C" __global__ void __launch_bounds__(THREADS) sum_all(const double* __restrict__ a,
                                                              real* __restrict__ out, int n) {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) sum += a[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[0] = real(sum);
}
