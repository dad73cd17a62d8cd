// A likelihood and its gradients in one pass over the decoder's output, whatever the likelihood.
//
// Grid: column tiles by row tiles; rows are the L * B (draw, datum) pairs, x has B rows. A block
// reads each output and datum once and writes, as asked (null: not asked):
//   dout      (rows, D)             the gradient
//   row_part  (rows, column tiles)  each row's sum of `loss` over the block's columns
//   total     (blocks,)             the same summed over the block, all that a training step needs
//   pulls     (blocks,)             the block's share of the log scale's gradient
//   col_part  (row tiles, stride)   column sums: of the gradient (the output bias's) from
//                                   part_offset on, of a column's own log scale from scale_offset
//                                   on; an offset below 0: not asked
//
// A likelihood is a type that is made from a log scale s and, called with an output a and a datum x,
// gives the loss, its slope in a and, where PULLS, its slope in s. EACH: every column has an s of its
// own; it lies at log_scale[c], or, where one is given for all (each = 0), at log_scale[0].

struct Plain {
    static constexpr bool EACH = false, PULLS = false;
};

template <typename Likelihood>
__device__ inline void nll_pass(const real* out, const real* bias, const real* x, const real* dnll,
                                real constant, const real* log_scale, int each, real* dout,
                                real* row_part, real* total, double* pulls, real* col_part,
                                int part_stride, int part_offset, int scale_offset, int rows,
                                int batch, int columns, int rows_per_block, int vec) {
    constexpr bool EACH = Likelihood::EACH, PULLS = Likelihood::PULLS;
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int first = blockIdx.x * TILE;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, rows);
    Quad shift = {{0, 0, 0, 0}}, sum = {{0, 0, 0, 0}}, scale_sum = {{0, 0, 0, 0}};
    Likelihood of[EACH ? WIDTH : 1];
    if (!EACH) of[0] = Likelihood(log_scale ? log_scale[0] : real(0));
    for (int i = 0; i < WIDTH; ++i) {
        const int c = column_of(first, lane, i, vec);
        if (bias) shift.v[i] = c < columns ? bias[c] : real(0);
        if (EACH) of[i] = Likelihood(log_scale[each && c < columns ? c : 0]);
    }
    real block_loss = 0, block_pull = 0;
    for (int r = start + warp; r < stop; r += WARPS) {
        const i64 at = i64(r) * columns;
        const Quad a = load_columns(out + at, first, lane, columns, vec);
        const Quad datum = load_columns(x + i64(r % batch) * columns, first, lane, columns, vec);
        const real upstream = dnll ? dnll[r] : constant;
        Quad gradient;
        real row_loss = 0, row_pull = 0;
#pragma unroll  // so that a lane's four numbers stay in registers
        for (int i = 0; i < WIDTH; ++i) {
            real loss, slope, pull = 0;
            of[EACH ? i : 0](a.v[i] + shift.v[i], datum.v[i], loss, slope, pull);
            gradient.v[i] = upstream * slope;
            if (column_of(first, lane, i, vec) < columns) {
                row_loss += loss;
                if (PULLS) row_pull += pull;
            }
            sum.v[i] += gradient.v[i];
            if (PULLS && EACH) scale_sum.v[i] += upstream * pull;
        }
        if (dout) store_columns(dout + at, gradient, first, lane, columns, vec);
        if (row_part) {
            const real whole = warp_sum(row_loss);
            if (lane == 0) row_part[i64(r) * gridDim.x + blockIdx.x] = whole;
        }
        block_loss += row_loss;
        if (PULLS) block_pull += upstream * row_pull;
    }
    const i64 block = i64(blockIdx.y) * gridDim.x + blockIdx.x;
    if (total) {
        const real whole = block_sum(block_loss);
        if (threadIdx.x == 0) total[block] = whole;
    }
    if (PULLS && pulls) {
        const double whole = block_sum(double(block_pull));
        if (threadIdx.x == 0) pulls[block] = whole;
    }
    if (!col_part) return;
    real* row = col_part + i64(blockIdx.y) * part_stride;
    if (part_offset >= 0) write_column_sums(sum, row + part_offset, first, columns, vec);
    if (PULLS && EACH && scale_offset >= 0)
        write_column_sums(scale_sum, row + scale_offset, first, columns, vec);
}

#define LIKELIHOOD(NAME, KIND)                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS)                                       \
    NAME(const real* out, const real* __restrict__ bias, const real* __restrict__ x,            \
         const real* __restrict__ dnll, real constant, const real* __restrict__ log_scale,      \
         int each, real* dout, real* __restrict__ row_part, real* __restrict__ total,           \
         double* __restrict__ pulls, real* __restrict__ col_part, int part_stride,              \
         int part_offset, int scale_offset, int rows, int batch, int columns,                   \
         int rows_per_block, int vec) {                                                         \
        nll_pass<KIND>(out, bias, x, dnll, constant, log_scale, each, dout, row_part, total,    \
                       pulls, col_part, part_stride, part_offset, scale_offset, rows, batch,    \
                       columns, rows_per_block, vec);                                           \
    }
