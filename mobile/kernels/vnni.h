/* Sixteen pixels side by side; `vpdpbusd` adds four products of an unsigned and a signed byte without saturation. */
typedef int32_t QW_(vec) __attribute__((vector_size(64)));
typedef __m512i QW_(weight);
#define LANES 16
#define VECTORS_4 3
#define VECTORS_2 7
#define VECTORS_1 7
#define FLOAT_PIXELS 12
#define VECTORS_D 3

INLINE QW_(vec) QW_(splat)(int32_t n) { return (QW_(vec))_mm512_set1_epi32(n); }

INLINE QW_(vec) QW_(read)(const uint8_t *x) { return (QW_(vec))_mm512_loadu_si512(x); }

INLINE void QW_(write)(void *x, QW_(vec) v) { _mm512_storeu_si512(x, (__m512i)v); }

INLINE QW_(vec) QW_(least)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))_mm512_min_epi32((__m512i)a, (__m512i)b); }

INLINE QW_(vec) QW_(most)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))_mm512_max_epi32((__m512i)a, (__m512i)b); }

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
    return _mm512_set1_epi32(four);
}

typedef QW_(vec) QW_(pixels);

INLINE QW_(pixels) QW_(apart)(QW_(vec) x) { return x; }

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return (QW_(vec))_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, w);
}

/* One channel alone: the weights of the others are zero. */
INLINE int32_t QW_(place)(int8_t w, int channel) { return (int32_t)((uint32_t)(uint8_t)w << (8 * channel)); }

INLINE QW_(vec) QW_(one)(QW_(vec) sum, QW_(vec) x, int32_t w, const int channel)
{
    (void)channel;
    return QW_(dot)(sum, x, _mm512_set1_epi32(w));
}

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return (QW_(floats))_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
}
