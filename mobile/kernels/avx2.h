/* Eight pixels side by side. `vpmaddubsw` saturates sums of two products at 16 bits: lists hold no entry whose sums, and
   no pair of entries whose sums together, could reach that; see `mobile.lowering.pairs`. */
typedef int32_t QW_(vec) __attribute__((vector_size(32)));
typedef __m256i QW_(weight);
#define LANES 8
#define VECTORS_4 2
#define VECTORS_2 3
#define VECTORS_1 6
#define FLOAT_PIXELS 6
#define VECTORS_D 2

INLINE QW_(vec) QW_(splat)(int32_t n) { return (QW_(vec))_mm256_set1_epi32(n); }

INLINE QW_(vec) QW_(read)(const uint8_t *x) { return (QW_(vec))_mm256_loadu_si256((const __m256i *)(const void *)x); }

INLINE void QW_(write)(void *x, QW_(vec) v) { _mm256_storeu_si256((__m256i *)x, (__m256i)v); }

INLINE QW_(vec) QW_(least)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))_mm256_min_epi32((__m256i)a, (__m256i)b); }

INLINE QW_(vec) QW_(most)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))_mm256_max_epi32((__m256i)a, (__m256i)b); }

/* From memory, as a float: compilers take integers by way of a general register, which costs two more steps. */
INLINE QW_(weight) QW_(broadcast)(const int8_t *w)
{
    float four;
    memcpy(&four, w, sizeof four);
    return (__m256i)_mm256_set1_ps(four);
}

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    const __m256i products = _mm256_maddubs_epi16((__m256i)x, w);
    return sum + (QW_(vec))_mm256_madd_epi16(products, _mm256_set1_epi16(1));
}

/* As `dot`, for weights that are computed when the net runs: any four are exact. */
INLINE QW_(vec) QW_(dot_any)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    /* Even and odd products apart, as integers of 16 bits: nothing saturates. */
    const __m256i even = _mm256_madd_epi16(
        _mm256_and_si256((__m256i)x, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16((__m256i)x, 8), _mm256_srai_epi16(w, 8));
    return sum + (QW_(vec))even + (QW_(vec))odd;
}

INLINE QW_(vec) QW_(dot_pair)(QW_(vec) sum, QW_(vec) x, QW_(weight) w, QW_(vec) y, QW_(weight) v)
{
    const __m256i products = _mm256_add_epi16(_mm256_maddubs_epi16((__m256i)x, w), _mm256_maddubs_epi16((__m256i)y, v));
    return sum + (QW_(vec))_mm256_madd_epi16(products, _mm256_set1_epi16(1));
}

/* Four integers of each pixel as bytes side by side, within `low` to `high`. */
INLINE QW_(vec) QW_(narrowed)(const QW_(vec) rows[4], int32_t low, int32_t high)
{
    const __m256i order = _mm256_set_epi8(
        15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0, 15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m256i a = _mm256_packs_epi32((__m256i)rows[0], (__m256i)rows[1]);
    const __m256i b = _mm256_packs_epi32((__m256i)rows[2], (__m256i)rows[3]);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(a, b), order);
    bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)low));
    return (QW_(vec))_mm256_min_epu8(bytes, _mm256_set1_epi8((char)high));
}

/* Within each 128 bits, integer k of vector r becomes integer r of vector k. */
INLINE void QW_(transpose)(QW_(vec) rows[4])
{
    const __m256i a = _mm256_unpacklo_epi32((__m256i)rows[0], (__m256i)rows[1]);
    const __m256i b = _mm256_unpackhi_epi32((__m256i)rows[0], (__m256i)rows[1]);
    const __m256i c = _mm256_unpacklo_epi32((__m256i)rows[2], (__m256i)rows[3]);
    const __m256i d = _mm256_unpackhi_epi32((__m256i)rows[2], (__m256i)rows[3]);
    rows[0] = (QW_(vec))_mm256_unpacklo_epi64(a, c), rows[1] = (QW_(vec))_mm256_unpackhi_epi64(a, c);
    rows[2] = (QW_(vec))_mm256_unpacklo_epi64(b, d), rows[3] = (QW_(vec))_mm256_unpackhi_epi64(b, d);
}

/* Vectors of a pixel's four channels at four taps become vectors of a channel's four taps: pixel k of each 128 bits
   goes to vector k. */
INLINE void QW_(turn)(QW_(vec) x[4])
{
    const __m256i a = _mm256_unpacklo_epi8((__m256i)x[0], (__m256i)x[1]);
    const __m256i b = _mm256_unpackhi_epi8((__m256i)x[0], (__m256i)x[1]);
    const __m256i c = _mm256_unpacklo_epi8((__m256i)x[2], (__m256i)x[3]);
    const __m256i d = _mm256_unpackhi_epi8((__m256i)x[2], (__m256i)x[3]);
    x[0] = (QW_(vec))_mm256_unpacklo_epi16(a, c), x[1] = (QW_(vec))_mm256_unpackhi_epi16(a, c);
    x[2] = (QW_(vec))_mm256_unpacklo_epi16(b, d), x[3] = (QW_(vec))_mm256_unpackhi_epi16(b, d);
}

/* The weights of four channels at four taps, for vectors that were turned. */
INLINE QW_(weight) QW_(of_turned)(const int8_t *w, int k)
{
    (void)k; /* every vector holds all four channels */
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)w));
}

INLINE void QW_(turn_back)(QW_(vec) sums[4]) { QW_(transpose)(sums); }

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return (QW_(floats))_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
}
