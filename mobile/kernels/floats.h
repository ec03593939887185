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

/* Where P pixels are read and written. Behind the last pixel it is computed again, so that every tile is whole. */
struct QW_(places) {
    const qw_float *in[FLOAT_PIXELS];
    qw_float *out[FLOAT_PIXELS];
};

INLINE struct QW_(places) QW_(places_of)(
    const struct qw_floats *in, const struct qw_floats *out, int32_t row, int32_t step, uint8_t *arena, int32_t m,
    int32_t end, const int P)
{
    struct QW_(places) at;
    const int32_t next = row - (out->columns - 1) * step; /* from the last of a row to the next row */
    const int32_t next_out = out->row - (out->columns - 1) * out->pitch;
    int32_t x = m % out->columns;
    at.in[0] = floats(arena, in) + m / out->columns * row + x * step;
    at.out[0] = floats(arena, out) + pixel_at(out, m);
    UNROLL for (int p = 1; p < P; p++) {
        const int32_t more = m + p < end, turns = x + 1 == out->columns;
        at.in[p] = at.in[p - 1] + more * (turns ? next : step);
        at.out[p] = at.out[p - 1] + more * (turns ? next_out : out->pitch);
        x = turns ? 0 : x + 1;
    }
    return at;
}

/* One entry of a list: an input of every pixel times the weights of 16 outputs. */
INLINE void QW_(entry)(
    QW_(floats) sums[FLOAT_PIXELS][VECTORS], const qw_float *const *in, int32_t offset, const qw_float *w, const int P,
    const int U)
{
    QW_(floats) weights[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) weights[v] = *(const QW_(floats) *)(w + v * LANES);
    UNROLL for (int p = 0; p < P; p++) {
        const QW_(floats) pixel = QW_(splat_float)(in[p][offset]);
        UNROLL for (int v = 0; v < VECTORS; v++) sums[p * U][v] = QW_(multiply_add)(pixel, weights[v], sums[p * U][v]);
    }
}

/* P pixels of 16 outputs, U entries at a time: one pixel alone would wait for its own sums. */
INLINE void QW_(tile_floats)(
    const struct qw_convolve_floats *c, const struct QW_(places) *at, const struct QW_(places) *of_term, int32_t block,
    const int P, const int U)
{
    const int32_t from = c->first[block], entries = c->first[block + 1] - from;
    const int32_t *offsets = c->offsets + from;
    const qw_float *w = (const qw_float *)c->weights + (size_t)from * OUTPUTS;
    const qw_float *bias = (const qw_float *)c->bias + block * OUTPUTS;
    QW_(floats) sums[FLOAT_PIXELS][VECTORS];
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++) {
            sums[p * U][v] = *(const QW_(floats) *)(bias + v * LANES);
            UNROLL for (int u = 1; u < U; u++) sums[p * U + u][v] = QW_(splat_float)(0.0f);
        }
    int32_t t = 0;
    for (; t + U <= entries; t += U)
        UNROLL for (int u = 0; u < U; u++) QW_(entry)(sums + u, at->in, offsets[t + u], w + (t + u) * OUTPUTS, P, U);
    for (; t < entries; t++) QW_(entry)(sums, at->in, offsets[t], w + t * OUTPUTS, P, U);
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++) {
            UNROLL for (int u = 1; u < U; u++) sums[p * U][v] += sums[p * U + u][v];
            if (c->terms == 2) sums[p * U][v] += *(const QW_(floats) *)(of_term->in[p] + block * OUTPUTS + v * LANES);
            *(QW_(floats) *)(at->out[p] + block * OUTPUTS + v * LANES) = QW_(clamped)(sums[p * U][v], c->low, c->high);
        }
}

/* Some blocks of outputs of some pixels: whole tiles, then one by one where few are left. */
#define TILES(P)                                                                                                       \
    {                                                                                                                  \
        const struct QW_(places) at = QW_(places_of)(&c->in, &c->out, c->row, c->step, arena, m, end, (P));            \
        struct QW_(places) of_term = at;                                                                               \
        if (c->terms == 2) of_term = QW_(places_of)(t, &c->out, t->row, t->pitch, arena, m, end, (P));                 \
        for (int32_t block = from; block < to; block++)                                                                \
            QW_(tile_floats)(c, &at, &of_term, block, (P), FLOAT_PIXELS / (P));                                        \
        m += (P);                                                                                                      \
    }

INLINE void QW_(blocks_of_pixels)(
    const struct qw_convolve_floats *c, uint8_t *arena, int32_t from, int32_t to, int32_t m, int32_t end)
{
    const struct qw_floats *t = &c->term;
    while (end - m > FLOAT_PIXELS / 2) TILES(FLOAT_PIXELS)
    while (m < end) TILES(1)
}
#undef TILES

/* A block of pixels at a time, whose inputs stay in the second-level cache while the weights of all outputs pass by; and as
   many blocks of outputs as have weights that stay in the first-level cache while all of these pixels pass by. */
TARGET static void QW_(convolve_floats)(const struct qw_convolve_floats *c, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = c->out.rows * c->out.columns;
    struct qw_range of_blocks, of_pixels;
    divide(c->out.pitch / OUTPUTS, pixels, FLOAT_PIXELS, part, &of_blocks, &of_pixels);
    for (int32_t m = of_pixels.from; m < of_pixels.to; m += c->pixels)
        for (int32_t from = of_blocks.from, to; from < of_blocks.to; from = to) {
            for (to = from + 1; to < of_blocks.to && c->first[to + 1] - c->first[from] <= NEAR_ENTRIES;) to++;
            QW_(blocks_of_pixels)(c, arena, from, to, m, m + c->pixels < of_pixels.to ? m + c->pixels : of_pixels.to);
        }
}

/* P pixels of 16 channels. */
INLINE void QW_(tile_depthwise)(
    const struct qw_depthwise_floats *c, const struct QW_(places) *at, int32_t channel, const int P)
{
    const qw_float *w = (const qw_float *)c->weights + channel, *bias = (const qw_float *)c->bias + channel;
    QW_(floats) sums[FLOAT_PIXELS][VECTORS];
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++) sums[p][v] = *(const QW_(floats) *)(bias + v * LANES);
    for (int32_t t = 0; t < c->taps; t++, w += c->out.pitch) {
        const int32_t offset = c->offsets[t] + channel;
        UNROLL for (int v = 0; v < VECTORS; v++) {
            const QW_(floats) weights = *(const QW_(floats) *)(w + v * LANES);
            UNROLL for (int p = 0; p < P; p++) sums[p][v] =
                QW_(multiply_add)(*(const QW_(floats) *)(at->in[p] + offset + v * LANES), weights, sums[p][v]);
        }
    }
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++)
            *(QW_(floats) *)(at->out[p] + channel + v * LANES) = QW_(clamped)(sums[p][v], c->low, c->high);
}

TARGET static void QW_(depthwise_floats)(const struct qw_depthwise_floats *c, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = c->out.rows * c->out.columns;
    const struct qw_range mine = share_of_tiles(pixels, FLOAT_PIXELS, part);
    for (int32_t m = mine.from; m < mine.to; m += FLOAT_PIXELS) {
        const struct QW_(places) at = QW_(places_of)(&c->in, &c->out, c->row, c->step, arena, m, mine.to, FLOAT_PIXELS);
        for (int32_t channel = 0; channel < c->out.pitch; channel += OUTPUTS)
            QW_(tile_depthwise)(c, &at, channel, FLOAT_PIXELS);
    }
}

TARGET static void QW_(border_floats)(const struct qw_border_floats *s, uint8_t *arena, struct qw_part part)
{
    const size_t pixel = (size_t)s->out.pitch * sizeof(float), row = (size_t)s->out.row * sizeof(float);
    const size_t left = pixel * (size_t)s->left, right = pixel * (size_t)s->right;
    const struct qw_range mine = share(s->top + s->out.rows + s->bottom, part);
    uint8_t *to = arena + (size_t)s->out.at + (size_t)mine.from * row - (size_t)s->top * row - left;
    for (int32_t y = mine.from - s->top; y < mine.to - s->top; y++, to += row) {
        if (y < 0 || y >= s->out.rows) memset(to, 0, row);
        else memset(to, 0, left), memset(to + row - right, 0, right);
    }
}

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
                        const qw_float *at = floats(arena, &s->in) + i * s->in.row + j * s->in.pitch + c;
                        const QW_(floats) pixel = *(const QW_(floats) *)at;
                        if (s->largest) all = QW_(larger)(all, pixel);
                        else all += pixel;
                    }
                if (!s->largest) all /= QW_(splat_float)((float)count);
                *(QW_(floats) *)(floats(arena, &s->out) + y * s->out.row + x * s->out.pitch + c) = all;
            }
        }
}

TARGET static void QW_(combine_floats)(const struct qw_combine_floats *s, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = s->out.rows * s->out.columns, period = s->b.rows * s->b.columns;
    const struct qw_range mine = share(pixels, part);
    for (int32_t p = mine.from, count; p < mine.to; p += count) {
        const int32_t q = p % period;
        const qw_float *first = floats(arena, &s->a) + pixel_at(&s->a, p);
        const qw_float *second = floats(arena, &s->b) + pixel_at(&s->b, q);
        qw_float *out = floats(arena, &s->out) + pixel_at(&s->out, p);
        count = mine.to - p;
        if (count > neighbours(&s->a, p)) count = neighbours(&s->a, p);
        if (count > neighbours(&s->b, q)) count = neighbours(&s->b, q);
        if (count > neighbours(&s->out, p)) count = neighbours(&s->out, p);
        for (int32_t c = 0; c < count * s->out.pitch; c += LANES) {
            const QW_(floats) a = *(const QW_(floats) *)(first + c);
            const QW_(floats) b = *(const QW_(floats) *)(second + c);
            const QW_(floats) both = s->joint == QW_ADD ? a + b : s->joint == QW_SUBTRACT ? a - b : a * b;
            *(QW_(floats) *)(out + c) = QW_(clamped)(both, s->low, s->high);
        }
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
