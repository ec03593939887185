/* Kernels that move numbers, and those that interpolate. Included after `elementary.h`. */
TARGET static void QW_(arrange_floats)(const struct qw_arrange_floats *s, uint8_t *arena, struct qw_part part)
{
    const qw_float *in = floats(arena, &s->in);
    const struct qw_range mine = share(s->rows, part);
    for (int32_t y = mine.from; y < mine.to; y++)
        for (int32_t x = 0; x < s->columns; x++) {
            const qw_float *from = in + s->row[y] + s->column[x];
            qw_float *to = floats(arena, &s->out) + s->to + (y * s->out.columns + x) * s->out.pitch;
            if (s->together) memcpy(to, from, (size_t)s->channels * sizeof(float));
            else
                for (int32_t c = 0; c < s->channels; c++) to[c] = from[s->channel[c]];
        }
}

TARGET static void QW_(resample_floats)(const struct qw_resample_floats *s, uint8_t *arena, struct qw_part part)
{
    const qw_float *in = floats(arena, &s->in), *by_row = s->row_weights, *by_column = s->column_weights;
    const struct qw_range mine = share(s->out.rows, part);
    qw_float *out = floats(arena, &s->out) + mine.from * s->out.columns * s->out.pitch;
    for (int32_t y = mine.from; y < mine.to; y++)
        for (int32_t x = 0; x < s->out.columns; x++, out += s->out.pitch)
            for (int32_t c = 0; c < s->out.pitch; c += LANES) {
                QW_(floats) sum = QW_(splat_float)(0.0f);
                for (int32_t i = y * s->row_taps; i < (y + 1) * s->row_taps; i++)
                    for (int32_t j = x * s->column_taps; j < (x + 1) * s->column_taps; j++) {
                        const qw_float *at = in + (s->row[i] * s->in.columns + s->column[j]) * s->in.pitch + c;
                        const QW_(floats) weight = QW_(splat_float)(by_row[i] * by_column[j]);
                        sum = QW_(multiply_add)(weight, *(const QW_(floats) *)at, sum);
                    }
                *(QW_(floats) *)(out + c) = sum;
            }
}
