// The parts that only the captured training step has: the latent head with its noise, and the loss.
#include "common.cuh"
#include "counters.cuh"
#include "latent_math.cuh"
#include "philox.cuh"

// Before the first update of a call: where to start counting.
extern "C" __global__ void begin_call(i64* __restrict__ counters, i64 t, int dry) {
    counters[NOW] = t;
    counters[CALL] = 0;
    counters[DRY] = dry;
}

// From cuBLAS's bare products to z, KL and the noise, in one pass                          (E25, E26, E15)
// mu, logvar (batch, J): in, without bias; out, with it (logvar before its bound). eps, z (L, batch, J).
// kl_part (row tiles, J): column sums of the KL. Lanes are latent dimensions, 32 a block.
extern "C" __global__ void __launch_bounds__(THREADS)
latent_head(real* __restrict__ mu, real* __restrict__ logvar, const real* __restrict__ mu_bias,
            const real* __restrict__ logvar_bias, real* __restrict__ eps, real* __restrict__ z,
            real* __restrict__ kl_part, const i64* __restrict__ rows,
            const i64* __restrict__ counters, int batch, int latent, int draws,
            int rows_per_block, u32 stream, u32 k0, u32 k1) {
    __shared__ real held[WARPS][LANES];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int j = blockIdx.x * LANES + lane;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, batch);
    const i64 plane = i64(batch) * latent;
    const u32 now = u32(counters[NOW]);
    real sum = 0;
    if (j < latent)
        for (int b = start + warp; b < stop; b += WARPS) {
            const i64 at = i64(b) * latent + j;
            const u32 sample = u32(rows[counters[CALL] * batch + b]);
            const real m = mu[at] + mu_bias[j], raw = logvar[at] + logvar_bias[j];
            const real s = bounded(raw), sigma = deviation(s);
            mu[at] = m;
            logvar[at] = raw;
            sum += kl_of(m, s);
            for (int l = 0; l < draws; ++l) {
                const real e = normal_at(u32(l * latent + j), sample, now, stream, k0, k1);
                eps[l * plane + at] = e;
                z[l * plane + at] = m + sigma * e;
            }
        }
    held[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || j >= latent) return;
    sum = 0;
    for (int w = 0; w < WARPS; ++w) sum += held[w][lane];
    kl_part[blockIdx.y * latent + j] = sum;
}

// dmu, dlogvar (batch, J) from dz (L, batch, J) and factor[j] = d loss / d kl[b, j], with the column
// sums for both biases in part (row tiles, part_stride) at the two offsets                 (E27, E16)
// WEIGHTED: each draw pulls on its own z, by weight (L * batch,) and factor[j] = beta, instead of the
// posterior on the KL                                                                      (E62)
template <bool WEIGHTED>
__device__ inline void head_backward(const real* dz, const real* mu, const real* logvar,
                                     const real* eps, const real* z, const real* weight,
                                     const real* factor, real* dmu, real* dlogvar, real* part,
                                     int part_stride, int mu_offset, int logvar_offset, int batch,
                                     int latent, int draws, int rows_per_block) {
    __shared__ real held[2][WARPS][LANES];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int j = blockIdx.x * LANES + lane;
    const int start = blockIdx.y * rows_per_block;
    const int stop = min(start + rows_per_block, batch);
    const i64 plane = i64(batch) * latent;
    real sum_mu = 0, sum_logvar = 0;
    if (j < latent)
        for (int b = start + warp; b < stop; b += WARPS) {
            const i64 at = i64(b) * latent + j;
            const real s = bounded(logvar[at]);
            real to_mu = 0, to_logvar = 0;
            for (int l = 0; l < draws; ++l) {
                real d = dz[l * plane + at];
                if (WEIGHTED) d += factor[j] * weight[i64(l) * batch + b] * z[l * plane + at];
                to_mu += d;
                to_logvar += d * eps[l * plane + at];
            }
            to_logvar *= real(0.5) * deviation(s);
            if (WEIGHTED) {
                to_logvar -= real(0.5) * factor[j] / batch;
            } else {
                to_mu += factor[j] * mu[at];
                to_logvar += factor[j] * dkl_dlogvar(s);
            }
            if (outside_bound(logvar[at])) to_logvar = 0;
            dmu[at] = to_mu;
            dlogvar[at] = to_logvar;
            sum_mu += to_mu;
            sum_logvar += to_logvar;
        }
    held[0][warp][lane] = sum_mu;
    held[1][warp][lane] = sum_logvar;
    __syncthreads();
    if (warp > 1 || j >= latent) return;  // warp 0 finishes mu, warp 1 logvar
    real sum = 0;
    for (int w = 0; w < WARPS; ++w) sum += held[warp][w][lane];
    part[i64(blockIdx.y) * part_stride + (warp ? logvar_offset : mu_offset) + j] = sum;
}

#define HEAD_BACKWARD(NAME, WEIGHTED)                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
    NAME(const real* __restrict__ dz, const real* __restrict__ mu,                                 \
         const real* __restrict__ logvar, const real* __restrict__ eps,                            \
         const real* __restrict__ z, const real* __restrict__ weight,                              \
         const real* __restrict__ factor, real* __restrict__ dmu, real* __restrict__ dlogvar,      \
         real* __restrict__ part, int part_stride, int mu_offset, int logvar_offset, int batch,    \
         int latent, int draws, int rows_per_block) {                                              \
        head_backward<WEIGHTED>(dz, mu, logvar, eps, z, weight, factor, dmu, dlogvar, part,        \
                                part_stride, mu_offset, logvar_offset, batch, latent, draws,       \
                                rows_per_block);                                                   \
    }
HEAD_BACKWARD(latent_head_backward, false)
HEAD_BACKWARD(weighted_head_backward, true)

// One block ends the forward pass: the loss, whether it is finite, the KL's factors with free bits,
// the optimiser's rates, the metrics, and the step to the next update                     (E28, E31, E33)
// total (totals,): the likelihood's loss a block, and pulls (totals,) a block's share of the log scale's
// gradient or null. closed: the log scale s is not in the losses, nll = weight (n (constant + s) +
// sum / exp(s)). dscale: its gradient; null where it is given, where every column has its own, where
// there is none. datum (batch, 3): what iwae.cu leaves of each datum, in place of total; null for the
// plain bound. lr, beta: the whole call's. kl_now (J,): scratch.
extern "C" __global__ void __launch_bounds__(THREADS)
loss_finish(const real* __restrict__ total, int totals, const real* __restrict__ kl_part,
            int kl_tiles, const double* __restrict__ pulls, const double* __restrict__ datum,
            const double* __restrict__ lr, const double* __restrict__ beta, const real* __restrict__ log_scale,
            real* __restrict__ dscale, real* __restrict__ factor, real* __restrict__ rates,
            i64* __restrict__ counters, double* __restrict__ sums, double* __restrict__ kl_now,
            int closed, double weight, double constant, int batch, int columns, int latent,
            int draws, double free_bits, int adam, double beta1, double beta2, double decay) {
    __shared__ double held[WARPS][LANES];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const i64 call = counters[CALL], now = counters[NOW];
    // The powers take a microsecond each: by two warps at once, while the others add.
    if (threadIdx.x == LANES)
        rates[0] = real(adam ? lr[call] / (1 - pow(beta1, double(now + 1))) : lr[call]);
    if (threadIdx.x == 2 * LANES)
        rates[1] = real(adam ? 1 / (1 - pow(beta2, double(now + 1))) : 1.0);
    if (threadIdx.x == 3 * LANES) rates[2] = real(1 - lr[call] * decay);
    double nll = 0, bound = 0, terms = 0;  // terms: a row's losses, on average
    const double rows = double(batch) * draws;
    if (datum) {
        for (int b = threadIdx.x; b < batch; b += THREADS) {
            bound += datum[i64(b) * 3] / batch;
            nll += datum[i64(b) * 3 + 1];
            terms += datum[i64(b) * 3 + 2] / batch;
        }
        bound = block_sum(bound);
        nll = block_sum(nll);
        terms = block_sum(terms);
    } else {
        for (int i = threadIdx.x; i < totals; i += THREADS) nll += double(total[i]);
        nll = block_sum(nll);
        terms = nll / rows;
    }
    double slope = 0;  // in the log scale
    if (closed) {
        const double s = double(log_scale[0]), scaled = exp(-s) * terms;
        if (!datum) nll = rows * weight * (columns * (constant + s) + scaled);
        slope = weight * (columns - scaled);
    } else if (pulls) {
        for (int i = threadIdx.x; i < totals; i += THREADS) slope += pulls[i];
        slope = block_sum(slope);
    }
    double share = 0;  // of the KL that is paid for
    for (int first = 0; first < latent; first += LANES) {  // 32 dimensions at a time
        const int j = first + lane;
        double kl = 0;
        if (j < latent)
            for (int t = warp; t < kl_tiles; t += WARPS) kl += double(kl_part[t * latent + j]);
        held[warp][lane] = kl;
        __syncthreads();
        if (warp == 0 && j < latent) {
            kl = 0;
            for (int w = 0; w < WARPS; ++w) kl += held[w][lane];
            const bool free = kl / batch < free_bits;
            share += free ? free_bits : kl / batch;
            factor[j] = datum ? real(beta[call]) : free ? real(0) : real(beta[call] / batch);
            kl_now[j] = kl;
        }
        __syncthreads();
    }
    share = block_sum(share);
    const double loss = datum ? bound : nll / rows + beta[call] * share;
    // Judged as the training's number type would see it: an overflow counts, and so does a NaN.
    const bool bad = !(fabs(double(real(loss))) <= 1.7e308);
    const bool live = !bad && counters[BAD] < 0 && !counters[DRY];
    if (live && warp == 0)  // each lane adds what it wrote itself
        for (int j = lane; j < latent; j += LANES) sums[KL_J + j] += kl_now[j];
    __syncthreads();  // everyone has read the counters
    if (threadIdx.x > 0) return;
    if (bad && counters[BAD] < 0 && !counters[DRY]) counters[BAD] = now;
    counters[LIVE] = live;
    if (live) {
        counters[UPDATES] += 1;
        counters[SAMPLES] += batch;
        sums[NLL] += nll / draws;
        sums[LOSS] += loss * batch;
    }
    if (dscale) dscale[0] = real(slope);
    counters[NOW] = now + 1;
    counters[CALL] = call + 1;
}
