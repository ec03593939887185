/* NEON, which every 64-bit Arm processor has: products of bytes in 16 bits, four of which are added. */
#define LANES 4
#define VECTORS_4 3
#define VECTORS_2 6
#define VECTORS_1 7
#define FLOAT_PIXELS 6
#define VECTORS_D 2
#include "arm.h"

INLINE QW_(vec) QW_(read)(const uint8_t *x) { return (QW_(vec))vld1q_u8(x); }

/* The lower and the upper eight products: of an unsigned and a signed byte, which 16 bits hold. */
INLINE int16x8_t QW_(lower)(QW_(vec) x, QW_(weight) w)
{
    return vmulq_s16((int16x8_t)vmovl_u8(vget_low_u8((uint8x16_t)x)), vmovl_s8(vget_low_s8(w)));
}

INLINE int16x8_t QW_(upper)(QW_(vec) x, QW_(weight) w)
{
    return vmulq_s16((int16x8_t)vmovl_u8(vget_high_u8((uint8x16_t)x)), vmovl_s8(vget_high_s8(w)));
}

INLINE QW_(vec) QW_(fours)(QW_(vec) sum, int16x8_t lower, int16x8_t upper)
{
    return sum + (QW_(vec))vpaddq_s32(vpaddlq_s16(lower), vpaddlq_s16(upper));
}

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return QW_(fours)(sum, QW_(lower)(x, w), QW_(upper)(x, w));
}

/* Two entries that are paired fit into 16 bits together; see `mobile.lowering.pairs`. */
INLINE QW_(vec) QW_(dot_pair)(QW_(vec) sum, QW_(vec) x, QW_(weight) w, QW_(vec) y, QW_(weight) v)
{
    return QW_(fours)(
        sum, vaddq_s16(QW_(lower)(x, w), QW_(lower)(y, v)), vaddq_s16(QW_(upper)(x, w), QW_(upper)(y, v)));
}

INLINE QW_(vec) QW_(dot_any)(QW_(vec) sum, QW_(vec) x, QW_(weight) w) { return QW_(dot)(sum, x, w); }
