/* Kernels of 32-bit floats: included after the vectors of an instruction set are defined. */
#define VECTORS (OUTPUTS / LANES)

INLINE QW_(floats) QW_(splat_float)(float x) { return x - (QW_(floats)){0}; }

INLINE QW_(floats) QW_(clamped)(QW_(floats) x, float low, float high)
{
    const QW_(vec) below = x < low, above = x > high;
    QW_(vec) bits = ((QW_(vec))QW_(splat_float)(low) & below) | ((QW_(vec))x & ~below);
    bits = ((QW_(vec))QW_(splat_float)(high) & above) | (bits & ~above);
    return (QW_(floats))bits;
}

#include "elementary.h"

/* One entry of a list: an input of every pixel times the weights of 16 outputs. */
INLINE void QW_(entry)(
    QW_(floats) sums[FLOAT_PIXELS][VECTORS], const qw_float *const *at, int32_t offset, const qw_float *w, const int P,
    const int U)
{
    QW_(floats) weights[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) weights[v] = *(const QW_(floats) *)(w + v * LANES);
    UNROLL for (int p = 0; p < P; p++) {
        const QW_(floats) pixel = QW_(splat_float)(at[p][offset]);
        UNROLL for (int v = 0; v < VECTORS; v++) sums[p * U][v] = QW_(multiply_add)(pixel, weights[v], sums[p * U][v]);
    }
}

/* P pixels of 16 outputs, U entries at a time: one pixel alone would wait for its own sums. Behind the last pixel
   it is computed again, so that every tile is whole. */
INLINE void QW_(tile_floats)(
    const struct qw_convolve_floats *c, uint8_t *arena, int32_t block, int32_t m, int32_t end, const int P, const int U)
{
    const int32_t from = c->first[block], entries = c->first[block + 1] - from;
    const int32_t *offsets = c->offsets + from;
    const qw_float *w = (const qw_float *)c->weights + (size_t)from * OUTPUTS;
    const qw_float *bias = (const qw_float *)c->bias + block * OUTPUTS, *at[FLOAT_PIXELS];
    qw_float *out[FLOAT_PIXELS];
    QW_(floats) sums[FLOAT_PIXELS][VECTORS];
    const int32_t next = c->row - (c->out.columns - 1) * c->step; /* from the last of a row to the next row */
    int32_t x = m % c->out.columns;
    at[0] = floats(arena, &c->in) + m / c->out.columns * c->row + x * c->step;
    out[0] = floats(arena, &c->out) + m * c->out.pitch + block * OUTPUTS;
    UNROLL for (int p = 0; p < P; p++) {
        if (p) {
            const int32_t more = m + p < end, turns = x + 1 == c->out.columns;
            at[p] = at[p - 1] + more * (turns ? next : c->step);
            out[p] = out[p - 1] + more * c->out.pitch;
            x = turns ? 0 : x + 1;
        }
        UNROLL for (int v = 0; v < VECTORS; v++) {
            sums[p * U][v] = *(const QW_(floats) *)(bias + v * LANES);
            UNROLL for (int u = 1; u < U; u++) sums[p * U + u][v] = QW_(splat_float)(0.0f);
        }
    }
    int32_t t = 0;
    for (; t + U <= entries; t += U)
        UNROLL for (int u = 0; u < U; u++) QW_(entry)(sums + u, at, offsets[t + u], w + (t + u) * OUTPUTS, P, U);
    for (; t < entries; t++) QW_(entry)(sums, at, offsets[t], w + t * OUTPUTS, P, U);
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++) {
            UNROLL for (int u = 1; u < U; u++) sums[p * U][v] += sums[p * U + u][v];
            *(QW_(floats) *)(out[p] + v * LANES) = QW_(clamped)(sums[p * U][v], c->low, c->high);
        }
}

/* A block of pixels at a time, whose inputs stay in the cache while the weights of all outputs pass by. */
#define CONVOLVE(P)                                                                                                    \
    for (int32_t from = of_pixels.from; from < of_pixels.to; from += c->pixels)                                        \
        for (int32_t block = of_blocks.from; block < of_blocks.to; block++) {                                          \
            const int32_t end = from + c->pixels < of_pixels.to ? from + c->pixels : of_pixels.to;                     \
            for (int32_t m = from; m < end; m += (P))                                                                  \
                QW_(tile_floats)(c, arena, block, m, end, (P), FLOAT_PIXELS / (P));                                    \
        }

TARGET static void QW_(convolve_floats)(const struct qw_convolve_floats *c, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = c->out.rows * c->out.columns;
    struct qw_range of_blocks, of_pixels;
    divide(c->out.pitch / OUTPUTS, pixels, FLOAT_PIXELS, part, &of_blocks, &of_pixels);
    if (pixels == 1) CONVOLVE(1)
    else CONVOLVE(FLOAT_PIXELS)
}
#undef CONVOLVE

/* Pixels of a tile of a depthwise layer, whose sums are a vector each. */
#define DEPTHWISE_PIXELS 6

TARGET static void QW_(depthwise_floats)(const struct qw_depthwise_floats *c, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = c->out.rows * c->out.columns;
    const struct qw_range mine = share_of_tiles(pixels, DEPTHWISE_PIXELS, part);
    for (int32_t m = mine.from; m < mine.to; m += DEPTHWISE_PIXELS) {
        const qw_float *at[DEPTHWISE_PIXELS];
        qw_float *out[DEPTHWISE_PIXELS];
        UNROLL for (int p = 0; p < DEPTHWISE_PIXELS; p++) { /* behind the last pixel it is computed again */
            const int32_t pixel = m + p < pixels ? m + p : pixels - 1;
            at[p] = floats(arena, &c->in) + pixel / c->out.columns * c->row + pixel % c->out.columns * c->step;
            out[p] = floats(arena, &c->out) + pixel * c->out.pitch;
        }
        for (int32_t channel = 0; channel < c->out.pitch; channel += LANES) {
            const qw_float *w = (const qw_float *)c->weights + channel;
            QW_(floats) sums[DEPTHWISE_PIXELS];
            UNROLL for (int p = 0; p < DEPTHWISE_PIXELS; p++)
                sums[p] = *(const QW_(floats) *)((const qw_float *)c->bias + channel);
            for (int32_t t = 0; t < c->taps; t++) {
                const QW_(floats) weights = *(const QW_(floats) *)(w + t * c->out.pitch);
                UNROLL for (int p = 0; p < DEPTHWISE_PIXELS; p++) sums[p] =
                    QW_(multiply_add)(*(const QW_(floats) *)(at[p] + c->offsets[t] + channel), weights, sums[p]);
            }
            UNROLL for (int p = 0; p < DEPTHWISE_PIXELS; p++)
                *(QW_(floats) *)(out[p] + channel) = QW_(clamped)(sums[p], c->low, c->high);
        }
    }
}
#undef DEPTHWISE_PIXELS

TARGET static void QW_(pad_floats)(const struct qw_pad_floats *s, uint8_t *arena, struct qw_part part)
{
    const size_t pixel = (size_t)s->out.pitch * sizeof(float), row = pixel * (size_t)s->out.columns;
    const size_t inside = pixel * (size_t)s->in.columns, left = pixel * (size_t)s->left;
    const struct qw_range mine = share(s->out.rows, part);
    uint8_t *to = arena + (size_t)s->out.at + (size_t)mine.from * row;
    for (int32_t y = mine.from; y < mine.to; y++, to += row) {
        const int32_t from = y - s->top;
        if (from < 0 || from >= s->in.rows) memset(to, 0, row);
        else {
            memset(to, 0, left);
            memcpy(to + left, arena + (size_t)s->in.at + (size_t)from * inside, inside);
            memset(to + left + inside, 0, row - left - inside);
        }
    }
}

TARGET static void QW_(pool_floats)(const struct qw_pool_floats *s, uint8_t *arena, struct qw_part part)
{
    const struct qw_range mine = share(s->out.rows, part);
    for (int32_t y = mine.from; y < mine.to; y++)
        for (int32_t x = 0; x < s->out.columns; x++) {
            const int32_t top = y * s->stride[0] - s->padding[0], left = x * s->stride[1] - s->padding[1];
            const int32_t bottom = top + s->size[0] < s->in.rows ? top + s->size[0] : s->in.rows;
            const int32_t right = left + s->size[1] < s->in.columns ? left + s->size[1] : s->in.columns;
            const int32_t y0 = top < 0 ? 0 : top, x0 = left < 0 ? 0 : left;
            const int32_t count = s->inside ? (bottom - y0) * (right - x0) : s->size[0] * s->size[1];
            for (int32_t c = 0; c < s->out.pitch; c += LANES) {
                QW_(floats) all = QW_(splat_float)(s->largest ? -INFINITY : 0.0f);
                for (int32_t i = y0; i < bottom; i++)
                    for (int32_t j = x0; j < right; j++) {
                        const qw_float *at = floats(arena, &s->in) + (i * s->in.columns + j) * s->in.pitch + c;
                        const QW_(floats) pixel = *(const QW_(floats) *)at;
                        if (s->largest) all = QW_(larger)(all, pixel);
                        else all += pixel;
                    }
                if (!s->largest) all /= QW_(splat_float)((float)count);
                *(QW_(floats) *)(floats(arena, &s->out) + (y * s->out.columns + x) * s->out.pitch + c) = all;
            }
        }
}

TARGET static void QW_(combine_floats)(const struct qw_combine_floats *s, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = s->out.rows * s->out.columns, period = s->b.rows * s->b.columns, pitch = s->out.pitch;
    const qw_float *first = floats(arena, &s->a), *second = floats(arena, &s->b);
    qw_float *out = floats(arena, &s->out);
    const struct qw_range mine = share(pixels, part);
    for (int32_t p = mine.from, q = p % period; p < mine.to; p++, q = q + 1 == period ? 0 : q + 1)
        for (int32_t c = 0; c < pitch; c += LANES) {
            const QW_(floats) a = *(const QW_(floats) *)(first + p * pitch + c);
            const QW_(floats) b = *(const QW_(floats) *)(second + q * pitch + c);
            const QW_(floats) both = s->joint == QW_ADD ? a + b : s->joint == QW_SUBTRACT ? a - b : a * b;
            *(QW_(floats) *)(out + p * pitch + c) = QW_(clamped)(both, s->low, s->high);
        }
}

TARGET static void QW_(activate_floats)(const struct qw_activate_floats *s, uint8_t *arena, struct qw_part part)
{
    const int32_t count = s->out.rows * s->out.columns * s->out.pitch;
    const qw_float *in = floats(arena, &s->in);
    qw_float *out = floats(arena, &s->out);
    const struct qw_range mine = share_of_tiles(count, OUTPUTS, part);
    for (int32_t i = mine.from; i < mine.to; i += OUTPUTS) { /* side by side: polynomials are long chains */
        QW_(floats) x[VECTORS];
        UNROLL for (int v = 0; v < VECTORS; v++) x[v] = *(const QW_(floats) *)(in + i + v * LANES);
        UNROLL for (int v = 0; v < VECTORS; v++) x[v] = QW_(activated)(x[v], s);
        UNROLL for (int v = 0; v < VECTORS; v++) *(QW_(floats) *)(out + i + v * LANES) = x[v];
    }
}

TARGET static void QW_(slope_floats)(const struct qw_slope_floats *s, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = s->out.rows * s->out.columns, pitch = s->out.pitch;
    const struct qw_range mine = share(pixels, part);
    const qw_float *in = floats(arena, &s->in) + mine.from * pitch, *slopes = s->slopes;
    qw_float *out = floats(arena, &s->out) + mine.from * pitch;
    for (int32_t p = mine.from; p < mine.to; p++, in += pitch, out += pitch)
        for (int32_t c = 0; c < pitch; c += LANES)
            *(QW_(floats) *)(out + c) =
                QW_(below_zero_times)(*(const QW_(floats) *)(in + c), *(const QW_(floats) *)(slopes + c));
}

#include "moves.h"
#include "tokens.h"
#undef VECTORS
