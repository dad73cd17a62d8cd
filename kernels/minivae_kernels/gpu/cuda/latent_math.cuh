// The latent layer's arithmetic for one number, written once for the ops and for the fused step.

#define LOGVAR_BOUND real(40)

__device__ inline real bounded(real logvar) {  // (E25); NaN stays NaN
    return logvar > LOGVAR_BOUND ? LOGVAR_BOUND : (logvar < -LOGVAR_BOUND ? -LOGVAR_BOUND : logvar);
}

__device__ inline bool outside_bound(real logvar) {
    return logvar > LOGVAR_BOUND || logvar < -LOGVAR_BOUND;
}

// sigma = exp(logvar / 2): the standard deviation, not the variance                        (E26)
__device__ inline real deviation(real logvar) { return exp_of(real(0.5) * logvar); }

// KL of N(mu, exp(logvar)) against N(0, 1), in nats: right to a last place of logvar; the reference's
// series keeps the digits of the difference as well                                         (E15)
__device__ inline real kl_of(real mu, real logvar) {
    return real(0.5) * (mu * mu + (expm1_of(logvar) - logvar));
}

// Its derivative in logvar; in mu it is mu                                                  (E16)
__device__ inline real dkl_dlogvar(real logvar) { return real(0.5) * expm1_of(logvar); }
