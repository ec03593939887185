/* Eight pixels side by side. `vpmaddubsw` would saturate sums of two products, so bytes are widened to 16 bits first:
   channels 0 and 2 of each pixel, then 1 and 3, each multiplied and added in pairs by `vpmaddwd`, which is exact. */
typedef int32_t QW_(vec) __attribute__((vector_size(32)));
typedef struct {
    __m256i even, odd;
} QW_(weight), QW_(pixels);
typedef struct {
    float even, odd; /* the bits of four weights, 16 each: numbers 0 and 2, then 1 and 3 */
} QW_(prepared);
#define LANES 8
#define VECTORS_4 2
#define VECTORS_2 3
#define VECTORS_1 4
#define FLOAT_PIXELS 6
#define VECTORS_D 2

INLINE QW_(vec) QW_(splat)(int32_t n) { return (QW_(vec))_mm256_set1_epi32(n); }

INLINE QW_(vec) QW_(read)(const uint8_t *x) { return (QW_(vec))_mm256_loadu_si256((const __m256i *)(const void *)x); }

INLINE void QW_(write)(void *x, QW_(vec) v) { _mm256_storeu_si256((__m256i *)x, (__m256i)v); }

INLINE QW_(vec) QW_(least)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))_mm256_min_epi32((__m256i)a, (__m256i)b); }

INLINE QW_(vec) QW_(most)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))_mm256_max_epi32((__m256i)a, (__m256i)b); }

/* Unpacked once for all pixels of a block: otherwise half of the work would be on weights. */
INLINE const QW_(prepared) *QW_(prepare)(const int8_t *w, int32_t count, QW_(prepared) *room)
{
    for (int32_t i = 0; i < count; i++, w += 4) {
        const uint32_t even = (uint16_t)w[0] | (uint32_t)(uint16_t)w[2] << 16;
        const uint32_t odd = (uint16_t)w[1] | (uint32_t)(uint16_t)w[3] << 16;
        memcpy(&room[i].even, &even, sizeof even);
        memcpy(&room[i].odd, &odd, sizeof odd);
    }
    return room;
}

/* From memory, as floats: compilers take integers by way of a general register, which costs two more steps. */
INLINE QW_(weight) QW_(broadcast)(const QW_(prepared) *w)
{
    return (QW_(weight)){(__m256i)_mm256_broadcast_ss(&w->even), (__m256i)_mm256_broadcast_ss(&w->odd)};
}

INLINE QW_(pixels) QW_(apart)(QW_(vec) x)
{
    return (QW_(pixels)){_mm256_and_si256((__m256i)x, _mm256_set1_epi16(255)), _mm256_srli_epi16((__m256i)x, 8)};
}

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(pixels) x, QW_(weight) w)
{
    return sum + (QW_(vec))_mm256_add_epi32(_mm256_madd_epi16(x.even, w.even), _mm256_madd_epi16(x.odd, w.odd));
}

/* One channel alone: its weight stands where the channel does once pixels are 16 bits wide. */
INLINE int32_t QW_(place)(int8_t w, int channel) { return (int32_t)((uint32_t)(uint16_t)w << (channel / 2 * 16)); }

INLINE QW_(vec) QW_(one)(QW_(vec) sum, QW_(vec) x, int32_t w, const int channel)
{
    __m256i wide = channel % 2 ? _mm256_srli_epi16((__m256i)x, 8) : _mm256_and_si256((__m256i)x, _mm256_set1_epi16(255));
    return sum + (QW_(vec))_mm256_madd_epi16(wide, _mm256_set1_epi32(w));
}

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return (QW_(floats))_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
}
