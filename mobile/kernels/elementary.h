/* Elementary functions of vectors of floats, to about 2e-7: included after the vectors of an instruction set. */
#define POLYNOMIAL(sum, x, ...)                                                                                        \
    do {                                                                                                               \
        static const float terms[] = {__VA_ARGS__}; /* that of the highest power first */                              \
        sum = QW_(splat_float)(terms[0]);                                                                              \
        UNROLL for (size_t i = 1; i < sizeof terms / sizeof *terms; i++)                                               \
            sum = QW_(multiply_add)(sum, x, QW_(splat_float)(terms[i]));                                               \
    } while (0)

INLINE QW_(floats) QW_(magnitude)(QW_(floats) x) { return (QW_(floats))((QW_(vec))x & QW_(splat)(INT32_MAX)); }

INLINE QW_(floats) QW_(with_sign)(QW_(floats) x, QW_(floats) of)
{
    return (QW_(floats))((QW_(vec))x | ((QW_(vec))of & QW_(splat)(INT32_MIN)));
}

INLINE QW_(floats) QW_(larger)(QW_(floats) a, QW_(floats) b)
{
    const QW_(vec) more = b > a;
    return (QW_(floats))(((QW_(vec))b & more) | ((QW_(vec))a & ~more));
}

/* 2^n e^r with |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds to integers, which then stand in the low bits. */
INLINE QW_(floats) QW_(exponential)(QW_(floats) x)
{
    x = QW_(clamped)(x, -87.0f, 88.0f);
    const QW_(floats) magic = QW_(splat_float)(12582912.0f);
    const QW_(floats) shifted = QW_(multiply_add)(x, QW_(splat_float)(1.44269504f), magic), whole = shifted - magic;
    const QW_(vec) n = (QW_(vec))shifted - (QW_(vec))magic;
    /* ln 2 in two parts, the first of which has few bits: its multiples are exact. */
    QW_(floats) r = QW_(multiply_add)(whole, QW_(splat_float)(-0.693359375f), x), sum;
    r = QW_(multiply_add)(whole, QW_(splat_float)(2.12194440e-4f), r);
    POLYNOMIAL(
        sum, r, 0.0013933643931522965f, 0.008363175205886364f, 0.04166646674275398f, 0.16666576266288757f, 0.5f, 1.0f,
        1.0f);
    return sum * (QW_(floats))((n + 127) << 23);
}

/* 1 - e^(-a q(a)) for a = |x| <= 4, where the polynomial q is fitted to -log(erfc(a)) / a at Chebyshev's nodes. */
INLINE QW_(floats) QW_(error_function)(QW_(floats) x)
{
    const QW_(floats) a = QW_(clamped)(QW_(magnitude)(x), 0.0f, 4.0f);
    QW_(floats) sum;
    POLYNOMIAL(
        sum, a, 5.294813263390097e-7f, -1.1481621186248958e-5f, 1.0678771650418639e-4f, -5.404290277510881e-4f,
        1.415167935192585e-3f, 1.7951255722437054e-4f, -1.939122937619686e-2f, 0.10285789519548416f,
        0.6366093158721924f, 1.1283793449401855f);
    return QW_(with_sign)(1.0f - QW_(exponential)(-(sum * a)), x);
}

INLINE QW_(floats) QW_(hyperbolic_tangent)(QW_(floats) x)
{
    const QW_(floats) t = QW_(exponential)(-2.0f * QW_(magnitude)(x));
    return QW_(with_sign)((1.0f - t) / (1.0f + t), x);
}

INLINE QW_(floats) QW_(below_zero_times)(QW_(floats) x, QW_(floats) slope)
{
    const QW_(vec) below = x < 0.0f;
    return (QW_(floats))(((QW_(vec))(x * slope) & below) | ((QW_(vec))x & ~below));
}

INLINE QW_(floats) QW_(activated)(QW_(floats) x, const struct qw_activate_floats *s)
{
    switch (s->function) {
    case QW_HARD_SIGMOID: return QW_(clamped)(x + 3.0f, 0.0f, 6.0f) / 6.0f;
    case QW_HARD_SWISH: return x * (QW_(clamped)(x + 3.0f, 0.0f, 6.0f) / 6.0f);
    case QW_SIGMOID: return 1.0f / (1.0f + QW_(exponential)(-x));
    case QW_SILU: return x / (1.0f + QW_(exponential)(-x));
    case QW_GELU: return 0.5f * x * (1.0f + QW_(error_function)(x * 0.70710678118654752f));
    case QW_GELU_TANH:
        return 0.5f * x * (1.0f + QW_(hyperbolic_tangent)(0.7978845608f * (x + 0.044715f * x * x * x)));
    case QW_TANH: return QW_(hyperbolic_tangent)(x);
    case QW_LEAKY: return QW_(below_zero_times)(x, QW_(splat_float)(s->low));
    case QW_CLAMP:
    default: return QW_(clamped)(x, s->low, s->high);
    }
}
#undef POLYNOMIAL
