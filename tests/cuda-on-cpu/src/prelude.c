// What stands before a translated kernel: registers, memory, and how threads take turns.
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A register, whatever its type.
typedef union {
    uint64_t u64; int64_t s64; uint32_t u32; int32_t s32; uint16_t u16; int16_t s16; uint8_t u8; int8_t s8;
    float f32; double f64;
} reg;

// A thread ends, waits for its block, waits for its warp, or has done what no kernel may.
enum { RUNS, ENDED, AT_BARRIER, AT_EXCHANGE, FAULTED };

struct block;
struct thread {
    struct block *block;
    unsigned id[3], lane;
    int resume, waits;
    uint32_t sent[2]; // in turns, so that a value is not written over before the warp has read it
    unsigned turn;
    reg *r;
    unsigned char *local;
};
struct block {
    const unsigned *grid, *shape;
    unsigned id[3], threads;
    unsigned char *shared;
    uint64_t shared_bytes;
    const unsigned char *parameters;
    struct thread *all;
};

static __thread const char *fault_text;
static int fault(const char *text) { fault_text = text; return FAULTED; }

static __thread unsigned char nowhere[16] __attribute__((aligned(16))); // for what is refused
static void *refused(const char *text) { fault_text = text; return nowhere; }
// Device memory: an address is a host address, and unmapped where there is none. Alignment is the device's.
#define AT(type, address, bytes) \
    (*(type *)((uint64_t)(address) % (bytes) ? refused("misaligned address") : (void *)(uint64_t)(address)))
// Shared memory: an offset into the block's.
static void *shared_at(struct block *b, uint64_t offset, uint64_t bytes) {
    if (offset % bytes || offset + bytes > b->shared_bytes) return refused("beside the block's shared memory");
    return b->shared + offset;
}
#define SHARED(type, offset, bytes) (*(type *)shared_at(b, offset, bytes))

static inline float f32_bits(uint32_t bits) { reg r; r.u32 = bits; return r.f32; }
static inline double f64_bits(uint64_t bits) { reg r; r.u64 = bits; return r.f64; }
static inline float from_bf16(uint16_t bits) { return f32_bits((uint32_t)bits << 16); }
// Rounds once: an f64 between two f32 becomes the odd one, which the second rounding takes to the right side.
static inline uint16_t to_bf16(double value) {
    reg r; r.f32 = (float)value;
    if (value != value) return 0x7fff;
    if ((double)r.f32 != value && !isinf(r.f32) && !(r.u32 & 1)) r.f32 = nextafterf(r.f32, value > r.f32 ? INFINITY : -INFINITY);
    return (uint16_t)((r.u32 + 0x7fff + (r.u32 >> 16 & 1)) >> 16);
}
static inline float from_f16(uint16_t bits) { _Float16 h; memcpy(&h, &bits, 2); return (float)h; }
static inline uint16_t to_f16(double value) { _Float16 h = (_Float16)value; uint16_t bits; memcpy(&bits, &h, 2); return bits; }

static __attribute__((noinline)) float rounded_f32(int mode, int what, float x, float y, float z) {
    volatile float a = x, c = y, e = z, out;
    fesetround(mode);
    out = what == 0 ? a + c : what == 1 ? a * c : fmaf(a, c, e);
    fesetround(FE_TONEAREST);
    return out;
}
static inline double saturated(double x) { return x != x ? 0 : x < 0 ? 0 : x > 1 ? 1 : x; }
static inline float max_nan(float x, float y) { return x != x || y != y ? NAN : fmaxf(x, y); }
static inline float min_nan(float x, float y) { return x != x || y != y ? NAN : fminf(x, y); }
// Conversions to whole numbers saturate; what a NaN becomes depends on the types.
#define TO_WHOLE(name, type, low, high) \
    static inline type name(double x, type nan) { return x != x ? nan : x <= (low) ? (type)(low) : x >= (high) ? (type)(high) : (type)x; }
TO_WHOLE(to_u8, uint8_t, 0, 255)
TO_WHOLE(to_s8, int8_t, -128, 127)
TO_WHOLE(to_u16, uint16_t, 0, 65535)
TO_WHOLE(to_s16, int16_t, -32768, 32767)
TO_WHOLE(to_u32, uint32_t, 0, 4294967295.0)
TO_WHOLE(to_s32, int32_t, -2147483648.0, 2147483647.0)
static inline uint64_t to_u64(double x, uint64_t nan) { return x != x ? nan : x <= 0 ? 0 : x >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)x; }
static inline int64_t to_s64(double x, int64_t nan) { return x != x ? nan : x <= -9223372036854775808.0 ? INT64_MIN : x >= 9223372036854775807.0 ? INT64_MAX : (int64_t)x; }

// The lane that shfl.sync reads, and whether it is one of the lane's segment.
static unsigned shuffled(char mode, unsigned lane, unsigned by, unsigned control, int *there) {
    unsigned segment = control >> 8 & 31, clamp = control & 31;
    unsigned most = (lane & segment) | (clamp & ~segment & 31), least = lane & segment, from;
    int fits;
    switch (mode) {
    case 'u': from = lane - by; fits = (int)from >= (int)most; break;
    case 'd': from = lane + by; fits = from <= most; break;
    case 'b': from = lane ^ by; fits = from <= most; break;
    default: from = least | (by & ~segment & 31); fits = from <= most;
    }
    *there = fits;
    return fits ? from : lane;
}
static uint32_t received(struct block *b, struct thread *t, char mode, unsigned by, unsigned control) {
    int there;
    unsigned warp = (unsigned)(t - b->all) / 32 * 32, from = warp + shuffled(mode, t->lane, by, control, &there);
    return b->all[from < b->threads ? from : (unsigned)(t - b->all)].sent[(t->turn - 1) & 1];
}
static int is_there(struct thread *t, char mode, unsigned by, unsigned control) {
    int there;
    shuffled(mode, t->lane, by, control, &there);
    return there;
}

static int kernel(struct block *b, struct thread *t);

// Runs a block's threads until each has ended. Warps run in an order of their own, so a missing barrier shows.
static int run_block(struct block *b) {
    for (unsigned live = b->threads; live > 0;) {
        int moved = 0;
        for (unsigned first = (b->threads - 1) / 32 * 32; ; first -= 32) {
            unsigned end = first + 32 < b->threads ? first + 32 : b->threads, exchanging = 0, alive = 0;
            for (unsigned i = first; i < end; i++) {
                struct thread *t = b->all + i;
                if (t->waits == RUNS) {
                    t->waits = kernel(b, t);
                    moved = 1;
                    if (t->waits == FAULTED) return FAULTED;
                    if (t->waits == ENDED) live--;
                }
                alive += t->waits != ENDED;
                exchanging += t->waits == AT_EXCHANGE;
            }
            if (exchanging && exchanging == alive) {
                for (unsigned i = first; i < end; i++) if (b->all[i].waits == AT_EXCHANGE) b->all[i].waits = RUNS;
                moved = 1;
            }
            if (first == 0) break;
        }
        if (moved) continue;
        for (unsigned i = 0; i < b->threads; i++) {
            if (b->all[i].waits == AT_EXCHANGE) return fault("a warp's threads wait for one another in vain");
            if (b->all[i].waits == AT_BARRIER) b->all[i].waits = RUNS;
        }
    }
    return ENDED;
}

// Runs a grid. Returns why it could not, or null.
const char *run(const unsigned *grid, const unsigned *shape, unsigned dynamic_shared, const unsigned char *parameters) {
    struct block b = {.grid = grid, .shape = shape, .threads = shape[0] * shape[1] * shape[2], .parameters = parameters};
    b.shared_bytes = SHARED_BYTES + dynamic_shared;
    b.shared = aligned_alloc(128, (b.shared_bytes + 127) / 128 * 128 + 128);
    b.all = calloc(b.threads, sizeof *b.all);
    reg *registers = calloc((size_t)b.threads * KEPT_REGISTERS + 1, sizeof *registers);
    unsigned char *local = aligned_alloc(16, ((size_t)b.threads * LOCAL_BYTES + 15) / 16 * 16 + 16);
    fault_text = 0;
    for (size_t i = 0, blocks = (size_t)grid[0] * grid[1] * grid[2]; i < blocks && !fault_text; i++) {
        b.id[0] = i % grid[0], b.id[1] = i / grid[0] % grid[1], b.id[2] = i / grid[0] / grid[1];
        memset(b.shared, 0xff, b.shared_bytes); // nobody has written it
        for (unsigned n = 0; n < b.threads; n++) {
            struct thread *t = b.all + n;
            *t = (struct thread){.block = &b, .lane = n % 32, .r = registers + (size_t)n * KEPT_REGISTERS};
            t->id[0] = n % shape[0], t->id[1] = n / shape[0] % shape[1], t->id[2] = n / shape[0] / shape[1];
            t->local = local + (size_t)n * LOCAL_BYTES;
        }
        run_block(&b);
    }
    free(b.shared), free(b.all), free(registers), free(local);
    return fault_text;
}
