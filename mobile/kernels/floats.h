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

/* P pixels of 16 outputs. */
INLINE void QW_(tile_floats)(
    const struct qw_convolve_floats *c, const qw_float *x, const int32_t *offsets, int32_t entries, const qw_float *w,
    const qw_float *bias, qw_float *out, const int P)
{
    QW_(floats) sums[FLOAT_PIXELS][VECTORS];
    const int32_t step = c->step;
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++) sums[p][v] = *(const QW_(floats) *)(bias + v * LANES);
    for (int32_t t = 0; t < entries; t++, w += OUTPUTS) {
        const qw_float *at = x + offsets[t];
        QW_(floats) weights[VECTORS];
        UNROLL for (int v = 0; v < VECTORS; v++) weights[v] = *(const QW_(floats) *)(w + v * LANES);
        UNROLL for (int p = 0; p < P; p++) {
            QW_(floats) pixel = QW_(splat_float)(at[p * step]);
            UNROLL for (int v = 0; v < VECTORS; v++)
                sums[p][v] = QW_(multiply_add)(pixel, weights[v], sums[p][v]);
        }
    }
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++)
            *(QW_(floats) *)(out + p * c->out.pitch + v * LANES) = QW_(clamped)(sums[p][v], c->low, c->high);
}

/* The pixels of a row from `m` to `end`. */
INLINE void QW_(row_floats)(
    const struct qw_convolve_floats *c, uint8_t *arena, int32_t block, int32_t row, int32_t m, int32_t end)
{
    const int32_t from = c->first[block], entries = c->first[block + 1] - from;
    const int32_t *offsets = c->offsets + from;
    const qw_float *w = (const qw_float *)c->weights + (size_t)from * OUTPUTS;
    const qw_float *bias = (const qw_float *)c->bias + block * OUTPUTS;
    const qw_float *x = floats(arena, &c->in) + row * c->row;
    qw_float *out = floats(arena, &c->out) + row * c->out.columns * c->out.pitch + block * OUTPUTS;
#define TILE(P)                                                                                                        \
    for (; m + (P) <= end; m += (P))                                                                                   \
        QW_(tile_floats)(c, x + m * c->step, offsets, entries, w, bias, out + m * c->out.pitch, (P));
    TILE(FLOAT_PIXELS)
    TILE((FLOAT_PIXELS + 1) / 2)
    TILE(1)
#undef TILE
}

TARGET static void QW_(convolve_floats)(const struct qw_convolve_floats *c, uint8_t *arena)
{
    for (int32_t top = 0; top < c->out.rows; top += c->block_rows)
        for (int32_t left = 0; left < c->out.columns; left += c->block_columns) {
            const int32_t bottom = top + c->block_rows < c->out.rows ? top + c->block_rows : c->out.rows;
            const int32_t end = left + c->block_columns < c->out.columns ? left + c->block_columns : c->out.columns;
            for (int32_t block = 0; block < c->out.pitch / OUTPUTS; block++)
                for (int32_t row = top; row < bottom; row++) QW_(row_floats)(c, arena, block, row, left, end);
        }
}

INLINE void QW_(depthwise_tile)(
    const struct qw_depthwise_floats *c, const qw_float *x, int32_t channel, qw_float *out, const int P)
{
    const qw_float *w = (const qw_float *)c->weights + channel;
    QW_(floats) sums[6];
    UNROLL for (int p = 0; p < P; p++) sums[p] = *(const QW_(floats) *)((const qw_float *)c->bias + channel);
    for (int32_t t = 0; t < c->taps; t++) {
        const QW_(floats) weights = *(const QW_(floats) *)(w + t * c->out.pitch);
        UNROLL for (int p = 0; p < P; p++)
            sums[p] = QW_(multiply_add)(*(const QW_(floats) *)(x + c->offsets[t] + p * c->step), weights, sums[p]);
    }
    UNROLL for (int p = 0; p < P; p++)
        *(QW_(floats) *)(out + p * c->out.pitch) = QW_(clamped)(sums[p], c->low, c->high);
}

TARGET static void QW_(depthwise_floats)(const struct qw_depthwise_floats *c, uint8_t *arena)
{
    for (int32_t row = 0; row < c->out.rows; row++)
        for (int32_t channel = 0; channel < c->out.pitch; channel += LANES) {
            const qw_float *x = floats(arena, &c->in) + row * c->row + channel;
            qw_float *out = floats(arena, &c->out) + row * c->out.columns * c->out.pitch + channel;
            int32_t m = 0;
            for (; m + 6 <= c->out.columns; m += 6)
                QW_(depthwise_tile)(c, x + m * c->step, channel, out + m * c->out.pitch, 6);
            for (; m < c->out.columns; m++)
                QW_(depthwise_tile)(c, x + m * c->step, channel, out + m * c->out.pitch, 1);
        }
}

TARGET static void QW_(pad_floats)(const struct qw_pad_floats *s, uint8_t *arena)
{
    const size_t pixel = (size_t)s->out.pitch * sizeof(float), row = pixel * (size_t)s->out.columns;
    const size_t inside = pixel * (size_t)s->in.columns, left = pixel * (size_t)s->left;
    uint8_t *to = arena + s->out.at;
    for (int32_t y = 0; y < s->out.rows; y++, to += row) {
        const int32_t from = y - s->top;
        if (from < 0 || from >= s->in.rows) memset(to, 0, row);
        else {
            memset(to, 0, left);
            memcpy(to + left, arena + (size_t)s->in.at + (size_t)from * inside, inside);
            memset(to + left + inside, 0, row - left - inside);
        }
    }
}

TARGET static void QW_(pool_floats)(const struct qw_pool_floats *s, uint8_t *arena)
{
    for (int32_t y = 0; y < s->out.rows; y++)
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

TARGET static void QW_(combine_floats)(const struct qw_combine_floats *s, uint8_t *arena)
{
    const int32_t pixels = s->out.rows * s->out.columns, period = s->b.rows * s->b.columns, pitch = s->out.pitch;
    const qw_float *first = floats(arena, &s->a), *second = floats(arena, &s->b);
    qw_float *out = floats(arena, &s->out);
    for (int32_t p = 0, q = 0; p < pixels; p++, q = q + 1 == period ? 0 : q + 1)
        for (int32_t c = 0; c < pitch; c += LANES) {
            const QW_(floats) a = *(const QW_(floats) *)(first + p * pitch + c);
            const QW_(floats) b = *(const QW_(floats) *)(second + q * pitch + c);
            const QW_(floats) both = s->joint == QW_ADD ? a + b : s->joint == QW_SUBTRACT ? a - b : a * b;
            *(QW_(floats) *)(out + p * pitch + c) = QW_(clamped)(both, s->low, s->high);
        }
}

TARGET static void QW_(activate_floats)(const struct qw_activate_floats *s, uint8_t *arena)
{
    const int32_t count = s->out.rows * s->out.columns * s->out.pitch;
    const qw_float *in = floats(arena, &s->in);
    qw_float *out = floats(arena, &s->out);
    for (int32_t i = 0; i < count; i += OUTPUTS) { /* side by side: polynomials are long chains */
        QW_(floats) x[VECTORS];
        UNROLL for (int v = 0; v < VECTORS; v++) x[v] = *(const QW_(floats) *)(in + i + v * LANES);
        UNROLL for (int v = 0; v < VECTORS; v++) x[v] = QW_(activated)(x[v], s);
        UNROLL for (int v = 0; v < VECTORS; v++) *(QW_(floats) *)(out + i + v * LANES) = x[v];
    }
}

TARGET static void QW_(slope_floats)(const struct qw_slope_floats *s, uint8_t *arena)
{
    const int32_t pixels = s->out.rows * s->out.columns, pitch = s->out.pitch;
    const qw_float *in = floats(arena, &s->in), *slopes = s->slopes;
    qw_float *out = floats(arena, &s->out);
    for (int32_t p = 0; p < pixels; p++, in += pitch, out += pitch)
        for (int32_t c = 0; c < pitch; c += LANES)
            *(QW_(floats) *)(out + c) =
                QW_(below_zero_times)(*(const QW_(floats) *)(in + c), *(const QW_(floats) *)(slopes + c));
}

#include "moves.h"
#include "tokens.h"
#undef VECTORS
