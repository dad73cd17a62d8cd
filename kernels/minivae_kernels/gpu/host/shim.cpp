// The machine that the host build runs on: a block's threads as fibres, barriers, and a launcher.
#include "shim.h"

#ifdef AS_ON_A_CARD
#include <immintrin.h>
#endif

#include <csetjmp>
#include <cstdlib>
#include <ucontext.h>

Three threadIdx, blockIdx, blockDim, gridDim;
extern unsigned char __start_minivae_shared[], __stop_minivae_shared[];

namespace shim {

unsigned long long slot[32][32];

namespace {

enum State { READY, AT_WARP, AT_BLOCK, DONE };
constexpr unsigned int MOST_THREADS = 1024;
constexpr std::size_t STACK = 64 * 1024;

// Started once by makecontext, then switched by setjmp and longjmp, which make no system call; a
// fibre that has finished a thread waits for the next block.
struct Fibre {
    ucontext_t start;
    jmp_buf at;
    void* stack = nullptr;
    bool started = false;
    State state = DONE;
    Three index{};
};

Fibre fibres[MOST_THREADS];
Fibre* current;
jmp_buf scheduler;
void (*kernel)(void**);
void** kernel_args;
const char* failure;
unsigned long long order_seed;  // 0 ascending, 1 descending, else shuffled

void leave(State state) {
    current->state = state;
    if (_setjmp(current->at) == 0) _longjmp(scheduler, 1);
}

void live() {
    for (;;) {
        kernel(kernel_args);
        leave(DONE);
    }
}

void resume(Fibre& fibre) {
    current = &fibre;
    threadIdx = fibre.index;
    if (_setjmp(scheduler) != 0) return;
    if (fibre.started) _longjmp(fibre.at, 1);
    fibre.started = true;
    getcontext(&fibre.start);
    if (!fibre.stack) fibre.stack = std::malloc(STACK);
    fibre.start.uc_stack.ss_sp = fibre.stack;
    fibre.start.uc_stack.ss_size = STACK;
    fibre.start.uc_link = nullptr;
    makecontext(&fibre.start, live, 0);
    setcontext(&fibre.start);
}

unsigned int random_below(unsigned int n) {  // a plain 64-bit congruential generator
    order_seed = order_seed * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<unsigned int>((order_seed >> 33) % n);
}

void make_order(unsigned int* order, unsigned int n) {
    for (unsigned int i = 0; i < n; ++i) order[i] = order_seed == 1 ? n - 1 - i : i;
    if (order_seed > 1)
        for (unsigned int i = n; i > 1; --i) std::swap(order[i - 1], order[random_below(i)]);
}

// Let go every warp, or the block, whose threads have all arrived. Returns whether any moved.
bool release(unsigned int threads) {
    bool moved = false;
    unsigned int at_block = 0;
    for (unsigned int w = 0; w < threads; w += 32) {
        unsigned int at_warp = 0;
        for (unsigned int i = w; i < w + 32; ++i) {
            at_warp += fibres[i].state == AT_WARP;
            at_block += fibres[i].state == AT_BLOCK;
        }
        if (at_warp < 32) continue;
        for (unsigned int i = w; i < w + 32; ++i) fibres[i].state = READY;
        moved = true;
    }
    if (at_block == threads) {
        for (unsigned int i = 0; i < threads; ++i) fibres[i].state = READY;
        moved = true;
    }
    return moved;
}

void run_block(unsigned int threads) {
    unsigned int order[MOST_THREADS];
    std::memset(__start_minivae_shared, 0xff,
                static_cast<std::size_t>(__stop_minivae_shared - __start_minivae_shared));
    for (unsigned int i = 0; i < threads; ++i) {
        fibres[i].state = READY;
        fibres[i].index = {i, 0, 0};
    }
    for (;;) {
        make_order(order, threads);
        for (unsigned int i = 0; i < threads; ++i)
            if (fibres[order[i]].state == READY) resume(fibres[order[i]]);
        if (failure || release(threads)) {
            if (failure) return;
            continue;
        }
        for (unsigned int i = 0; i < threads; ++i)
            if (fibres[i].state != DONE) {
                failure = "a barrier or shuffle that not all threads of the block or warp reach";
                return;
            }
        return;
    }
}

}  // namespace

void at_block_barrier() { leave(AT_BLOCK); }
void at_warp_barrier() { leave(AT_WARP); }

void fail(const char* what) {
    failure = what;
    current->started = false;  // its stack is abandoned, like the whole launch
    _longjmp(scheduler, 1);
}

// Run a kernel over a grid of one-dimensional blocks; null, or what went wrong.
const char* launch(void (*run)(void**), const unsigned int* grid, unsigned int threads, void** args,
                   unsigned long long order) {
    if (threads == 0 || threads > MOST_THREADS || threads % 32 != 0)
        return "a block must have a multiple of 32 threads, at most 1024";
    if (grid[0] == 0 || grid[1] == 0 || grid[0] > 2147483647u || grid[1] > 65535u)
        return "a grid is limited to 2147483647 by 65535 blocks, and may not be empty";
#ifdef AS_ON_A_CARD
    const unsigned int usual = _mm_getcsr();
    _mm_setcsr(usual | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
#endif
    kernel = run;
    kernel_args = args;
    failure = nullptr;
    order_seed = order;
    blockDim = {threads, 1, 1};
    gridDim = {grid[0], grid[1], 1};
    const unsigned long long blocks = static_cast<unsigned long long>(grid[0]) * grid[1];
    for (unsigned long long i = 0; i < blocks && !failure; ++i) {
        const unsigned long long block = order == 0 ? i : blocks - 1 - i;
        blockIdx = {static_cast<unsigned int>(block % grid[0]),
                    static_cast<unsigned int>(block / grid[0]), 0};
        run_block(threads);
    }
    if (failure)  // fibres stand in the middle of the failed kernel: give each a fresh start
        for (Fibre& fibre : fibres) {
            if (fibre.state != DONE) fibre.started = false;
            fibre.state = DONE;
        }
#ifdef AS_ON_A_CARD
    _mm_setcsr(usual);
#endif
    return failure;
}

}  // namespace shim
