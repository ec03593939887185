/* Arm with dot products (from Armv8.2): `sdot` multiplies signed bytes, so pixels are read less 128, for which the bias
   makes up. */
#define LANES 4
#define VECTORS_4 4
#define VECTORS_2 7
#define VECTORS_1 7
#define FLOAT_PIXELS 6
#define VECTORS_D 2
#define BIAS signed_bias
#define READ_LESS 128
#include "arm.h"

INLINE QW_(vec) QW_(read)(const uint8_t *x) { return (QW_(vec))veorq_u8(vld1q_u8(x), vdupq_n_u8(128)); }

INLINE QW_(vec) QW_(dot)(QW_(vec) sum, QW_(vec) x, QW_(weight) w)
{
    return (QW_(vec))vdotq_s32((int32x4_t)sum, (int8x16_t)x, w);
}

INLINE QW_(vec) QW_(dot_pair)(QW_(vec) sum, QW_(vec) x, QW_(weight) w, QW_(vec) y, QW_(weight) v)
{
    return QW_(dot)(QW_(dot)(sum, x, w), y, v);
}

INLINE QW_(vec) QW_(dot_any)(QW_(vec) sum, QW_(vec) x, QW_(weight) w) { return QW_(dot)(sum, x, w); }
