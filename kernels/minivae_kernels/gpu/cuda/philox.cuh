// Philox 4x32-10 and Box-Muller (E34 to E36): the bits of minivae/ops/philox.py, operation by operation.
//
// Every multiplication and addition of the float32 part is an intrinsic (__fmul_rn, __fadd_rn):
// those are never contracted into a fused multiply-add, so the bits are NumPy's.

struct Words {
    u32 w[4];
};

// Ten rounds; the key moves on by two odd constants between them (E34; Salmon et al. 2011).
__device__ inline Words philox_block(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
    for (int round = 0; round < 10; ++round) {
        const u32 hi0 = __umulhi(0xD2511F53u, c0), lo0 = 0xD2511F53u * c0;
        const u32 hi1 = __umulhi(0xCD9E8D57u, c2), lo1 = 0xCD9E8D57u * c2;
        c0 = hi1 ^ c1 ^ k0;
        c1 = lo1;
        c2 = hi0 ^ c3 ^ k1;
        c3 = lo0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Words out = {{c0, c1, c2, c3}};
    return out;
}

// The uniform in (0, 1) of a word (E35); both operations are exact.
__device__ inline float uniform_of(u32 word) {
    return __fadd_rn(__fmul_rn(__uint2float_rn(word >> 9), 0x1p-23f), 0x1p-24f);
}

__device__ inline float step_of(float p, float x, float c) {  // one rung of Horner's scheme
    return __fadd_rn(__fmul_rn(p, x), c);
}

// log u for u in (0, 1]: exponent and mantissa by bits, then a polynomial about 1.
__device__ inline float log_of(float u) {
    const u32 bits = __float_as_uint(u);
    float exponent = __int2float_rn(int(bits >> 23) - 126);
    float m = __uint_as_float((bits & 0x007FFFFFu) | 0x3F000000u);  // in [1/2, 1)
    const bool small = m < 0.70710677f;
    exponent = small ? __fadd_rn(exponent, -1.0f) : exponent;
    m = __fadd_rn(small ? __fadd_rn(m, m) : m, -1.0f);
    const float square = __fmul_rn(m, m);
    float p = 0.07149754f;
    p = step_of(p, m, -0.11571201f);
    p = step_of(p, m, 0.11661511f);
    p = step_of(p, m, -0.1241105f);
    p = step_of(p, m, 0.14249937f);
    p = step_of(p, m, -0.1666848f);
    p = step_of(p, m, 0.20000708f);
    p = step_of(p, m, -0.2499999f);
    p = step_of(p, m, 0.33333331f);
    p = __fmul_rn(__fmul_rn(p, m), square);
    p = __fadd_rn(p, __fmul_rn(exponent, -2.1219444e-4f));
    p = __fadd_rn(p, -__fmul_rn(0.5f, square));
    return __fadd_rn(__fadd_rn(m, p), __fmul_rn(exponent, 0.693359375f));
}

struct Pair {
    float first, second;
};

// Two words make two standard normals (E36; Box & Muller 1958): w0 the radius, w1 the angle.
__device__ inline Pair box_muller(u32 w0, u32 w1) {
    const float u = __fadd_rn(__fmul_rn(__uint2float_rn(w0), 0x1p-32f), 0x1p-33f);
    const float radius = __fsqrt_rn(__fmul_rn(-2.0f, log_of(u)));
    const u32 quadrant = w1 >> 30;
    const float t = __fmul_rn(__int2float_rn(int(w1 << 2)), 0x1p-32f);  // in [-1/2, 1/2]
    const float square = __fmul_rn(t, t);
    float s = -0.0046021631f;
    s = step_of(s, square, 0.07968022f);
    s = step_of(s, square, -0.6459635f);
    s = step_of(s, square, 1.5707964f);
    s = __fmul_rn(s, t);
    float c = 0.00090674171f;
    c = step_of(c, square, -0.020861529f);
    c = step_of(c, square, 0.25366941f);
    c = step_of(c, square, -1.2337005f);
    c = step_of(c, square, 1.0f);
    const bool odd = quadrant & 1;
    float cosine = odd ? s : c, sine = odd ? c : s;
    cosine = (quadrant == 1 || quadrant == 2) ? -cosine : cosine;
    sine = quadrant >= 2 ? -sine : sine;
    Pair out = {__fmul_rn(radius, cosine), __fmul_rn(radius, sine)};
    return out;
}

// One normal by its position in the sample's sequence: four to a block, in pairs.
__device__ inline float normal_at(u32 position, u32 sample, u32 step, u32 stream, u32 k0, u32 k1) {
    const Words block = philox_block(position / 4, sample, step, stream, k0, k1);
    const bool later = position & 2;
    const Pair pair = box_muller(later ? block.w[2] : block.w[0], later ? block.w[3] : block.w[1]);
    return position & 1 ? pair.second : pair.first;
}
