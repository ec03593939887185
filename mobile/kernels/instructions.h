/* The kernels, once for each instruction set: included after `ISA`, `TARGET` and the vectors of the set are defined. */
#ifndef BIAS
#define BIAS bias
#define READ_LESS 0
#endif

/* Sums become what bytes hold, but for the limits. Where digits are dropped, `bias` has added half of the last that is kept
   and what bytes hold for 0: a tie was rounded up, so from an odd number one is taken away. */
INLINE void QW_(requantise)(QW_(vec) sums[MOST_VECTORS][4], const struct qw_requantise *to, int32_t zero, const int V)
{
    const int32_t right = to->right, left = to->left;
    if (right) {
        const QW_(vec) digits = QW_(splat)((2 << right) - 1), odd_tie = QW_(splat)(1 << right);
        UNROLL for (int v = 0; v < V; v++)
            UNROLL for (int r = 0; r < 4; r++)
                sums[v][r] = (sums[v][r] + ((sums[v][r] & digits) == odd_tie)) >> right;
        return;
    }
    /* What is beyond 2^14 saturates after the shift too: 8 bits hold less. */
    UNROLL for (int v = 0; v < V; v++)
        UNROLL for (int r = 0; r < 4; r++) {
            const QW_(vec) near = QW_(least)(QW_(most)(sums[v][r], QW_(splat)(-(1 << 14))), QW_(splat)(1 << 14));
            sums[v][r] = near * (1 << left) + zero;
        }
}

/* Four sums of each pixel, written as bytes of whole vectors or as integers of the pixels that exist. */
INLINE void QW_(put)(
    const struct qw_view *out, const struct qw_requantise *to, uint8_t *arena, int32_t plane, int32_t pixel,
    int32_t pixels, QW_(vec) sums[MOST_VECTORS][4], const int V)
{
    const size_t at = 4 * ((size_t)plane * (size_t)out->stride + (size_t)pixel);
    uint8_t *bytes = arena + (size_t)out->at + (out->sums ? 4 * at : at);
    if (out->sums) {
        UNROLL for (int v = 0; v < V; v++) {
            int32_t fours[4][LANES];
            const int32_t left = pixels - pixel - v * LANES, count = left < LANES ? left : LANES;
            QW_(transpose)(sums[v]);
            UNROLL for (int k = 0; k < 4; k++) QW_(write)(fours[k], sums[v][k]);
            uint8_t *to_pixels = bytes + 16 * v * LANES;
            if (count == LANES)
                UNROLL for (int p = 0; p < LANES; p++) memcpy(to_pixels + 16 * p, fours[p % 4] + p / 4 * 4, 16);
            else
                for (int p = 0; p < count; p++) memcpy(to_pixels + 16 * p, fours[p % 4] + p / 4 * 4, 16);
        }
        return;
    }
    const int32_t low = to->low + out->zero, high = to->high + out->zero;
    QW_(requantise)(sums, to, out->zero, V);
    QW_(vec) narrow[MOST_VECTORS]; /* before the first is written, which might change `low` for all the compiler knows */
    UNROLL for (int v = 0; v < V; v++) narrow[v] = QW_(narrowed)(sums[v], low, high);
    UNROLL for (int v = 0; v < V; v++) QW_(write)(bytes + 4 * v * LANES, narrow[v]);
}

/* Pixels of the value that is added, as they lie in `pixels`, whose rows have another pitch than those of the result. */
INLINE void QW_(gather)(const struct qw_convolve *c, const uint8_t *plane, int32_t from, uint8_t *pixels)
{
    const struct qw_view *term = &c->term;
    int32_t row = from / c->out.pitch, column = from % c->out.pitch;
    for (int32_t p = 0; p < LANES; p++) {
        if (row < term->rows && column < term->columns) {
            const int32_t at = row * term->pitch + column;
            if (term->sums) memcpy(pixels + 16 * p, plane + 16 * (size_t)at, 16);
            else memcpy(pixels + 4 * p, plane + 4 * (size_t)at, 4);
        }
        if (++column == c->out.pitch) column = 0, row++;
    }
}

/* Another value is added to four sums of each pixel. A function of its own: there are many tiles, and this is quick. */
TARGET static __attribute__((noinline)) void QW_(join)(
    const struct qw_convolve *c, const uint8_t *arena, int32_t plane, int32_t pixel, QW_(vec) sums[MOST_VECTORS][4],
    const int V)
{
    const struct qw_view *term = &c->term;
    const size_t each = term->sums ? 16 : 4;
    const uint8_t *from = arena + (size_t)term->at + each * (size_t)plane * (size_t)term->stride;
    for (int v = 0; v < V; v++) {
        uint8_t gathered[16 * LANES] = {0};
        const uint8_t *pixels = from + each * (size_t)(pixel + v * LANES);
        if (term->pitch != c->out.pitch) QW_(gather)(c, from, pixel + v * LANES, gathered), pixels = gathered;
        QW_(vec) more[4];
        if (term->sums) {
            int32_t fours[4][LANES];
            for (int p = 0; p < LANES; p++) memcpy(fours[p % 4] + p / 4 * 4, pixels + 16 * p, 16);
            UNROLL for (int k = 0; k < 4; k++) memcpy(&more[k], fours[k], sizeof more[k]);
            QW_(transpose)(more);
        } else {
            QW_(vec) bytes;
            memcpy(&bytes, pixels, sizeof bytes);
            UNROLL for (int r = 0; r < 4; r++) more[r] = (bytes >> 8 * r) & 255;
        }
        UNROLL for (int r = 0; r < 4; r++)
            sums[v][r] = (sums[v][r] << c->shift) + (more[r] << c->shift_term) + c->constant;
    }
}

/* Four outputs of V vectors of pixels, block by block of R outputs. */
INLINE void QW_(outputs)(
    const struct qw_convolve *c, const int8_t *weights, uint8_t *arena, int32_t plane, int32_t pixel, const int R,
    const int V)
{
    QW_(vec) sums[MOST_VECTORS][4];
    const uint8_t *from = arena + (size_t)c->in.at + 4 * (size_t)pixel;
    UNROLL for (int b = 0; b < 4 / R; b++) {
        const int32_t block = plane * (4 / R) + b, *offsets = c->offsets + c->first[block];
        const int32_t *single = offsets + c->paired[block], *end = c->offsets + c->first[block + 1];
        QW_(vec) all[MOST_VECTORS][4];
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++) all[v][r] = QW_(splat)(c->BIAS[4 * plane + b * R + r]);
        for (; offsets < single; offsets += 2, weights += 8 * R) {
            const uint8_t *x = from + offsets[0], *y = from + offsets[1];
            QW_(vec) fours[MOST_VECTORS][2];
            UNROLL for (int v = 0; v < V; v++)
                fours[v][0] = QW_(read)(x + 4 * v * LANES), fours[v][1] = QW_(read)(y + 4 * v * LANES);
            UNROLL for (int r = 0; r < R; r++) {
                const QW_(weight) w = QW_(broadcast)(weights + 4 * r), u = QW_(broadcast)(weights + 4 * (R + r));
                UNROLL for (int v = 0; v < V; v++)
                    all[v][r] = QW_(dot_pair)(all[v][r], fours[v][0], w, fours[v][1], u);
            }
        }
        for (; offsets < end; offsets++, weights += 4 * R) {
            const uint8_t *x = from + offsets[0];
            QW_(vec) fours[MOST_VECTORS];
            UNROLL for (int v = 0; v < V; v++) fours[v] = QW_(read)(x + 4 * v * LANES);
            UNROLL for (int r = 0; r < R; r++) {
                const QW_(weight) w = QW_(broadcast)(weights + 4 * r);
                UNROLL for (int v = 0; v < V; v++) all[v][r] = QW_(dot)(all[v][r], fours[v], w);
            }
        }
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int v = 0; v < V; v++) sums[v][b * R + r] = all[v][r];
    }
    if (c->terms == 2) {
        QW_(vec) joined[MOST_VECTORS][4]; /* a copy, so that `sums` need not lie in memory for all others */
        UNROLL for (int v = 0; v < V; v++)
            UNROLL for (int r = 0; r < 4; r++) joined[v][r] = sums[v][r];
        QW_(join)(c, arena, plane, pixel, joined, V);
        UNROLL for (int v = 0; v < V; v++)
            UNROLL for (int r = 0; r < 4; r++) sums[v][r] = joined[v][r];
    }
    QW_(put)(&c->out, &c->to, arena, plane, pixel, c->pixels, sums, V);
}

/* A block of pixels at a time, whose inputs stay in the cache while the weights of all outputs pass by. */
#define TILE(R, V)                                                                                                     \
    for (; pixel + ((V) - 1) * LANES < end; pixel += (V) * LANES) QW_(outputs)(c, w, arena, plane, pixel, R, (V));
#define CONVOLVE(R, V)                                                                                                 \
    TARGET static void QW_(convolve_##R)(const struct qw_convolve *c, uint8_t *arena, struct qw_part part)             \
    {                                                                                                                  \
        const int32_t block = (c->block / (V * LANES) + 1) * (V * LANES);                                              \
        struct qw_range of_planes, pixels;                                                                             \
        divide(planes(&c->out), c->pixels, LANES, part, &of_planes, &pixels);                                          \
        for (int32_t from = pixels.from; from < pixels.to; from += block)                                              \
            for (int32_t plane = of_planes.from; plane < of_planes.to; plane++) {                                      \
                const int32_t end = pixels.to - from < block ? pixels.to : from + block;                               \
                const int8_t *w = c->weights + (size_t)c->first[plane * (4 / R)] * (size_t)(4 * R);                    \
                int32_t pixel = from;                                                                                  \
                TILE(R, V)                                                                                             \
                TILE(R, (V + 1) / 2)                                                                                   \
                TILE(R, 1)                                                                                             \
            }                                                                                                          \
    }
CONVOLVE(1, VECTORS_1)
CONVOLVE(2, VECTORS_2)
CONVOLVE(4, VECTORS_4)
#undef CONVOLVE
#undef TILE

TARGET static void QW_(convolve)(const struct qw_convolve *c, uint8_t *arena, struct qw_part part)
{
    if (c->out.stride == 1) { /* planes without room between them: whole vectors of one reach into the next */
        if (part.index) return;
        part.count = 1;
    }
    if (c->rows == 1) QW_(convolve_1)(c, arena, part);
    else if (c->rows == 2) QW_(convolve_2)(c, arena, part);
    else QW_(convolve_4)(c, arena, part);
}

INLINE void QW_(channels)(
    const struct qw_depthwise *c, uint8_t *arena, int32_t plane, int32_t pixel, const int V)
{
    QW_(vec) sums[MOST_VECTORS][4];
    const uint8_t *x = arena + (size_t)c->in.at + 4 * (size_t)pixel;
    UNROLL for (int v = 0; v < V; v++)
        UNROLL for (int r = 0; r < 4; r++) sums[v][r] = QW_(splat)(0);
    for (int32_t t = c->first[plane]; t < c->first[plane + 1]; t += 4)
        UNROLL for (int v = 0; v < V; v++) {
            QW_(vec) fours[4];
            UNROLL for (int k = 0; k < 4; k++) fours[k] = QW_(read)(x + c->offsets[t + k] + 4 * v * LANES);
            QW_(turn)(fours);
            UNROLL for (int k = 0; k < 4; k++)
                sums[v][k] = QW_(dot)(sums[v][k], fours[k], QW_(of_turned)(c->weights + 4 * t, k));
        }
    UNROLL for (int v = 0; v < V; v++) {
        QW_(turn_back)(sums[v]);
        UNROLL for (int r = 0; r < 4; r++) sums[v][r] += c->BIAS[4 * plane + r];
    }
    QW_(put)(&c->out, &c->to, arena, plane, pixel, c->pixels, sums, V);
}

TARGET static void QW_(depthwise)(const struct qw_depthwise *c, uint8_t *arena, struct qw_part part)
{
    struct qw_range of_planes = {0, planes(&c->out)}, pixels = {0, c->pixels};
    if (c->out.stride > 1) divide(of_planes.to, c->pixels, LANES, part, &of_planes, &pixels);
    else if (part.index) return; /* as for convolutions */
    for (int32_t plane = of_planes.from; plane < of_planes.to; plane++) {
        int32_t pixel = pixels.from;
        for (; pixel + (VECTORS_D - 1) * LANES < pixels.to; pixel += VECTORS_D * LANES)
            QW_(channels)(c, arena, plane, pixel, VECTORS_D);
        for (; pixel < pixels.to; pixel += LANES) QW_(channels)(c, arena, plane, pixel, 1);
    }
}

/* Every `step`th pixel of a row; compilers make vectors of a step that they know. */
INLINE void QW_(every)(uint8_t *to, const uint8_t *from, int32_t count, int32_t step)
{
    const qw_integer *pixels = (const qw_integer *)(const void *)from;
    qw_integer *taken = (qw_integer *)(void *)to;
    if (step == 2)
        for (int32_t j = 0; j < count; j++) taken[j] = pixels[2 * j];
    else
        for (int32_t j = 0; j < count; j++) taken[j] = pixels[j * step];
}

TARGET static void QW_(spread)(const struct qw_spread *s, uint8_t *arena, struct qw_part part)
{
    const struct qw_range mine = share(planes(&s->in), part);
    for (int32_t plane = mine.from; plane < mine.to; plane++) {
        uint8_t *out = arena + s->at + (size_t)plane * (size_t)s->plane;
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
                    else QW_(every)(out + 4 * from, row + 4 * (from * step + at), to - from, step);
                }
        memset(out, s->in.zero, 4 * (size_t)s->tail);
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
    else if (to->left || to->right || to->low > INT32_MIN || to->high < INT32_MAX) {
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

TARGET static void QW_(add)(const struct qw_add *s, uint8_t *arena, struct qw_part part)
{
    int32_t a[CHUNK], b[CHUNK];
    const struct qw_range mine = share(planes(&s->out), part);
    const int together = long_rows(&s->a) == 1 && (s->terms == 1 || long_rows(&s->b) == 1);
    const int32_t rows = together ? long_rows(&s->out) : s->out.rows, columns = s->out.rows * s->out.columns / rows;
    for (int32_t plane = mine.from; plane < mine.to; plane++)
        for (int32_t y = 0; y < rows; y++)
            for (int32_t x = 0; x < columns; x += CHUNK / 4) {
                int32_t left = columns - x, count = left < CHUNK / 4 ? 4 * left : CHUNK;
                QW_(widen)(&s->a, arena, element(&s->a, plane, y, x), count, a);
                if (s->terms == 1 && s->shift_a)
                    for (int32_t i = 0; i < count; i++) a[i] = (int32_t)((uint32_t)a[i] << s->shift_a);
                if (s->terms == 2) {
                    /* Unsigned, for sums whose parts alone would overflow: the result is proven to fit. */
                    QW_(widen)(&s->b, arena, element(&s->b, plane, y, x), count, b);
                    const int32_t shift_a = s->shift_a, shift_b = s->shift_b;
                    const uint32_t sign = s->minus ? UINT32_MAX : 0; /* (b ^ sign) - sign is -b, or b */
                    for (int32_t i = 0; i < count; i++)
                        a[i] = (int32_t)(((uint32_t)a[i] << shift_a) + ((((uint32_t)b[i] << shift_b) ^ sign) - sign));
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

/* The one window of a plane, row by row: the pixels of a row are neighbours. */
INLINE void QW_(whole)(const struct qw_pool *s, const uint8_t *arena, int32_t plane, int32_t *four)
{
    int32_t row[CHUNK];
    for (int32_t k = 0; k < 4; k++) four[k] = s->largest ? INT32_MIN : 0;
    for (int32_t y = 0; y < s->size[0]; y++)
        for (int32_t x = 0; x < s->size[1]; x += CHUNK / 4) {
            const int32_t left = s->size[1] - x, count = left < CHUNK / 4 ? 4 * left : CHUNK;
            QW_(widen)(&s->in, arena, element(&s->in, plane, y, x), count, row);
            for (int32_t i = 0; i < count; i += 4)
                for (int32_t k = 0; k < 4; k++)
                    four[k] = !s->largest ? (int32_t)((uint32_t)four[k] + (uint32_t)row[i + k])
                              : row[i + k] > four[k] ? row[i + k] : four[k];
        }
}

TARGET static void QW_(pool)(const struct qw_pool *s, uint8_t *arena, struct qw_part part)
{
    int32_t window[CHUNK];
    const struct qw_range mine = share(planes(&s->out), part);
    const int one = s->out.rows * s->out.columns == 1;
    for (int32_t plane = mine.from; plane < mine.to; plane++) {
        if (one) {
            QW_(whole)(s, arena, plane, window);
            QW_(narrow)(&s->out, &s->to, arena, element(&s->out, plane, 0, 0), 4, window);
            continue;
        }
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
