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

INLINE QW_(weight) QW_(broadcast)(const int8_t *w)
{
    int32_t four;
    memcpy(&four, w, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return (QW_(vec))_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, w);
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
    const __m512i order = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400);
    const __m512i a = _mm512_packs_epi32((__m512i)rows[0], (__m512i)rows[1]);
    const __m512i b = _mm512_packs_epi32((__m512i)rows[2], (__m512i)rows[3]);
    __m512i bytes = _mm512_shuffle_epi8(_mm512_packus_epi16(a, b), order);
    bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)low));
    return (QW_(vec))_mm512_min_epu8(bytes, _mm512_set1_epi8((char)high));
}

/* As for AVX2. */
INLINE void QW_(transpose)(QW_(vec) rows[4])
{
    const __m512i a = _mm512_unpacklo_epi32((__m512i)rows[0], (__m512i)rows[1]);
    const __m512i b = _mm512_unpackhi_epi32((__m512i)rows[0], (__m512i)rows[1]);
    const __m512i c = _mm512_unpacklo_epi32((__m512i)rows[2], (__m512i)rows[3]);
    const __m512i d = _mm512_unpackhi_epi32((__m512i)rows[2], (__m512i)rows[3]);
    rows[0] = (QW_(vec))_mm512_unpacklo_epi64(a, c), rows[1] = (QW_(vec))_mm512_unpackhi_epi64(a, c);
    rows[2] = (QW_(vec))_mm512_unpacklo_epi64(b, d), rows[3] = (QW_(vec))_mm512_unpackhi_epi64(b, d);
}

INLINE void QW_(turn)(QW_(vec) x[4])
{
    const __m512i a = _mm512_unpacklo_epi8((__m512i)x[0], (__m512i)x[1]);
    const __m512i b = _mm512_unpackhi_epi8((__m512i)x[0], (__m512i)x[1]);
    const __m512i c = _mm512_unpacklo_epi8((__m512i)x[2], (__m512i)x[3]);
    const __m512i d = _mm512_unpackhi_epi8((__m512i)x[2], (__m512i)x[3]);
    x[0] = (QW_(vec))_mm512_unpacklo_epi16(a, c), x[1] = (QW_(vec))_mm512_unpackhi_epi16(a, c);
    x[2] = (QW_(vec))_mm512_unpacklo_epi16(b, d), x[3] = (QW_(vec))_mm512_unpackhi_epi16(b, d);
}

INLINE QW_(weight) QW_(of_turned)(const int8_t *w, int k)
{
    (void)k; /* every vector holds all four channels */
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)w));
}

INLINE void QW_(turn_back)(QW_(vec) sums[4]) { QW_(transpose)(sums); }

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return (QW_(floats))_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
}
