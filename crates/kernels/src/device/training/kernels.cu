// The operations of a training step on a GPU, forward and backward, in f32; operators.rs says what each of them is.
//
// Feature maps are N H W C; neighbouring threads take neighbouring channels. No thread adds to what another one writes:
// where many numbers become one, threads sum up parts whose order depends on sizes and masks alone, and the parts are
// added up in a second step. So the same numbers give the same bits.
//
// A thread's number fits 32 bits, as calls see to: dividing them is cheap. As ../fused/kernels.cu, NVRTC compiles this file at run time, and the tests compile it as C.

#ifndef KERNEL
#define KERNEL extern "C" __global__ void
#define FUNCTION static __device__ __forceinline__
#define THREAD (blockIdx.x * (size_t)blockDim.x + threadIdx.x)
#endif

// max(x, slope · x); a slope of 1 leaves a value as it is.
FUNCTION float leaky(float value, float slope) {
    return value > 0.0f ? value : value * slope;
}

// The gradient before a leaky ReLU, from its output and the gradient behind it.
FUNCTION float before_leaky(float y, float dy, float slope) {
    return y > 0.0f ? dy : dy * slope;
}

// The cell of a map that is 2^shift times smaller, which nearest up-sampling reads for cell `cell` of `height` × `width`.
FUNCTION unsigned source_of(unsigned cell, unsigned height, unsigned width, unsigned shift) {
    if (shift == 0) return cell;
    unsigned x = cell % width, row = cell / width;
    unsigned y = row % height, picture = row / height;
    return (picture * (height >> shift) + (y >> shift)) * (width >> shift) + (x >> shift);
}

// The first and the last cell of part `part` of pictures of `cells` cells, in parts of `each`.
FUNCTION unsigned first_of(unsigned part, unsigned cells, unsigned each) {
    unsigned parts = (cells + each - 1) / each;
    return part / parts * cells + part % parts * each;
}

FUNCTION unsigned end_of(unsigned part, unsigned cells, unsigned each) {
    unsigned parts = (cells + each - 1) / each;
    unsigned end = part % parts * each + each;
    return part / parts * cells + (end < cells ? end : cells);
}

// Every row of `out` is the sum of the rows of `in` that `items[starts[row]..starts[row + 1]]` names, or of those rows
// themselves without `items`; plus `bias`, where there is one; without negative numbers where `rectify` says so.
KERNEL sum_rows(unsigned rows, unsigned width, unsigned rectify, const unsigned *__restrict__ starts,
                const unsigned *__restrict__ items, const float *__restrict__ in, const float *__restrict__ bias,
                float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= rows * width) return;
    unsigned row = i / width, channel = i % width;
    float sum = 0.0f;
    for (unsigned at = starts[row]; at < starts[row + 1]; at++) {
        sum += in[(size_t)(items ? items[at] : at) * width + channel];
    }
    if (bias) sum += bias[channel];
    out[i] = rectify && !(sum > 0.0f) ? 0.0f : sum;
}

// For every part, the sum and the sum of squares of each channel. Squares are summed about the part's own mean, so that a
// large mean costs no digits.
KERNEL moment_parts(unsigned parts, unsigned channels, unsigned cells, unsigned each, const float *__restrict__ x,
                    double *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= parts * channels) return;
    unsigned part = i / channels, channel = i % channels;
    unsigned first = first_of(part, cells, each), end = end_of(part, cells, each);
    float sum = 0.0f, squares = 0.0f, count = (float)(end - first);
    for (unsigned cell = first; cell < end; cell++) sum += x[(size_t)cell * channels + channel];
    float mean = sum / count;
    for (unsigned cell = first; cell < end; cell++) {
        float distance = x[(size_t)cell * channels + channel] - mean;
        squares += distance * distance;
    }
    double *sums = out + (size_t)part * 2 * channels + channel;
    sums[0] = (double)mean * count;
    sums[channels] = squares + (double)mean * mean * count;
}

// Mean, 1 / √(variance + ε) and variance of every channel, from the sums over `count` cells.
KERNEL statistics(unsigned rows, unsigned channels, unsigned count, const double *__restrict__ sums,
                  float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= rows * channels) return;
    size_t row = i / channels, channel = i % channels;
    double mean = sums[row * 2 * channels + channel] / count;
    double variance = sums[(row * 2 + 1) * channels + channel] / count - mean * mean;
    if (variance < 0.0) variance = 0.0; // a NaN stays one
    float *own = out + row * 3 * channels + channel;
    own[0] = (float)mean;
    own[channels] = (float)(1.0 / sqrt(variance + 1e-5));
    own[2 * channels] = (float)variance;
}

// One thread for a channel of a cell: normalise, modulate by the table where there is one, leaky ReLU.
KERNEL modulate(unsigned cells, unsigned channels, unsigned height, unsigned width, unsigned shift,
                unsigned per_picture, float slope, const float *__restrict__ x, const unsigned *__restrict__ ids,
                const float *__restrict__ table, const float *__restrict__ statistics, float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    unsigned cell = i / channels, channel = i % channels;
    unsigned picture = per_picture ? cell / (height * width) : 0;
    const float *own = statistics + (size_t)picture * 3 * channels + channel;
    float value = x[(size_t)source_of(cell, height, width, shift) * channels + channel];
    value = (value - own[0]) * own[channels];
    if (table) {
        const float *row = table + (size_t)ids[cell] * 2 * channels + channel;
        value = value * (row[0] + 1.0f) + row[channels];
    }
    out[i] = leaky(value, slope);
}

// For every segment, a stretch of `cells` of one neighbourhood and one picture, the gradients of gamma and beta.
// A segment is four numbers: neighbourhood, picture, start, end.
KERNEL segment_sums(unsigned segments, unsigned channels, unsigned height, unsigned width, unsigned shift,
                    unsigned per_picture, float slope, const unsigned *__restrict__ segment,
                    const unsigned *__restrict__ cells, const float *__restrict__ x, const float *__restrict__ y,
                    const float *__restrict__ dy, const float *__restrict__ statistics, float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= segments * channels) return;
    unsigned index = i / channels, channel = i % channels;
    const unsigned *own = segment + 4 * (size_t)index;
    const float *moments = statistics + (size_t)(per_picture ? own[1] : 0) * 3 * channels + channel;
    float gamma = 0.0f, beta = 0.0f, mean = moments[0];
    for (unsigned at = own[2]; at < own[3]; at++) {
        unsigned cell = cells[at];
        size_t there = (size_t)cell * channels + channel;
        float before = before_leaky(y[there], dy[there], slope);
        gamma += before * (x[(size_t)source_of(cell, height, width, shift) * channels + channel] - mean);
        beta += before;
    }
    out[(size_t)index * 2 * channels + channel] = gamma * moments[channels];
    out[((size_t)index * 2 + 1) * channels + channel] = beta;
}

// For every part, segments `order[starts[part]..starts[part + 1]]`, the sums of the normalised map's gradient, and of
// that times the map.
KERNEL owed_parts(unsigned parts, unsigned channels, const unsigned *__restrict__ starts,
                  const unsigned *__restrict__ order, const unsigned *__restrict__ segment,
                  const float *__restrict__ table, const float *__restrict__ sums, double *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= parts * channels) return;
    unsigned part = i / channels, channel = i % channels;
    double first = 0.0, second = 0.0;
    for (unsigned at = starts[part]; at < starts[part + 1]; at++) {
        unsigned index = order[at];
        const float *own = sums + (size_t)index * 2 * channels + channel;
        double scale = (double)table[(size_t)segment[4 * (size_t)index] * 2 * channels + channel] + 1.0;
        first += scale * own[channels];
        second += scale * own[0];
    }
    out[(size_t)part * 2 * channels + channel] = first;
    out[((size_t)part * 2 + 1) * channels + channel] = second;
}

// The same for a map that is normalised and not modulated, in parts of its cells.
KERNEL normalize_parts(unsigned parts, unsigned channels, unsigned cells, unsigned each, unsigned per_picture,
                       float slope, const float *__restrict__ x, const float *__restrict__ y,
                       const float *__restrict__ dy, const float *__restrict__ statistics, double *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= parts * channels) return;
    unsigned part = i / channels, channel = i % channels;
    unsigned first = first_of(part, cells, each), end = end_of(part, cells, each);
    const float *own = statistics + (size_t)(per_picture ? first / cells : 0) * 3 * channels + channel;
    float gradients = 0.0f, products = 0.0f;
    for (unsigned cell = first; cell < end; cell++) {
        size_t there = (size_t)cell * channels + channel;
        float before = before_leaky(y[there], dy[there], slope);
        gradients += before;
        products += before * ((x[there] - own[0]) * own[channels]);
    }
    out[(size_t)part * 2 * channels + channel] = gradients;
    out[((size_t)part * 2 + 1) * channels + channel] = products;
}

// The gradient of the map that `modulate` reads: one thread for a channel of one of its cells. `owed` holds for each row
// of statistics what the gradient owes to them, alone and times the map; it is null where they are constants.
KERNEL modulate_gradient(unsigned cells, unsigned channels, unsigned height, unsigned width, unsigned shift,
                         unsigned per_picture, float slope, const float *__restrict__ x,
                         const unsigned *__restrict__ ids, const float *__restrict__ table,
                         const float *__restrict__ statistics, const float *__restrict__ owed,
                         const float *__restrict__ y, const float *__restrict__ dy, float *__restrict__ dx) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    unsigned cell = i / channels, channel = i % channels;
    unsigned across = width >> shift, down = height >> shift;
    unsigned column = cell % across, row = cell / across % down, picture = cell / across / down;
    size_t statistic = per_picture ? picture : 0;
    const float *own = statistics + statistic * 3 * channels + channel;
    float inverse = own[channels], normal = (x[i] - own[0]) * inverse, debt = 0.0f, sum = 0.0f;
    if (owed) {
        const float *both = owed + statistic * 2 * channels + channel;
        debt = both[0] + normal * both[channels];
    }
    for (unsigned read = 0; read < 1u << 2 * shift; read++) {
        unsigned to_y = (row << shift) + (read >> shift), to_x = (column << shift) + (read & shift);
        unsigned to = (picture * height + to_y) * width + to_x;
        size_t there = (size_t)to * channels + channel;
        float before = before_leaky(y[there], dy[there], slope);
        if (table) before *= table[(size_t)ids[to] * 2 * channels + channel] + 1.0f;
        sum += before - debt;
    }
    dx[i] = inverse * sum;
}

// To `y` adds `bias` where there is one, then the leaky ReLU.
KERNEL activate(unsigned cells, unsigned channels, float slope, const float *__restrict__ bias,
                float *__restrict__ y) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    y[i] = leaky(bias ? y[i] + bias[i % channels] : y[i], slope);
}

KERNEL leaky_gradient(size_t numbers, float slope, const float *__restrict__ y, const float *__restrict__ dy,
                      float *__restrict__ out) {
    size_t i = THREAD;
    if (i < numbers) out[i] = before_leaky(y[i], dy[i], slope);
}

// For every part, the sum of each channel, or of its products with a plane that all channels share.
KERNEL column_parts(unsigned parts, unsigned channels, unsigned cells, unsigned each,
                    const float *__restrict__ plane, const float *__restrict__ in, double *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= parts * channels) return;
    unsigned part = i / channels, channel = i % channels;
    float sum = 0.0f;
    for (unsigned cell = first_of(part, cells, each); cell < end_of(part, cells, each); cell++) {
        float value = in[(size_t)cell * channels + channel];
        sum += plane ? value * plane[cell] : value;
    }
    out[i] = sum;
}

KERNEL add_noise(unsigned cells, unsigned channels, const float *__restrict__ x, const float *__restrict__ plane,
                 const float *__restrict__ weight, float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    out[i] = x[i] + weight[i % channels] * plane[i / channels];
}

// Sums of |a − b|, of every `parts`-th number from its own on.
KERNEL distance_parts(unsigned parts, size_t numbers, const float *__restrict__ a, const float *__restrict__ b,
                      float *__restrict__ out) {
    size_t i = THREAD;
    if (i >= parts) return;
    float sum = 0.0f;
    for (size_t at = i; at < numbers; at += parts) sum += fabsf(a[at] - b[at]);
    out[i] = sum;
}

// The sign of a − b times `share` · `gradient[0]`.
KERNEL distance_gradient(size_t numbers, float share, const float *__restrict__ a, const float *__restrict__ b,
                         const float *__restrict__ gradient, float *__restrict__ out) {
    size_t i = THREAD;
    if (i >= numbers) return;
    float size = gradient[0] * share;
    out[i] = a[i] > b[i] ? size : a[i] < b[i] ? -size : 0.0f;
}

// 3×3, stride 2, padding 1, of a map of `height` × `width`; divided by the cells that are there.
KERNEL average_pool(unsigned cells, unsigned channels, unsigned height, unsigned width, const float *__restrict__ x,
                    float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    unsigned cell = i / channels, channel = i % channels;
    unsigned across = (width + 1) / 2, down = (height + 1) / 2;
    unsigned column = cell % across, row = cell / across % down, picture = cell / across / down;
    unsigned top = row > 0 ? 2 * row - 1 : 0, bottom = 2 * row + 2 < height ? 2 * row + 2 : height;
    unsigned left = column > 0 ? 2 * column - 1 : 0, right = 2 * column + 2 < width ? 2 * column + 2 : width;
    float sum = 0.0f;
    for (unsigned y = top; y < bottom; y++) {
        for (unsigned xx = left; xx < right; xx++) {
            sum += x[(((size_t)picture * height + y) * width + xx) * channels + channel];
        }
    }
    out[i] = sum / (float)((bottom - top) * (right - left));
}

// One thread for a channel of a cell of the input: what the one, two or four windows that hold it give.
KERNEL average_pool_gradient(unsigned cells, unsigned channels, unsigned height, unsigned width,
                             const float *__restrict__ dy, float *__restrict__ dx) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    unsigned cell = i / channels, channel = i % channels;
    unsigned x = cell % width, y = cell / width % height, picture = cell / width / height;
    unsigned across = (width + 1) / 2, down = (height + 1) / 2;
    float sum = 0.0f;
    for (unsigned row = y / 2; row <= (y + 1) / 2 && row < down; row++) {
        unsigned top = row > 0 ? 2 * row - 1 : 0, bottom = 2 * row + 2 < height ? 2 * row + 2 : height;
        for (unsigned column = x / 2; column <= (x + 1) / 2 && column < across; column++) {
            unsigned left = column > 0 ? 2 * column - 1 : 0;
            unsigned right = 2 * column + 2 < width ? 2 * column + 2 : width;
            float share = 1.0f / (float)((bottom - top) * (right - left));
            sum += dy[(((size_t)picture * down + row) * across + column) * channels + channel] * share;
        }
    }
    dx[i] = sum;
}

// 2×2, of a map of `height` × `width`.
KERNEL max_pool(unsigned cells, unsigned channels, unsigned height, unsigned width, const float *__restrict__ x,
                float *__restrict__ out) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    unsigned cell = i / channels, channel = i % channels;
    unsigned across = width / 2, down = height / 2;
    unsigned column = cell % across, row = cell / across % down, picture = cell / across / down;
    const float *first = x + (((size_t)picture * height + 2 * row) * width + 2 * column) * channels + channel;
    float most = first[0];
    for (unsigned other = 1; other < 4; other++) {
        most = fmaxf(most, first[((size_t)(other / 2) * width + other % 2) * channels]);
    }
    out[i] = most;
}

// One thread for a channel of a cell of the input. Among equal cells the first, row by row, gets the gradient.
KERNEL max_pool_gradient(unsigned cells, unsigned channels, unsigned height, unsigned width,
                         const float *__restrict__ x, const float *__restrict__ dy, float *__restrict__ dx) {
    unsigned i = (unsigned)THREAD;
    if (i >= cells * channels) return;
    unsigned cell = i / channels, channel = i % channels;
    unsigned column = cell % width, row = cell / width % height, picture = cell / width / height;
    unsigned across = width / 2, down = height / 2;
    float gradient = 0.0f;
    if (column / 2 < across && row / 2 < down) {
        size_t corner = ((size_t)picture * height + row / 2 * 2) * width + column / 2 * 2;
        const float *first = x + corner * channels + channel;
        unsigned largest = 0;
        float most = first[0];
        for (unsigned other = 1; other < 4; other++) {
            float value = first[((size_t)(other / 2) * width + other % 2) * channels];
            if (value > most) most = value, largest = other;
        }
        size_t window = ((size_t)picture * down + row / 2) * across + column / 2;
        if (largest == row % 2 * 2 + column % 2) gradient = dy[window * channels + channel];
    }
    dx[i] = gradient;
}

// m ← keep_m·m + take_m·g, then v ← keep_v·v + take_v·g²; v lies behind m.
KERNEL adam_moments(size_t numbers, float keep_m, float take_m, float keep_v, float take_v,
                    const float *__restrict__ gradient, float *__restrict__ moments) {
    size_t i = THREAD;
    if (i >= numbers) return;
    float g = gradient[i];
    moments[i] = keep_m * moments[i] + take_m * g;
    moments[numbers + i] = keep_v * moments[numbers + i] + take_v * (g * g);
}

// p ← p − step · m / (√v / correction + ε).
KERNEL adam_step(size_t numbers, float step, float correction, const float *__restrict__ moments,
                 float *__restrict__ parameter) {
    size_t i = THREAD;
    if (i >= numbers) return;
    parameter[i] -= step * (moments[i] / (sqrtf(moments[numbers + i]) / correction + 1e-8f));
}

// average ← average + take · (parameter − average).
KERNEL move_average(size_t numbers, float take, const float *__restrict__ parameter, float *__restrict__ average) {
    size_t i = THREAD;
    if (i < numbers) average[i] += take * (parameter[i] - average[i]);
}
