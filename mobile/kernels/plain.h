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

typedef struct {
    int8_t four[4];
} QW_(prepared);

INLINE const QW_(prepared) *QW_(prepare)(const int8_t *w, int32_t count, QW_(prepared) *room)
{
    (void)count, (void)room;
    return (const void *)w; /* as they are */
}

INLINE QW_(weight) QW_(broadcast)(const QW_(prepared) *w)
{
    int32_t four;
    memcpy(&four, w->four, sizeof four);
    return QW_(splat)(four);
}

typedef QW_(vec) QW_(pixels);

INLINE QW_(pixels) QW_(apart)(QW_(vec) x) { return x; }

/* The channels of four bytes, apart: unsigned for pixels, signed for weights. */
#define PIXEL(v, r) (((v) >> (8 * (r))) & 255)
#define WEIGHT(v, r) ((((PIXEL(v, r)) ^ 128)) - 128)

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return sum + PIXEL(x, 0) * WEIGHT(w, 0) + PIXEL(x, 1) * WEIGHT(w, 1) + PIXEL(x, 2) * WEIGHT(w, 2) +
           PIXEL(x, 3) * WEIGHT(w, 3);
}

/* One channel alone. */
INLINE int32_t QW_(place)(int8_t w, int channel)
{
    (void)channel;
    return w;
}

INLINE QW_(vec) QW_(one)(QW_(vec) sum, QW_(vec) x, int32_t w, const int channel)
{
    return sum + PIXEL(x, channel) * w;
}
#undef PIXEL
#undef WEIGHT

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return sum + a * b;
}
