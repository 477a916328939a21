// Kernels of the generator's layers; calls.rs says what each of them computes. No kernel reads beside its memory, whatever the
// indices are that it is given.
//
// NVRTC compiles this file at run time: for f32 or, with BF16 defined, for bf16; and with VEC, how many neighbouring
// channels a thread takes at once, for those that make 16 bytes or for 1 where the channels do not divide. NVRTC has no
// headers, so there is no #include, and bf16 is done by hand. The file is C as well, and a thread reads nothing that
// another writes: tests compile it for a processor, with KERNEL, FUNCTION and THREAD defined, and run thread by thread.

#ifndef KERNEL
#define KERNEL extern "C" __global__ void
#define FUNCTION static __device__ __forceinline__
#define THREAD (blockIdx.x * (size_t)blockDim.x + threadIdx.x)
#endif

// VEC numbers of the type that the network computes in, as they lie in memory.
#if VEC == 1 && defined(BF16)
typedef unsigned short numbers;
#elif VEC == 1
typedef float numbers;
#else
typedef struct __attribute__((aligned(16))) {
    unsigned word[4];
} numbers;
#endif

typedef struct __attribute__((aligned(16))) {
    float at[4];
} four;

typedef union {
    unsigned bits;
    float number;
} word;

FUNCTION float from_bits(unsigned bits) {
    word both;
    both.bits = bits;
    return both.number;
}

// The upper 16 bits of the nearest bf16, ties to even. Infinities stay; a NaN stays one.
FUNCTION unsigned to_bf16(float value) {
    word both;
    both.number = value;
    return (value != value ? both.bits | 0x400000 : both.bits + 0x7fff + (both.bits >> 16 & 1)) >> 16;
}

FUNCTION void unpack(numbers packed, float *out) {
#if VEC == 1 && defined(BF16)
    out[0] = from_bits((unsigned)packed << 16);
#elif VEC == 1
    out[0] = packed;
#else
    for (int i = 0; i < 4; i++) {
#ifdef BF16
        out[2 * i] = from_bits(packed.word[i] << 16);
        out[2 * i + 1] = from_bits(packed.word[i] & 0xffff0000);
#else
        out[i] = from_bits(packed.word[i]);
#endif
    }
#endif
}

FUNCTION numbers pack(const float *in) {
#if VEC == 1 && defined(BF16)
    return (unsigned short)to_bf16(in[0]);
#elif VEC == 1
    return in[0];
#else
    numbers packed;
    for (int i = 0; i < 4; i++) {
#ifdef BF16
        packed.word[i] = to_bf16(in[2 * i]) | to_bf16(in[2 * i + 1]) << 16;
#else
        word both;
        both.number = in[i];
        packed.word[i] = both.bits;
#endif
    }
    return packed;
#endif
}

FUNCTION float leaky_relu(float value) {
    return fmaxf(value, 0.2f * value);
}

// The cell of a map that is 2^shift times smaller, which nearest up-sampling reads for cell `cell` of `height` × `width`.
FUNCTION unsigned upsampled(unsigned cell, unsigned height, unsigned width, unsigned shift) {
    if (shift == 0) return cell;
    unsigned x = cell % width, row = cell / width;
    unsigned y = row % height, picture = row / height;
    return (picture * (height >> shift) + (y >> shift)) * (width >> shift) + (x >> shift);
}

// One thread for VEC channels of a patch; `groups` of them are its hidden vector.
KERNEL lookup(unsigned patches, unsigned taps, unsigned groups, unsigned count, unsigned rectify,
              const unsigned *__restrict__ rows, const float *__restrict__ weights, const float *__restrict__ bias, numbers *__restrict__ out) {
    size_t i = THREAD;
    if (i >= (size_t)patches * groups) return;
    size_t patch = i / groups, channel = i % groups * VEC;
    float sum[VEC];
    for (int v = 0; v < VEC; v++) sum[v] = 0.0f;
    for (unsigned tap = 0; tap < taps; tap++) {
        unsigned at = rows[patch * taps + tap];
        if (at >= count) continue;
        const float *row = weights + (size_t)at * groups * VEC + channel;
        for (int v = 0; v < VEC; v++) sum[v] += row[v];
    }
    for (int v = 0; v < VEC; v++) {
        sum[v] += bias[channel + v];
        if (rectify) sum[v] = fmaxf(sum[v], 0.0f);
    }
    out[i] = pack(sum);
}

// One thread for VEC channels at one tap of a neighbourhood.
KERNEL gather(size_t rows_by_taps, unsigned groups, unsigned patches, const numbers *__restrict__ hidden,
              const unsigned *__restrict__ taps, numbers *__restrict__ out) {
    size_t i = THREAD;
    if (i >= rows_by_taps * groups) return;
    unsigned patch = taps[i / groups];
    float zeros[VEC];
    for (int v = 0; v < VEC; v++) zeros[v] = 0.0f;
    out[i] = patch < patches ? hidden[(size_t)patch * groups + i % groups] : pack(zeros);
}

// A thread takes the same VEC channels of every `stride`-th cell: what belongs to a channel is read once. There are
// `groups` · `stride` threads.
KERNEL modulate(unsigned cells, unsigned stride, unsigned groups, unsigned rows, unsigned height, unsigned width, unsigned shift,
                unsigned per_picture, unsigned activate, const numbers *__restrict__ x,
                const unsigned *__restrict__ ids, const numbers *__restrict__ table, const float *__restrict__ bias,
                const float *__restrict__ normalise, numbers *__restrict__ out) {
    size_t thread = THREAD;
    if (thread >= (size_t)groups * stride) return;
    unsigned group = (unsigned)(thread % groups), channels = groups * VEC, picture = 0;
    const float *own_bias = bias + group * VEC, *own_normalise = normalise + group * VEC;
    float gamma_bias[VEC], beta_bias[VEC], scale[VEC], offset[VEC];
    for (int v = 0; v < VEC; v++) {
        gamma_bias[v] = own_bias[v];
        beta_bias[v] = own_bias[channels + v];
        scale[v] = own_normalise[v];
        offset[v] = own_normalise[channels + v];
    }
    for (unsigned cell = (unsigned)(thread / groups); cell < cells; cell += stride) {
        if (per_picture && cell / (height * width) != picture) {
            picture = cell / (height * width);
            for (int v = 0; v < VEC; v++) {
                scale[v] = own_normalise[(size_t)picture * 2 * channels + v];
                offset[v] = own_normalise[((size_t)picture * 2 + 1) * channels + v];
            }
        }
        float value[VEC], gamma[VEC], beta[VEC];
        unsigned id = ids[cell] < rows ? ids[cell] : rows - 1;
        size_t row = (size_t)id * 2 * groups + group;
        unpack(x[(size_t)upsampled(cell, height, width, shift) * groups + group], value);
        unpack(table[row], gamma);
        unpack(table[row + groups], beta);
        for (int v = 0; v < VEC; v++) {
            float normal = value[v] * scale[v] + offset[v];
            value[v] = normal * (gamma[v] + gamma_bias[v]) + (beta[v] + beta_bias[v]);
            if (activate) value[v] = leaky_relu(value[v]);
        }
        out[(size_t)cell * groups + group] = pack(value);
    }
}

// To `x` adds what is there of a bias, a map that is 2^shift times smaller, and a plane by channel weights; what is not
// is null. One thread for VEC channels of a cell.
KERNEL add(unsigned cells, unsigned groups, unsigned height, unsigned width, unsigned shift,
           const float *__restrict__ bias, const numbers *__restrict__ onto, const float *__restrict__ plane,
           const float *__restrict__ weight, numbers *__restrict__ x) {
    size_t i = THREAD;
    if (i >= (size_t)cells * groups) return;
    unsigned cell = (unsigned)(i / groups), group = (unsigned)(i % groups);
    float sum[VEC], other[VEC];
    unpack(x[i], sum);
    if (onto) unpack(onto[(size_t)upsampled(cell, height, width, shift) * groups + group], other);
    for (int v = 0; v < VEC; v++) {
        unsigned channel = group * VEC + v;
        if (bias) sum[v] += bias[channel];
        if (onto) sum[v] += other[v];
        if (plane) sum[v] += plane[cell] * weight[channel];
    }
    x[i] = pack(sum);
}

// One thread for each pixel: leaky ReLU, conv 3×3 with `weights` (tap, channel, 4), tanh. `real` or `bytes` is null.
KERNEL picture(unsigned cells, unsigned groups, unsigned height, unsigned width, const numbers *__restrict__ x,
               const four *__restrict__ weights, const float *__restrict__ bias, float *__restrict__ real,
               unsigned char *__restrict__ bytes) {
    size_t cell = THREAD;
    if (cell >= cells) return;
    int column = (int)(cell % width), row = (int)(cell / width % height);
    float sum[3] = {0.0f, 0.0f, 0.0f};
    for (int tap = 0; tap < 9; tap++) {
        int down = tap / 3 - 1, right = tap % 3 - 1;
        if (row + down < 0 || row + down >= (int)height || column + right < 0 || column + right >= (int)width) continue;
        const numbers *there = x + (cell + (long long)down * width + right) * groups;
        const four *weight = weights + (size_t)tap * groups * VEC;
        for (unsigned group = 0; group < groups; group++) {
            float value[VEC];
            unpack(there[group], value);
            for (int v = 0; v < VEC; v++) {
                four by = weight[group * VEC + v];
                for (int colour = 0; colour < 3; colour++) sum[colour] += leaky_relu(value[v]) * by.at[colour];
            }
        }
    }
    for (int colour = 0; colour < 3; colour++) {
        float value = tanhf(sum[colour] + bias[colour]);
        if (real) real[cell * 3 + colour] = value;
        if (bytes) bytes[cell * 3 + colour] = (unsigned char)fminf(fmaxf((value + 1.0f) / 2.0f * 255.0f, 0.0f), 255.0f);
    }
}
