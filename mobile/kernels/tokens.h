/* Kernels of attention: matrix products of two values, softmax, layer norms, tables. Included after `elementary.h`. */
INLINE QW_(floats) QW_(at)(const qw_float *x) { return *(const QW_(floats) *)x; }

INLINE float QW_(total)(QW_(floats) x)
{
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++) sum += x[lane];
    return sum;
}

/* P rows from row `m` of 16 columns: `b` lies as [inner][16]. Behind the last row it is computed again. */
INLINE void QW_(tile_matrices)(
    const struct qw_multiply_floats *s, const qw_float *a, const qw_float *b, qw_float *out, int32_t m, const int P)
{
    QW_(floats) sums[FLOAT_PIXELS][VECTORS];
    const qw_float *at[FLOAT_PIXELS];
    const int32_t rows = s->out.columns, column = s->a_column;
    UNROLL for (int p = 0; p < P; p++) {
        at[p] = a + (m + p < rows ? m + p : rows - 1) * s->a_row;
        UNROLL for (int v = 0; v < VECTORS; v++) sums[p][v] = QW_(splat_float)(0.0f);
    }
    for (int32_t k = 0; k < s->inner; k++, b += OUTPUTS)
        UNROLL for (int p = 0; p < P; p++) {
            const QW_(floats) number = QW_(splat_float)(at[p][k * column]);
            UNROLL for (int v = 0; v < VECTORS; v++)
                sums[p][v] = QW_(multiply_add)(number, QW_(at)(b + v * LANES), sums[p][v]);
        }
    UNROLL for (int p = 0; p < P; p++)
        UNROLL for (int v = 0; v < VECTORS; v++)
            *(QW_(floats) *)(out + (m + p < rows ? m + p : rows - 1) * s->out.pitch + v * LANES) = sums[p][v] * s->scale;
}

TARGET static void QW_(multiply_floats)(const struct qw_multiply_floats *s, uint8_t *arena)
{
    qw_float *room = (void *)(arena + s->room);
    for (int32_t matrix = 0; matrix < s->out.rows; matrix++) {
        const qw_float *a = floats(arena, &s->a) + s->a_begins[matrix], *b = floats(arena, &s->b) + s->b_begins[matrix];
        qw_float *out = floats(arena, &s->out) + matrix * s->out.columns * s->out.pitch;
        for (int32_t left = 0; left < s->out.channels; left += OUTPUTS) {
            const int32_t rest = s->out.channels - left, count = rest < OUTPUTS ? rest : OUTPUTS;
            for (int32_t k = 0; k < s->inner; k++) {
                const qw_float *row = b + k * s->b_row + left * s->b_column;
                for (int32_t j = 0; j < count; j++) room[k * OUTPUTS + j] = row[j * s->b_column];
                for (int32_t j = count; j < OUTPUTS; j++) room[k * OUTPUTS + j] = 0.0f;
            }
            if (s->out.columns == 1) QW_(tile_matrices)(s, a, room, out + left, 0, 1);
            else
                for (int32_t m = 0; m < s->out.columns; m += FLOAT_PIXELS)
                    QW_(tile_matrices)(s, a, room, out + left, m, FLOAT_PIXELS);
        }
    }
}

TARGET static void QW_(softmax_floats)(const struct qw_softmax_floats *s, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = s->out.rows * s->out.columns, channels = s->out.channels, whole = channels - channels % LANES;
    const struct qw_range mine = share(pixels, part);
    for (int32_t p = mine.from; p < mine.to; p++) {
        const qw_float *in = floats(arena, &s->in) + p * s->in.pitch;
        qw_float *out = floats(arena, &s->out) + p * s->out.pitch;
        float largest = -INFINITY, sum = 0.0f;
        for (int32_t c = 0; c < channels; c++) largest = in[c] > largest ? in[c] : largest;
        QW_(floats) sums = QW_(splat_float)(0.0f);
        for (int32_t c = 0; c < whole; c += LANES) {
            const QW_(floats) each = QW_(exponential)(QW_(at)(in + c) - largest);
            sums += each;
            *(QW_(floats) *)(out + c) = each;
        }
        for (int32_t c = whole; c < channels; c++) sum += out[c] = expf(in[c] - largest);
        const float share = 1.0f / (sum + QW_(total)(sums));
        for (int32_t c = 0; c < whole; c += LANES) *(QW_(floats) *)(out + c) = QW_(at)(out + c) * share;
        for (int32_t c = whole; c < channels; c++) out[c] *= share;
    }
}

TARGET static void QW_(norm_floats)(const struct qw_norm_floats *s, uint8_t *arena, struct qw_part part)
{
    const int32_t pixels = s->out.rows * s->out.columns, channels = s->out.channels, whole = channels - channels % LANES;
    const qw_float *weights = s->weights, *bias = s->bias;
    const struct qw_range mine = share(pixels, part);
    for (int32_t p = mine.from; p < mine.to; p++) {
        const qw_float *in = floats(arena, &s->in) + p * s->in.pitch;
        qw_float *out = floats(arena, &s->out) + p * s->out.pitch;
        QW_(floats) sums = QW_(splat_float)(0.0f), squares = sums;
        float sum = 0.0f, square = 0.0f;
        for (int32_t c = 0; c < whole; c += LANES) sums += QW_(at)(in + c);
        for (int32_t c = whole; c < channels; c++) sum += in[c];
        const float mean = (sum + QW_(total)(sums)) / (float)channels;
        for (int32_t c = 0; c < whole; c += LANES) {
            const QW_(floats) off = QW_(at)(in + c) - mean;
            squares += off * off;
        }
        for (int32_t c = whole; c < channels; c++) square += (in[c] - mean) * (in[c] - mean);
        const float gain = 1.0f / sqrtf((square + QW_(total)(squares)) / (float)channels + s->epsilon);
        for (int32_t c = 0; c < s->out.pitch; c += LANES)
            *(QW_(floats) *)(out + c) =
                QW_(multiply_add)((QW_(at)(in + c) - mean) * gain, QW_(at)(weights + c), QW_(at)(bias + c));
    }
}

TARGET static void QW_(embed_floats)(const struct qw_embed_floats *s, uint8_t *arena)
{
    const int32_t pixels = s->out.rows * s->out.columns;
    for (int32_t p = 0; p < pixels; p++) {
        const float number = floats(arena, &s->in)[p * s->in.pitch], last = (float)(s->table.rows - 1);
        const int32_t row = (int32_t)(number > 0.0f ? number < last ? number : last : 0.0f);
        memcpy(
            floats(arena, &s->out) + p * s->out.pitch, floats(arena, &s->table) + row * s->table.pitch,
            (size_t)s->out.pitch * sizeof(float));
    }
}
