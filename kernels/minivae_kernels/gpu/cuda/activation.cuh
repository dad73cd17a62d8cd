// The hidden layers' activations and their derivatives, read off the output                 (E7, E8)

#define LINEAR 0
#define RELU 1
#define TANH 2

__device__ inline real activated(real s, int act) {
    return act == RELU ? (s <= 0 ? real(0) : s) : act == TANH ? tanh_of(s) : s;
}

// upstream d times f' where f gave y; act is RELU or TANH
__device__ inline real through(real d, real y, int act) {
    return act == RELU ? (y <= 0 ? real(0) : d) : d * ((1 - y) * (1 + y));
}
