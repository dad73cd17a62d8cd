// What the importance-weighted objective adds to a step: the weight of every draw           (E61, E62)
#include "common.cuh"
#include "counters.cuh"
#include "latent_math.cuh"

// A warp weighs a datum: from the rows' sums of losses, row_part (L * batch, tiles), and eps, z
// (L, batch, J), logvar (batch, J) before its bound, to
//   weight (L * batch,)   each row's share of its datum's weights, over the batch size: what pulls on it
//   datum  (batch, 3)     -log mean w; -log p(x | z), summed over the draws; the weighted sum of losses
// kept (2, L * batch): scratch; a lane reads only what it wrote. closed, weighs, constant: as in
// likelihood.cu. All in double: differences of log-weights must keep their digits.
extern "C" __global__ void __launch_bounds__(THREADS)
iwae_weigh(const real* __restrict__ row_part, const real* __restrict__ logvar,
           const real* __restrict__ eps, const real* __restrict__ z,
           const real* __restrict__ log_scale, const double* __restrict__ beta,
           const i64* __restrict__ counters, double* __restrict__ kept, real* __restrict__ weight,
           double* __restrict__ datum, int closed, double weighs, double constant, int tiles,
           int batch, int columns, int latent, int draws) {
    const int lane = threadIdx.x % LANES, b = blockIdx.x * WARPS + threadIdx.x / LANES;
    if (b >= batch) return;
    const double price = beta[counters[CALL]], s = closed ? double(log_scale[0]) : 0;
    const i64 rows = i64(draws) * batch;
    double first = 0, top = 0, nll_sum = 0;
    for (int l = 0; l < draws; ++l) {
        const i64 row = i64(l) * batch + b;
        double terms = 0, ratio = 0;
        for (int t = lane; t < tiles; t += LANES) terms += double(row_part[row * tiles + t]);
        for (int j = lane; j < latent; j += LANES) {
            const double e = eps[row * latent + j], at = z[row * latent + j];
            ratio += e * e + double(bounded(logvar[i64(b) * latent + j])) - at * at;
        }
        terms = warp_sum(terms);
        ratio = warp_sum(ratio);
        const double nll =
            closed ? weighs * (columns * (constant + s) + exp(-s) * terms) : terms;
        const double log_w = price * 0.5 * ratio - nll;
        if (l == 0) first = log_w;
        if (log_w - first > top) top = log_w - first;
        nll_sum += nll;
        if (lane == l % LANES) {
            kept[row] = log_w - first;
            kept[rows + row] = terms;
        }
    }
    double mass = 0, weighted = 0;
    for (int l = lane; l < draws; l += LANES) mass += exp(kept[i64(l) * batch + b] - top);
    mass = warp_sum(mass);
    for (int l = lane; l < draws; l += LANES) {
        const i64 row = i64(l) * batch + b;
        const double share = exp(kept[row] - top) / mass;
        weight[row] = real(share / batch);
        weighted += share * kept[rows + row];
    }
    weighted = warp_sum(weighted);
    if (lane > 0) return;
    datum[i64(b) * 3] = -(first + top + log(mass / draws));
    datum[i64(b) * 3 + 1] = nll_sum;
    datum[i64(b) * 3 + 2] = weighted;
}
