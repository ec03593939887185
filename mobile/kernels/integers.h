/* Kernels of attention, of tables and of moves, in integers: included after `instructions.h`. */
#define CHUNK 256

/* Four channels of a pixel: a vector that every machine has. */
#define FOUR(array, i) (*(qw_four *)(void *)((array) + 4 * (i)))

/* Bytes by one table of 256. */
INLINE void QW_(look_up)(const uint8_t *table, const uint8_t *in, uint8_t *out, int32_t count)
{
    int32_t i = 0;
#if LANES > 4
    /* By sixteen tables of 16: those that do not hold a byte give 0 for it, since its highest bit is set then. */
    for (; i + 32 <= count; i += 32) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(in + i));
        __m256i y = _mm256_setzero_si256();
        UNROLL for (int k = 0; k < 16; k++) {
            const __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(table + 16 * k));
            const __m256i apart = _mm256_xor_si256(x, _mm256_set1_epi8((char)(16 * k)));
            const __m256i place = _mm256_adds_epu8(apart, _mm256_set1_epi8(0x70));
            y = _mm256_or_si256(y, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(part), place));
        }
        _mm256_storeu_si256((__m256i *)(void *)(out + i), y);
    }
#endif
    for (; i < count; i++) out[i] = table[in[i]];
}

TARGET static void QW_(table)(const struct qw_table *s, uint8_t *arena)
{
    const int32_t rows = s->in.pitch == s->out.pitch ? long_rows(&s->out) : s->out.rows;
    const int32_t columns = s->out.rows * s->out.columns / rows;
    for (int32_t plane = 0; plane < planes(&s->out); plane++) {
        const uint8_t *tables = s->tables + (s->by_channel ? 1024 * plane : 0);
        for (int32_t y = 0; y < rows; y++) {
            const uint8_t *in = arena + (size_t)s->in.at + element(&s->in, plane, y, 0);
            uint8_t *out = arena + (size_t)s->out.at + element(&s->out, plane, y, 0);
            if (s->by_channel)
                for (int32_t x = 0; x < 4 * columns; x += 4)
                    for (int32_t k = 0; k < 4; k++) out[x + k] = tables[256 * k + in[x + k]];
            else QW_(look_up)(tables, in, out, 4 * columns);
        }
    }
}

TARGET static void QW_(multiply)(const struct qw_multiply *s, uint8_t *arena)
{
    int32_t a[CHUNK], b[CHUNK];
    for (int32_t plane = 0; plane < planes(&s->out); plane++)
        for (int32_t y = 0; y < s->out.rows; y++)
            for (int32_t x = 0; x < s->out.columns; x += CHUNK / 4) {
                const int32_t left = s->out.columns - x, count = left < CHUNK / 4 ? 4 * left : CHUNK;
                QW_(widen)(&s->a, arena, element(&s->a, plane, y, x), count, a);
                if (s->by_channel) {
                    QW_(widen)(&s->b, arena, element(&s->b, plane, 0, 0), 4, b);
                    for (int32_t i = 4; i < count; i++) b[i] = b[i - 4];
                } else QW_(widen)(&s->b, arena, element(&s->b, plane, y, x), count, b);
                /* Unsigned: channels that fill up a plane may hold anything. */
                for (int32_t i = 0; i < count; i++) a[i] = (int32_t)((uint32_t)a[i] * (uint32_t)b[i]);
                QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, y, x), count, a);
            }
}

TARGET static void QW_(fill)(const struct qw_fill *s, uint8_t *arena)
{
    memcpy(arena + s->at, s->data, (size_t)s->bytes);
}

TARGET static void QW_(rearrange)(const struct qw_rearrange *s, uint8_t *arena)
{
    const size_t size = s->sums ? 4 : 1;
    for (int32_t k = 0; k < s->count; k++) {
        const int32_t *run = s->runs + 3 * k;
        const uint8_t *from = arena + (size_t)s->in + size * (size_t)run[0];
        uint8_t *to = arena + (size_t)s->out + size * (size_t)run[1];
        if (s->each == 4) memcpy(to, from, 4 * size * (size_t)run[2]);
        else if (size == 1)
            for (int32_t i = 0; i < run[2]; i++) to[4 * i] = from[4 * i];
        else
            for (int32_t i = 0; i < run[2]; i++) memcpy(to + 16 * i, from + 16 * i, 4);
    }
}

/* The weighted sum of rows, in the room of the call; then that of its columns, pixel by pixel. */
TARGET static void QW_(resample)(const struct qw_resample *s, uint8_t *arena)
{
    _Alignas(16) int32_t sums[CHUNK];
    int32_t row[CHUNK], *line = (void *)(arena + s->room);
    const size_t size = s->in.sums ? 4 : 1;
    for (int32_t plane = 0; plane < planes(&s->out); plane++)
        for (int32_t y = 0; y < s->out.rows; y++) {
            if (s->only_moves) {
                uint8_t *out = arena + (size_t)s->out.at + size * element(&s->out, plane, y, 0);
                const uint8_t *in = arena + (size_t)s->in.at + size * element(&s->in, plane, s->row[y], 0);
                for (int32_t p = 0; p < s->out.columns; p++)
                    memcpy(out + 4 * size * (size_t)p, in + 4 * size * (size_t)s->column[p], 4 * size);
                continue;
            }
            for (int32_t x = 0; x < s->in.columns; x += CHUNK / 4) {
                const int32_t left = s->in.columns - x, count = left < CHUNK / 4 ? 4 * left : CHUNK;
                int32_t *part = line + 4 * x;
                memset(part, 0, 4 * (size_t)count);
                for (int32_t i = y * s->row_taps; i < (y + 1) * s->row_taps; i++) {
                    const uint32_t weight = (uint32_t)s->row_weights[i];
                    if (!weight) continue;
                    QW_(widen)(&s->in, arena, element(&s->in, plane, s->row[i], x), count, row);
                    for (int32_t k = 0; k < count; k++) part[k] = (int32_t)((uint32_t)part[k] + (uint32_t)row[k] * weight);
                }
            }
            const int32_t taps = s->column_taps;
            for (int32_t x = 0; x < s->out.columns; x += CHUNK / 4) {
                const int32_t left = s->out.columns - x, pixels = left < CHUNK / 4 ? left : CHUNK / 4;
                for (int32_t p = 0; p < pixels; p++) {
                    qw_four_unsigned sum = {0};
                    for (int32_t j = (x + p) * taps; j < (x + p + 1) * taps; j++) {
                        qw_four_unsigned pixel;
                        memcpy(&pixel, line + 4 * s->column[j], 16);
                        sum += pixel * (uint32_t)s->column_weights[j];
                    }
                    memcpy(sums + 4 * p, &sum, 16);
                }
                QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, y, x), 4 * pixels, sums);
            }
        }
}

/* A row of squares as integers, from some pixels of the image whose channels they are. */
INLINE void QW_(squares)(
    const struct qw_shuffle *s, const uint8_t *arena, int32_t plane, int32_t y, int32_t x, int32_t pixels, int32_t *to)
{
    const int32_t factor = s->factor, left = s->out.channels - 4 * plane, channels = left < 4 ? left : 4;
    const int32_t from = y % factor * factor; /* place of the row's first pixel in its square */
    const size_t each = s->in.sums ? 4 : 1;
    const uint8_t *in = arena + s->in.at;
    if (s->in.sums && factor % 2 == 0) {
        /* Channels of a square's pixels lie side by side, and go apart four pixels at a time, or two. */
        const int32_t step = factor % 4 ? 2 : 4;
        for (int32_t d = 0; d < factor; d += step)
            for (int32_t p = 0; p < pixels; p += LANES / 4) {
                QW_(vec) fours[4];
                int32_t apart[4][LANES];
                UNROLL for (int k = 0; k < 4; k++) {
                    const int32_t channel = (4 * plane + (k < channels ? k : 0)) * factor * factor + from + d;
                    memcpy(&fours[k], in + 4 * element(&s->in, channel / 4, y / factor, x + p), sizeof fours[k]);
                }
                QW_(transpose)(fours);
                UNROLL for (int k = 0; k < 4; k++) QW_(write)(apart[k], fours[k]);
                for (int32_t q = 0; q < LANES / 4; q++)
                    for (int32_t k = 0; k < step; k++)
                        memcpy(to + 4 * ((p + q) * factor + d + k), apart[(from + d) % 4 + k] + 4 * q, 16);
            }
        return;
    }
    for (int32_t k = 0; k < channels; k++)
        for (int32_t d = 0; d < factor; d++) {
            const int32_t channel = (4 * plane + k) * factor * factor + from + d;
            const uint8_t *one = in + each * (element(&s->in, channel / 4, y / factor, x) + (size_t)(channel % 4));
            int32_t *number = to + 4 * d + k;
            for (int32_t p = 0; p < pixels; p++, one += 4 * each, number += 4 * factor)
                if (each == 1) *number = *one - s->in.zero;
                else memcpy(number, one, 4);
        }
    for (int32_t k = channels; k < 4; k++) /* channels that fill up a plane */
        for (int32_t p = 0; p < pixels * factor; p++) to[4 * p + k] = 0;
}

TARGET static void QW_(shuffle)(const struct qw_shuffle *s, uint8_t *arena, struct qw_part part)
{
    int32_t line[4 * CHUNK], anchor[4 * CHUNK];
    const int32_t factor = s->factor, most = CHUNK / factor / 4 * 4;
    const struct qw_range mine = share(s->out.rows, part);
    for (int32_t plane = 0; plane < planes(&s->out); plane++)
        for (int32_t y = mine.from; y < mine.to; y++)
            for (int32_t x = 0; x < s->in.columns; x += most) {
                const int32_t left = s->in.columns - x, pixels = left < most ? left : most;
                QW_(squares)(s, arena, plane, y, x, pixels, line);
                if (s->terms == 2) {
                    QW_(widen)(&s->anchor, arena, element(&s->anchor, plane, y / factor, x), 4 * pixels, anchor);
                    for (int32_t p = 0; p < pixels; p++)
                        for (int32_t d = p * factor; d < (p + 1) * factor; d++) {
                            qw_four_unsigned pixel, more; /* for sums whose parts alone would overflow */
                            memcpy(&pixel, line + 4 * d, 16), memcpy(&more, anchor + 4 * p, 16);
                            pixel = (pixel << s->shift_in) + (more << s->shift_anchor);
                            memcpy(line + 4 * d, &pixel, 16);
                        }
                }
                QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, y, x * factor), 4 * pixels * factor, line);
            }
}

TARGET static void QW_(embed)(const struct qw_embed *s, uint8_t *arena)
{
    for (int32_t n = 0; n < s->out.columns; n++) {
        int32_t four[4];
        QW_(widen)(&s->in, arena, element(&s->in, n / 4, 0, 0), 4, four);
        const int32_t number = four[n % 4], last = s->rows - 1, row = number < 0 ? 0 : number < last ? number : last;
        const uint8_t *from = s->table + 4 * (size_t)planes(&s->out) * (size_t)row;
        for (int32_t plane = 0; plane < planes(&s->out); plane++)
            memcpy(arena + (size_t)s->out.at + element(&s->out, plane, 0, n), from + 4 * plane, 4);
    }
}

/* Some pixels of a plane as integers, with `rest` in the channels behind the last. */
INLINE void QW_(whole_fours)(
    const struct qw_view *v, const uint8_t *arena, int32_t plane, int32_t y, int32_t x, int32_t pixels, int32_t rest,
    int32_t *to)
{
    QW_(widen)(v, arena, element(v, plane, y, x), 4 * pixels, to);
    for (int32_t k = v->channels - 4 * plane; k < 4; k++)
        for (int32_t p = 0; p < pixels; p++) to[4 * p + k] = rest;
}

/* What a pixel's numbers are brought to before the product with `root`, see `shared.integer.tokens.LayerNorm`. */
struct QW_(deviation) {
    int32_t total, root, up, down, half;
};

INLINE struct QW_(deviation) QW_(deviation_of)(int64_t total, int64_t squares, int32_t channels, int64_t epsilon)
{
    const uint64_t v = (uint64_t)(channels * squares - total * total + epsilon);
    struct QW_(deviation) d = {(int32_t)total, 0, 1, 0, 0};
    const int32_t digits = v ? 64 - __builtin_clzll(v) : 0, e = (digits - 21) >> 1;
    const uint64_t scaled = e < 0 ? v << (-2 * e) : v >> (2 * e);
    const int32_t q = (int32_t)sqrt((double)scaled); /* below 2^11: rounding does not reach the next integer */
    d.root = (1 << 23) / (q ? q : 1);
    if (e < 0) d.up = 1 << -e;
    else if (e > 0) d.down = e, d.half = 1 << (e - 1);
    return d;
}

TARGET static void QW_(norm)(const struct qw_norm *s, uint8_t *arena)
{
    _Alignas(16) int32_t x[CHUNK], totals[CHUNK];
    int64_t squares[CHUNK];
    struct QW_(deviation) of[CHUNK / 4];
    const int32_t channels = s->in.channels;
    for (int32_t y = 0; y < s->out.rows; y++)
        for (int32_t column = 0; column < s->out.columns; column += CHUNK / 4) {
            const int32_t left = s->out.columns - column, pixels = left < CHUNK / 4 ? left : CHUNK / 4;
            memset(totals, 0, sizeof totals), memset(squares, 0, sizeof squares);
            for (int32_t plane = 0; plane < planes(&s->in); plane++) {
                QW_(whole_fours)(&s->in, arena, plane, y, column, pixels, 0, x);
                for (int32_t i = 0; i < 4 * pixels; i++) totals[i] += x[i], squares[i] += (int64_t)x[i] * x[i];
            }
            for (int32_t p = 0; p < pixels; p++) {
                int64_t total = 0, square = 0;
                for (int32_t k = 0; k < 4; k++) total += totals[4 * p + k], square += squares[4 * p + k];
                of[p] = QW_(deviation_of)(total, square, channels, s->epsilon);
            }
            for (int32_t plane = 0; plane < planes(&s->in); plane++) {
                qw_four weight, bias;
                memcpy(&weight, s->weight + 4 * plane, 16), memcpy(&bias, s->bias + 4 * plane, 16);
                QW_(whole_fours)(&s->in, arena, plane, y, column, pixels, 0, x);
                for (int32_t p = 0; p < pixels; p++) {
                    const qw_four away = (FOUR(x, p) * channels - of[p].total) * of[p].up;
                    const qw_four normal = (((away + of[p].half) >> of[p].down) * of[p].root + (1 << 13)) >> 14;
                    FOUR(x, p) = normal * weight + bias;
                }
                QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, y, column), 4 * pixels, x);
            }
        }
}

TARGET static void QW_(softmax)(const struct qw_softmax *s, uint8_t *arena)
{
    _Alignas(16) int32_t x[CHUNK], most[CHUNK];
    uint32_t *room = (void *)(arena + s->room); /* [plane][pixel][4] */
    const int32_t *fine = s->exponentials, *coarse = fine + 256;
    for (int32_t y = 0; y < s->out.rows; y++)
        for (int32_t column = 0; column < s->out.columns; column += CHUNK / 4) {
            const int32_t left = s->out.columns - column, pixels = left < CHUNK / 4 ? left : CHUNK / 4;
            uint32_t totals[CHUNK / 4] = {0};
            uint64_t shares[CHUNK / 4];
            for (int32_t i = 0; i < CHUNK; i++) most[i] = INT32_MIN;
            for (int32_t plane = 0; plane < planes(&s->in); plane++) {
                QW_(whole_fours)(&s->in, arena, plane, y, column, pixels, INT32_MIN, x);
                for (int32_t i = 0; i < 4 * pixels; i++) most[i] = x[i] > most[i] ? x[i] : most[i];
            }
            for (int32_t p = 0; p < pixels; p++)
                for (int32_t k = 1; k < 4; k++) most[4 * p] = most[4 * p + k] > most[4 * p] ? most[4 * p + k] : most[4 * p];
            for (int32_t plane = 0; plane < planes(&s->in); plane++) {
                uint32_t *terms = room + plane * CHUNK;
                QW_(widen)(&s->in, arena, element(&s->in, plane, y, column), 4 * pixels, x);
                for (int32_t p = 0; p < pixels; p++)
                    UNROLL for (int32_t k = 0; k < 4; k++) {
                        /* Of channels behind the last, anything: it is in the table and is set to 0 afterwards. */
                        const uint32_t away = ((uint32_t)most[4 * p] - (uint32_t)x[4 * p + k]) & 65535;
                        terms[4 * p + k] = ((uint32_t)coarse[away >> 8] * (uint32_t)fine[away & 255] + (1 << 14)) >> 15;
                    }
                for (int32_t k = s->in.channels - 4 * plane; k < 4; k++)
                    for (int32_t p = 0; p < pixels; p++) terms[4 * p + k] = 0;
                for (int32_t p = 0; p < pixels; p++)
                    totals[p] += terms[4 * p] + terms[4 * p + 1] + terms[4 * p + 2] + terms[4 * p + 3];
            }
            for (int32_t p = 0; p < pixels; p++) shares[p] = ((uint64_t)1 << 46) / totals[p];
            for (int32_t plane = 0; plane < planes(&s->in); plane++) {
                const uint32_t *terms = room + plane * CHUNK;
                uint8_t *out = arena + (size_t)s->out.at + element(&s->out, plane, y, column);
                for (int32_t p = 0; p < pixels; p++)
                    for (int32_t k = 0; k < 4; k++) {
                        const uint64_t share = (terms[4 * p + k] * shares[p] + ((uint64_t)1 << 37)) >> 38;
                        out[4 * p + k] = (uint8_t)(share < 255 ? share : 255);
                    }
            }
        }
}

/* The second value as a product takes it, for a row and four outputs: `[inner / 4][4 outputs][4]`, and their biases. */
INLINE void QW_(lay_out)(
    const struct qw_product *s, const uint8_t *arena, int32_t row, int32_t plane, int8_t *weights, int32_t *bias)
{
    const int32_t outputs = s->out.channels - 4 * plane < 4 ? s->out.channels - 4 * plane : 4;
    const uint8_t *from = arena + s->b.at;
    int32_t sums[4] = {0}, k = 0;
    if (outputs == 4)
        for (; k + 4 <= s->inner; k += 4) {
            uint8_t fours[16];
            int8_t *to = weights + 4 * k;
            if (s->transposed) memcpy(fours, from + element(&s->b, k / 4, row, 4 * plane), 16);
            else {
                const uint8_t *pixels = from + element(&s->b, plane, row, k);
                UNROLL for (int i = 0; i < 16; i++) fours[i] = pixels[4 * (i % 4) + i / 4];
            }
            UNROLL for (int i = 0; i < 16; i++) to[i] = (int8_t)(fours[i] ^ 128); /* these have a sign: less 128 */
            UNROLL for (int i = 0; i < 16; i++) sums[i / 4] += to[i];
        }
    for (; k < (s->inner + 3) / 4 * 4; k++)
        for (int32_t r = 0; r < 4; r++) {
            int32_t weight = 0;
            if (k < s->inner && r < outputs)
                weight = s->transposed ? from[element(&s->b, k / 4, row, 4 * plane + r) + (size_t)(k % 4)] - s->b.zero
                                       : from[element(&s->b, plane, row, k) + (size_t)r] - s->b.zero;
            weights[16 * (k / 4) + 4 * r + k % 4] = (int8_t)weight;
            sums[r] += weight;
        }
    for (int32_t r = 0; r < 4; r++) bias[r] = s->more - (s->a.zero - READ_LESS) * sums[r];
}

/* Four outputs of V vectors of pixels. */
INLINE void QW_(multiplied)(
    const struct qw_product *s, uint8_t *arena, const int8_t *weights, const int32_t *bias, int32_t row, int32_t plane,
    int32_t column, const int V)
{
    QW_(vec) sums[MOST_VECTORS][4];
    const uint8_t *x = arena + (size_t)s->a.at + element(&s->a, 0, row, column);
    UNROLL for (int v = 0; v < V; v++)
        UNROLL for (int r = 0; r < 4; r++) sums[v][r] = QW_(splat)(bias[r]);
    for (int32_t k = 0; k < s->inner; k += 4, x += 4 * s->a.stride, weights += 16)
        UNROLL for (int v = 0; v < V; v++) {
            const QW_(vec) four = QW_(read)(x + 4 * v * LANES);
            UNROLL for (int r = 0; r < 4; r++)
                sums[v][r] = QW_(dot_any)(sums[v][r], four, QW_(broadcast)(weights + 4 * r));
        }
    const int32_t from = row * s->out.pitch;
    QW_(put)(&s->out, &s->to, arena, plane, from + column, from + s->out.columns, sums, V);
}

/* Plane by plane: what is written behind the end of one is computed afterwards. */
TARGET static void QW_(product)(const struct qw_product *s, uint8_t *arena)
{
    int32_t *bias = (void *)(arena + s->room);
    int8_t *weights = (void *)(bias + 4);
    for (int32_t plane = 0; plane < planes(&s->out); plane++)
        for (int32_t row = 0; row < s->out.rows; row++) {
            QW_(lay_out)(s, arena, row, plane, weights, bias);
            int32_t column = 0;
            for (; column + (VECTORS_4 - 1) * LANES < s->out.columns; column += VECTORS_4 * LANES)
                QW_(multiplied)(s, arena, weights, bias, row, plane, column, VECTORS_4);
            for (; column < s->out.columns; column += LANES)
                QW_(multiplied)(s, arena, weights, bias, row, plane, column, 1);
        }
}
#undef CHUNK
#undef FOUR
