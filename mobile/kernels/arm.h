/* What the instruction sets of Arm have in common: all but the products of bytes. Four pixels side by side. */
typedef int32_t QW_(vec) __attribute__((vector_size(16)));
typedef int8x16_t QW_(weight);

INLINE QW_(vec) QW_(splat)(int32_t n) { return (QW_(vec))vdupq_n_s32(n); }

INLINE void QW_(write)(void *x, QW_(vec) v) { vst1q_u8(x, (uint8x16_t)v); }

INLINE QW_(vec) QW_(least)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))vminq_s32((int32x4_t)a, (int32x4_t)b); }

INLINE QW_(vec) QW_(most)(QW_(vec) a, QW_(vec) b) { return (QW_(vec))vmaxq_s32((int32x4_t)a, (int32x4_t)b); }

INLINE QW_(weight) QW_(broadcast)(const int8_t *w)
{
    int32_t four;
    memcpy(&four, w, sizeof four);
    return (int8x16_t)vdupq_n_s32(four);
}

/* Four integers of each pixel as bytes side by side, within `low` to `high`. */
INLINE QW_(vec) QW_(narrowed)(const QW_(vec) rows[4], int32_t low, int32_t high)
{
    static const uint8_t order[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const int16x8_t a = vcombine_s16(vqmovn_s32((int32x4_t)rows[0]), vqmovn_s32((int32x4_t)rows[1]));
    const int16x8_t b = vcombine_s16(vqmovn_s32((int32x4_t)rows[2]), vqmovn_s32((int32x4_t)rows[3]));
    uint8x16_t bytes = vqtbl1q_u8(vcombine_u8(vqmovun_s16(a), vqmovun_s16(b)), vld1q_u8(order));
    bytes = vmaxq_u8(bytes, vdupq_n_u8((uint8_t)low));
    return (QW_(vec))vminq_u8(bytes, vdupq_n_u8((uint8_t)high));
}

/* Integer k of vector r becomes integer r of vector k. */
INLINE void QW_(transpose)(QW_(vec) rows[4])
{
    const int64x2_t a = (int64x2_t)vtrn1q_s32((int32x4_t)rows[0], (int32x4_t)rows[1]);
    const int64x2_t b = (int64x2_t)vtrn2q_s32((int32x4_t)rows[0], (int32x4_t)rows[1]);
    const int64x2_t c = (int64x2_t)vtrn1q_s32((int32x4_t)rows[2], (int32x4_t)rows[3]);
    const int64x2_t d = (int64x2_t)vtrn2q_s32((int32x4_t)rows[2], (int32x4_t)rows[3]);
    rows[0] = (QW_(vec))vtrn1q_s64(a, c), rows[1] = (QW_(vec))vtrn1q_s64(b, d);
    rows[2] = (QW_(vec))vtrn2q_s64(a, c), rows[3] = (QW_(vec))vtrn2q_s64(b, d);
}

/* Vectors of a pixel's four channels at four taps become vectors of a channel's four taps: pixel k goes to vector k. */
INLINE void QW_(turn)(QW_(vec) x[4])
{
    const int16x8_t a = (int16x8_t)vzip1q_u8((uint8x16_t)x[0], (uint8x16_t)x[1]);
    const int16x8_t b = (int16x8_t)vzip2q_u8((uint8x16_t)x[0], (uint8x16_t)x[1]);
    const int16x8_t c = (int16x8_t)vzip1q_u8((uint8x16_t)x[2], (uint8x16_t)x[3]);
    const int16x8_t d = (int16x8_t)vzip2q_u8((uint8x16_t)x[2], (uint8x16_t)x[3]);
    x[0] = (QW_(vec))vzip1q_s16(a, c), x[1] = (QW_(vec))vzip2q_s16(a, c);
    x[2] = (QW_(vec))vzip1q_s16(b, d), x[3] = (QW_(vec))vzip2q_s16(b, d);
}

INLINE QW_(weight) QW_(of_turned)(const int8_t *w, int k)
{
    (void)k; /* every vector holds all four channels */
    return vld1q_s8(w);
}

INLINE void QW_(turn_back)(QW_(vec) sums[4]) { QW_(transpose)(sums); }

/* Floats may stand anywhere in the arena. */
typedef float QW_(floats) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE QW_(floats) QW_(multiply_add)(QW_(floats) a, QW_(floats) b, QW_(floats) sum)
{
    return (QW_(floats))vfmaq_f32((float32x4_t)sum, (float32x4_t)a, (float32x4_t)b);
}
