/* The kernels, once for each instruction set: included after `ISA`, `TARGET` and the vectors of the set are defined. */

INLINE QW_(vec) QW_(requantised)(QW_(vec) n, const struct qw_requantise *to)
{
    if (to->left) {
        /* What is beyond 2^14 saturates after the shift too: 8 bits hold less. */
        n = QW_(least)(QW_(most)(n, QW_(splat)(-(1 << 14))), QW_(splat)(1 << 14)) * (1 << to->left);
    } else if (to->right) {
        QW_(vec) kept = n >> to->right, dropped = n & ((1 << to->right) - 1);
        n = kept - (QW_(vec))(dropped + (kept & 1) > QW_(splat)(1 << (to->right - 1)));
    }
    return QW_(least)(QW_(most)(n, QW_(splat)(to->low)), QW_(splat)(to->high));
}

/* Four sums of each pixel, written as bytes of whole vectors or as integers of the pixels that exist. */
INLINE void QW_(put)(
    const struct qw_view *out, const struct qw_requantise *to, uint8_t *arena, int32_t plane, int32_t pixel,
    int32_t pixels, QW_(vec) sums[4][MOST_VECTORS], const int V)
{
    size_t at = 4 * ((size_t)plane * (size_t)out->stride + (size_t)pixel);
    if (out->sums) {
        UNROLL for (int v = 0; v < V; v++) {
            int32_t each[4][LANES], together[4 * LANES];
            const int32_t left = pixels - pixel - v * LANES, count = left < LANES ? left : LANES;
            UNROLL for (int r = 0; r < 4; r++) QW_(write)(each[r], sums[r][v]);
            for (int lane = 0; lane < LANES; lane++)
                for (int r = 0; r < 4; r++) together[4 * lane + r] = each[r][lane];
            if (count > 0)
                memcpy(arena + (size_t)out->at + 4 * (at + (size_t)(4 * v * LANES)), together, 16 * (size_t)count);
        }
        return;
    }
    UNROLL for (int v = 0; v < V; v++) {
        QW_(vec) packed = QW_(splat)(0);
        UNROLL for (int r = 0; r < 4; r++)
            packed |= (QW_(requantised)(sums[r][v], to) + out->zero) << (8 * r);
        QW_(write)(arena + (size_t)out->at + at + 4 * (size_t)(v * LANES), packed);
    }
}

/* Four outputs of V vectors of pixels, block by block of R outputs. */
INLINE void QW_(outputs)(
    const struct qw_convolve *c, const QW_(prepared) *weights, uint8_t *arena, int32_t plane, int32_t pixel, const int R,
    const int V)
{
    QW_(vec) sums[4][MOST_VECTORS];
    const uint8_t *from = arena + (size_t)c->in.at + 4 * (size_t)pixel;
    UNROLL for (int b = 0; b < 4 / R; b++) {
        const int32_t *first = c->first + plane * (4 / R) + b;
        const int32_t *offsets = c->offsets + (c->shared ? 0 : first[0]);
        const int32_t entries = first[1] - first[0];
        QW_(vec) block[4][MOST_VECTORS];
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++) block[r][v] = QW_(splat)(c->bias[4 * plane + b * R + r]);
        for (int32_t t = 0; t < entries; t++) {
            const uint8_t *four = from + offsets[t];
            QW_(pixels) x[MOST_VECTORS];
            UNROLL for (int v = 0; v < V; v++) x[v] = QW_(apart)(QW_(read)(four + 4 * v * LANES));
            UNROLL for (int r = 0; r < R; r++) {
                const QW_(weight) w = QW_(broadcast)(weights++);
                UNROLL for (int v = 0; v < V; v++) block[r][v] = QW_(dot)(block[r][v], x[v], w);
            }
        }
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++) sums[b * R + r][v] = block[r][v];
    }
    QW_(put)(&c->out, &c->to, arena, plane, pixel, c->pixels, sums, V);
}

/* A block of pixels at a time, whose inputs stay in the cache while the weights of all outputs pass by. */
#define CONVOLVE(R, V)                                                                                                 \
    TARGET static void QW_(convolve_##R)(const struct qw_convolve *c, uint8_t *arena)                                  \
    {                                                                                                                  \
        QW_(prepared) *room = (void *)(arena + c->room);                                                               \
        const int32_t block = (c->block / (V * LANES) + 1) * (V * LANES);                                              \
        for (int32_t from = 0; from < c->pixels; from += block)                                                        \
            for (int32_t plane = 0; plane < planes(&c->out); plane++) {                                                \
                const int32_t *first = c->first + plane * (4 / R), count = (first[4 / R] - first[0]) * R;              \
                const int32_t end = c->pixels - from < block ? c->pixels : from + block;                               \
                const QW_(prepared) *w = QW_(prepare)(c->weights + (size_t)first[0] * (size_t)(4 * R), count, room);   \
                int32_t pixel = from;                                                                                  \
                for (; pixel + (V - 1) * LANES < end; pixel += V * LANES)                                              \
                    QW_(outputs)(c, w, arena, plane, pixel, R, V);                                                     \
                for (; pixel < end; pixel += LANES) QW_(outputs)(c, w, arena, plane, pixel, R, 1);                     \
            }                                                                                                          \
    }
CONVOLVE(1, VECTORS_1)
CONVOLVE(2, VECTORS_2)
CONVOLVE(4, VECTORS_4)
#undef CONVOLVE

TARGET static void QW_(convolve)(const struct qw_convolve *c, uint8_t *arena)
{
    if (c->rows == 1) QW_(convolve_1)(c, arena);
    else if (c->rows == 2) QW_(convolve_2)(c, arena);
    else QW_(convolve_4)(c, arena);
}

INLINE void QW_(channels)(
    const struct qw_depthwise *c, const int32_t *weights, uint8_t *arena, int32_t plane, int32_t pixel, const int V)
{
    QW_(vec) sums[4][MOST_VECTORS];
    const uint8_t *x = arena + (size_t)c->in.at + (size_t)plane * (size_t)c->plane + 4 * (size_t)pixel;
    UNROLL for (int v = 0; v < V; v++)
        UNROLL for (int r = 0; r < 4; r++) sums[r][v] = QW_(splat)(c->bias[4 * plane + r]);
    for (int32_t t = 0; t < c->taps; t++)
        UNROLL for (int v = 0; v < V; v++) {
            QW_(vec) pixels = QW_(read)(x + c->offsets[t] + 4 * v * LANES);
            UNROLL for (int r = 0; r < 4; r++) sums[r][v] = QW_(one)(sums[r][v], pixels, weights[4 * t + r], r);
        }
    QW_(put)(&c->out, &c->to, arena, plane, pixel, c->pixels, sums, V);
}

TARGET static void QW_(depthwise)(const struct qw_depthwise *c, uint8_t *arena)
{
    int32_t *weights = (void *)(arena + c->room);
    for (int32_t plane = 0; plane < planes(&c->out); plane++) {
        int32_t pixel = 0;
        for (int32_t i = 0; i < 4 * c->taps; i++)
            weights[i] = QW_(place)(c->weights[4 * plane * c->taps + i], i % 4);
        for (; pixel + (VECTORS_D - 1) * LANES < c->pixels; pixel += VECTORS_D * LANES)
            QW_(channels)(c, weights, arena, plane, pixel, VECTORS_D);
        for (; pixel < c->pixels; pixel += LANES) QW_(channels)(c, weights, arena, plane, pixel, 1);
    }
}

TARGET static void QW_(spread)(const struct qw_spread *s, uint8_t *arena)
{
    uint8_t *out = arena + s->at;
    for (int32_t plane = 0; plane < planes(&s->in); plane++)
        for (int32_t a = 0; a < s->phases[0]; a++)
            for (int32_t b = 0; b < s->phases[1]; b++)
                for (int32_t i = 0; i < s->rows; i++, out += 4 * s->columns) {
                    int32_t y = i * s->stride[0] + a - s->padding[0];
                    memset(out, s->in.zero, 4 * (size_t)s->columns);
                    if (y < 0 || y >= s->in.rows) continue;
                    const uint8_t *row = arena + (size_t)s->in.at + element(&s->in, plane, y, 0);
                    const int32_t step = s->stride[1], at = b - s->padding[1];
                    const int32_t from = at < 0 ? (step - 1 - at) / step : 0, inside = (s->in.columns - at + step - 1) / step;
                    const int32_t to = inside < s->columns ? inside : s->columns;
                    if (step == 1 && to > from) memcpy(out + 4 * from, row + 4 * (from + at), 4 * (size_t)(to - from));
                    else
                        for (int32_t j = from; j < to; j++) memcpy(out + 4 * j, row + 4 * (j * step + at), 4);
                }
}

#define CHUNK 256

/* Elements of a value, as many as CHUNK, as integers. */
INLINE void QW_(widen)(const struct qw_view *v, const uint8_t *arena, size_t at, int32_t count, int32_t *to)
{
    const int32_t zero = v->zero; /* apart, for all that the compiler knows `to` might change it */
    const uint8_t *from = arena + (size_t)v->at + at;
    if (v->sums) memcpy(to, arena + (size_t)v->at + 4 * at, 4 * (size_t)count);
    else
        for (int32_t i = 0; i < count; i++) to[i] = from[i] - zero;
}

INLINE void QW_(narrow)(
    const struct qw_view *v, const struct qw_requantise *to, uint8_t *arena, size_t at, int32_t count, int32_t *from)
{
    if (to->wide)
        for (int32_t i = 0; i < count; i++) from[i] = requantise_wide(from[i], to);
    else {
        /* The same three steps as for vectors, on integers that the compiler puts into vectors. */
        const int32_t right = to->right, mask = right ? (1 << right) - 1 : 0, half = right ? 1 << (right - 1) : 1;
        const int32_t factor = 1 << to->left, most = to->left ? 1 << 14 : INT32_MAX, low = to->low, high = to->high;
        for (int32_t i = 0; i < count; i++) {
            int32_t n = from[i];
            n = (n < -most ? -most : n > most ? most : n) * factor;
            int32_t kept = n >> right;
            n = kept + ((n & mask) + (kept & 1) > half);
            from[i] = n < low ? low : n > high ? high : n;
        }
    }
    const int32_t zero = v->zero;
    uint8_t *out = arena + (size_t)v->at + at;
    if (v->sums) memcpy(arena + (size_t)v->at + 4 * at, from, 4 * (size_t)count);
    else
        for (int32_t i = 0; i < count; i++) out[i] = (uint8_t)(from[i] + zero);
}

TARGET static void QW_(add)(const struct qw_add *s, uint8_t *arena)
{
    int32_t a[CHUNK], b[CHUNK];
    for (int32_t plane = 0; plane < planes(&s->out); plane++)
        for (int32_t y = 0; y < s->out.rows; y++)
            for (int32_t x = 0; x < s->out.columns; x += CHUNK / 4) {
                int32_t left = s->out.columns - x, count = left < CHUNK / 4 ? 4 * left : CHUNK;
                QW_(widen)(&s->a, arena, element(&s->a, plane, y, x), count, a);
                if (s->terms == 2) {
                    /* Unsigned, for sums whose parts alone would overflow: the result is proven to fit. */
                    QW_(widen)(&s->b, arena, element(&s->b, plane, y, x), count, b);
                    const int32_t shift_a = s->shift_a, shift_b = s->shift_b;
                    for (int32_t i = 0; i < count; i++)
                        a[i] = (int32_t)(((uint32_t)a[i] << shift_a) + ((uint32_t)b[i] << shift_b));
                }
                QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, y, x), count, a);
            }
}

/* The pixels at one place of every window join what was collected. */
INLINE void QW_(collect)(
    const struct qw_pool *s, const uint8_t *arena, size_t at, int32_t pixels, int first, int32_t *window)
{
    int32_t fours[CHUNK];
    const int32_t step = s->stride[1];
    if (step == 1) QW_(widen)(&s->in, arena, at, 4 * pixels, fours);
    else
        for (int32_t p = 0; p < pixels; p++) QW_(widen)(&s->in, arena, at + 4 * (size_t)(p * step), 4, fours + 4 * p);
    if (first) memcpy(window, fours, 16 * (size_t)pixels);
    else if (s->largest)
        for (int32_t i = 0; i < 4 * pixels; i++) window[i] = fours[i] > window[i] ? fours[i] : window[i];
    else
        for (int32_t i = 0; i < 4 * pixels; i++) window[i] = (int32_t)((uint32_t)window[i] + (uint32_t)fours[i]);
}

TARGET static void QW_(pool)(const struct qw_pool *s, uint8_t *arena)
{
    int32_t window[CHUNK];
    for (int32_t plane = 0; plane < planes(&s->out); plane++)
        for (int32_t y = 0; y < s->out.rows; y++)
            for (int32_t x = 0; x < s->out.columns; x += CHUNK / 4) {
                int32_t left = s->out.columns - x, pixels = left < CHUNK / 4 ? left : CHUNK / 4;
                for (int32_t ky = 0; ky < s->size[0]; ky++)
                    for (int32_t kx = 0; kx < s->size[1]; kx++) {
                        const int32_t row = y * s->stride[0] + ky, column = x * s->stride[1] + kx;
                        QW_(collect)(s, arena, element(&s->in, plane, row, column), pixels, ky == 0 && kx == 0, window);
                    }
                QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, y, x), 4 * pixels, window);
            }
}

TARGET static void QW_(flatten)(const struct qw_flatten *s, uint8_t *arena)
{
    const size_t size = s->in.sums ? 4 : 1;
    const uint8_t *in = arena + s->in.at;
    uint8_t *out = arena + s->out.at;
    for (int32_t c = 0; c < s->in.channels; c++)
        for (int32_t y = 0; y < s->in.rows; y++)
            for (int32_t x = 0; x < s->in.columns; x++, out += size)
                memcpy(out, in + size * (element(&s->in, c / 4, y, x) + (size_t)(c % 4)), size);
}
#undef CHUNK
