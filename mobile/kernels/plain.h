/* Four pixels side by side, in vectors that every machine has. */
typedef int32_t QW_(vec) __attribute__((vector_size(16)));
typedef QW_(vec) QW_(weight);
#define LANES 4
#define VECTORS_4 1
#define VECTORS_2 2
#define VECTORS_1 2
#define FLOAT_PIXELS 3
#define VECTORS_D 1

INLINE QW_(vec) QW_(splat)(int32_t n) { return (QW_(vec)){n, n, n, n}; }

INLINE QW_(vec) QW_(read)(const uint8_t *x)
{
    QW_(vec) v;
    memcpy(&v, x, sizeof v);
    return v;
}

INLINE void QW_(write)(void *x, QW_(vec) v) { memcpy(x, &v, sizeof v); }

INLINE QW_(vec) QW_(least)(QW_(vec) a, QW_(vec) b)
{
    QW_(vec) smaller = a < b;
    return (a & smaller) | (b & ~smaller);
}

INLINE QW_(vec) QW_(most)(QW_(vec) a, QW_(vec) b)
{
    QW_(vec) larger = a > b;
    return (a & larger) | (b & ~larger);
}

INLINE QW_(weight) QW_(broadcast)(const int8_t *w)
{
    int32_t four;
    memcpy(&four, w, sizeof four);
    return QW_(splat)(four);
}

/* The channels of four bytes, apart: unsigned for pixels, signed for weights. */
#define PIXEL(v, r) (((v) >> (8 * (r))) & 255)
#define WEIGHT(v, r) ((((PIXEL(v, r)) ^ 128)) - 128)

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return sum + PIXEL(x, 0) * WEIGHT(w, 0) + PIXEL(x, 1) * WEIGHT(w, 1) + PIXEL(x, 2) * WEIGHT(w, 2) +
           PIXEL(x, 3) * WEIGHT(w, 3);
}

/* As `dot`, for weights that are computed when the net runs: any four are exact. */
INLINE QW_(vec) QW_(dot_any)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return QW_(dot)(sum, x, w);
}

INLINE QW_(vec) QW_(dot_pair)(QW_(vec) sum, QW_(vec) x, QW_(weight) w, QW_(vec) y, QW_(weight) v)
{
    return QW_(dot)(QW_(dot)(sum, x, w), y, v);
}

/* Four integers of each pixel as bytes side by side, within `low` to `high`. */
INLINE QW_(vec) QW_(narrowed)(const QW_(vec) rows[4], int32_t low, int32_t high)
{
    QW_(vec) bytes = QW_(splat)(0);
    UNROLL for (int r = 0; r < 4; r++)
        bytes |= QW_(least)(QW_(most)(rows[r], QW_(splat)(low)), QW_(splat)(high)) << (8 * r);
    return bytes;
}

/* Integer k of vector r becomes integer r of vector k. */
INLINE void QW_(transpose)(QW_(vec) rows[4])
{
    int32_t from[4][4], to[4][4];
    UNROLL for (int r = 0; r < 4; r++) QW_(write)(from[r], rows[r]);
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 4; k++) to[k][r] = from[r][k];
    UNROLL for (int r = 0; r < 4; r++) memcpy(&rows[r], to[r], sizeof to[r]);
}

/* Vectors of a pixel's four channels at four taps become vectors of a channel's four taps: channel k goes to vector k. */
INLINE void QW_(turn)(QW_(vec) x[4])
{
    QW_(vec) turned[4];
    UNROLL for (int r = 0; r < 4; r++)
        turned[r] = PIXEL(x[0], r) | PIXEL(x[1], r) << 8 | PIXEL(x[2], r) << 16 | PIXEL(x[3], r) << 24;
    UNROLL for (int r = 0; r < 4; r++) x[r] = turned[r];
}

/* The weights of channel k at four taps. */
INLINE QW_(weight) QW_(of_turned)(const int8_t *w, int k) { return QW_(broadcast)(w + 4 * k); }

INLINE void QW_(turn_back)(QW_(vec) sums[4]) { (void)sums; /* pixels are in order */ }
#undef PIXEL
#undef WEIGHT

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return sum + a * b;
}
