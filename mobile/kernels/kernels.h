/* What a generated net calls: kernels on values in one arena, described by constant structures.

   A value (C, H, W) lies as [C / 4][pixel][4]: four channels of a pixel side by side, `stride` pixels from one plane of
   four channels to the next, `pitch` pixels from one row to the next. Bytes hold the integer plus `zero`, so that signed
   values are unsigned bytes too; sums are 32-bit integers. What lies between the end of a row and its pitch is read and
   computed like pixels, and used by nobody. */
#ifndef QWEDGE_KERNELS_H
#define QWEDGE_KERNELS_H
#include <stdint.h>

struct qw_view {
    int32_t at; /* bytes from the beginning of the arena */
    int32_t channels, rows, columns, pitch, stride;
    int32_t zero; /* what a byte holds for the integer 0 */
    int32_t sums; /* 1: 32-bit integers, 0: bytes */
};

/* n * 2^left / 2^right to the nearest integer, ties to even, within low to high. */
struct qw_requantise {
    int32_t left, right, low, high;
    int32_t wide; /* 1: computed with 64 bits, since 32 could overflow */
};

/* Each block of `rows` outputs has a list of the inputs that it multiplies: four neighbouring channels at a tap. */
struct qw_convolve {
    struct qw_view in, out;
    int32_t pixels;         /* that are computed, ends of rows included */
    int32_t block;          /* pixels, about, whose inputs fit into half of a core's cache */
    int32_t rows;           /* outputs of a block: 1, 2 or 4 */
    const int32_t *first;   /* where each block's list begins; one more for the end of the last */
    const int32_t *paired;  /* entries of each list, from its beginning, whose products are added in pairs */
    const int32_t *offsets; /* bytes from a pixel of `in` to the four inputs */
    const int8_t *weights;  /* [entry][rows][4] */
    const int32_t *bias;    /* of every output, less what `zero` of the inputs adds; for bytes with `right`, plus what rounds half
                              up, and `zero` of the outputs times 2^right */
    const int32_t *signed_bias; /* for inputs less 128: `bias` plus 128 times the sum of the output's weights */
    /* With two `terms` another value is added: sums * 2^shift + term * 2^shift_term + constant, before they are requantised. */
    struct qw_view term;
    int32_t terms, shift, shift_term, constant;
    struct qw_requantise to;
};

/* One output for each input channel; each plane of four has its taps, four at a time. */
struct qw_depthwise {
    struct qw_view in, out;
    int32_t pixels;
    const int32_t *first;   /* where each plane's taps begin, a multiple of four; one more for the end of the last */
    const int32_t *offsets; /* bytes from a pixel of `in` */
    const int8_t *weights;  /* [tap / 4][channel][4] */
    const int32_t *bias, *signed_bias; /* as for convolutions */
    struct qw_requantise to;
};

/* Pads, and takes the pixels of each stride apart: plane (a, b) holds those at i * stride + a, j * stride + b. */
struct qw_spread {
    struct qw_view in;
    int32_t at, rows, columns; /* of each phase of the result */
    int32_t tail;              /* pixels of padding behind the last row */
    int32_t plane;             /* bytes from one plane of four channels, all phases, to the next */
    int32_t padding[2], stride[2], phases[2];
};

struct qw_pool {
    struct qw_view in, out;
    int32_t size[2], stride[2];
    int32_t largest; /* 1: the largest of each window, 0: the sum */
    struct qw_requantise to;
};

/* a * 2^shift_a + b * 2^shift_b, or less it for `minus`, then requantised; without b: `terms` is 1. */
struct qw_add {
    struct qw_view a, b, out;
    int32_t terms, shift_a, shift_b, minus;
    struct qw_requantise to;
};

/* Channels as squares of `factor` x `factor` pixels, at most 64. With two `terms` a pixel of `anchor` is added to all of its
   square, in * 2^shift_in + anchor * 2^shift_anchor, and the sum is requantised. */
struct qw_shuffle {
    struct qw_view in, anchor, out;
    int32_t factor, terms, shift_in, shift_anchor;
    struct qw_requantise to;
};

struct qw_flatten {
    struct qw_view in, out;
};

/* Bytes by tables of 256 bytes: one for all channels, or one for each. */
struct qw_table {
    struct qw_view in, out;
    int32_t by_channel;
    const uint8_t *tables;
};

/* Products of two values; the second may have one pixel. */
struct qw_multiply {
    struct qw_view a, b, out;
    int32_t by_channel;
    struct qw_requantise to;
};

/* A constant into the arena. */
struct qw_fill {
    int32_t at, bytes;
    const void *data;
};

/* Runs of numbers at other places: for each where it begins in `in` and in `out`, and its pixels. */
struct qw_rearrange {
    int32_t in, out, sums;
    int32_t each; /* 4: four channels of a pixel at a time, 1: one of them */
    int32_t count;
    const int32_t *runs;
};

/* Weighted sums of `row_taps` rows and `column_taps` columns, then requantised. */
struct qw_resample {
    struct qw_view in, out;
    int32_t row_taps, column_taps, only_moves;
    int32_t room; /* bytes from the beginning of the arena to where a row is summed up */
    const int32_t *row, *row_weights, *column, *column_weights;
    struct qw_requantise to;
};

/* For each number its row of a table, `[row][channel]` with channels filled up to four. */
struct qw_embed {
    struct qw_view in, out;
    int32_t rows;
    const uint8_t *table;
};

/* Over the channels of each pixel; `shared.integer.tokens` defines every step. */
struct qw_norm {
    struct qw_view in, out;
    int64_t epsilon;
    const int32_t *weight, *bias;
    struct qw_requantise to;
};

struct qw_softmax {
    struct qw_view in, out;
    int32_t room; /* bytes from the beginning of the arena */
    const int32_t *exponentials;
};

/* For each row the product of the pixels of `a` and of `b`, whose channels are summed over if it is `transposed`, else its
   columns. */
struct qw_product {
    struct qw_view a, b, out;
    int32_t transposed, inner, room;
    int32_t more; /* is added to every sum, as to the bias of a convolution */
    struct qw_requantise to;
};

/* Floats (C, H, W) lie as [pixel][channel], `pitch` of them from one pixel to the next: a multiple of 16, or of 4 for what
   convolutions alone read. Around a value may lie zeros. */
struct qw_floats {
    int32_t at; /* of the first pixel that is not one of the zeros */
    int32_t channels, rows, columns, pitch;
    int32_t row; /* floats from one row to the next, zeros between them included */
    const void *data; /* of a constant, which lies outside the arena */
};

/* Blocks of 16 outputs, each with a list of the inputs that it multiplies; without a list of its own every input. */
struct qw_convolve_floats {
    struct qw_floats in, out; /* `in` with its border */
    int32_t row, step;        /* floats from the inputs of an output to those of the next row, and of the next pixel */
    int32_t pixels;           /* outputs whose inputs fit into half of a core's cache */
    const int32_t *first, *offsets;    /* floats from the first input of a pixel */
    const void *weights;               /* [entry][16] */
    const void *bias;
    struct qw_floats term; /* with two `terms` added to the result, before it is clamped */
    int32_t terms;
    float low, high;
};

struct qw_depthwise_floats {
    struct qw_floats in, out;
    int32_t row, step, taps;
    const int32_t *offsets;
    const void *weights; /* [tap][pitch] */
    const void *bias;
    float low, high;
};

/* The zeros around a value, in its own memory. */
struct qw_border_floats {
    struct qw_floats out;
    int32_t top, left, bottom, right;
};

/* A copy with zeros around. */
struct qw_pad_floats {
    struct qw_floats in, out;
    int32_t top, left;
};

struct qw_pool_floats {
    struct qw_floats in, out;
    int32_t size[2], stride[2], padding[2];
    int32_t largest;
    int32_t inside; /* 1: the mean is of the pixels that exist, 0: zeros around count too */
};

enum qw_joint {
    QW_ADD,
    QW_SUBTRACT,
    QW_MULTIPLY,
};

/* Number by number; the pixels of `b` are repeated until they are as many. */
struct qw_combine_floats {
    struct qw_floats a, b, out;
    enum qw_joint joint;
    float low, high;
};

enum qw_function {
    QW_CLAMP,
    QW_HARD_SIGMOID,
    QW_HARD_SWISH,
    QW_SIGMOID,
    QW_SILU,
    QW_GELU,
    QW_GELU_TANH,
    QW_TANH,
    QW_LEAKY,
};

struct qw_activate_floats {
    struct qw_floats in, out;
    enum qw_function function;
    float low, high; /* of a clamp; the slope below zero is `low` too */
};

/* Numbers below zero times the slope of their channel. */
struct qw_slope_floats {
    struct qw_floats in, out;
    const void *slopes;
};

/* A part of `out`, `to` floats from its beginning, from the floats `row[y] + column[x] + channel[c]` of `in`. */
struct qw_arrange_floats {
    struct qw_floats in, out;
    int32_t to, rows, columns, channels;
    int32_t together; /* 1: channels are neighbours */
    const int32_t *row, *column, *channel;
};

/* Weighted sums of `row_taps` rows and `column_taps` columns, for each row and each column of `out`. */
struct qw_resample_floats {
    struct qw_floats in, out;
    int32_t row_taps, column_taps;
    const int32_t *row, *column;
    const void *row_weights, *column_weights;
};

/* Each pixel less its mean, over its deviation. */
struct qw_norm_floats {
    struct qw_floats in, out;
    float epsilon;
    const void *weights, *bias;
};

/* Over the channels of each pixel. */
struct qw_softmax_floats {
    struct qw_floats in, out;
};

/* A product of two matrices, of `inner` columns and rows, for each row of `out`; steps are floats. */
struct qw_multiply_floats {
    struct qw_floats a, b, out;
    int32_t inner;
    int32_t a_row, a_column, b_row, b_column;
    int32_t room; /* bytes from the beginning of the arena to where 16 columns of `b` are laid out */
    const int32_t *a_begins, *b_begins;
    float scale;
};

/* For each number of `in` its row of a table. */
struct qw_embed_floats {
    struct qw_floats in, table, out;
};

/* Which part of a call a thread computes, of how many: no two write the same bytes, and together they write what one would. */
struct qw_part {
    int32_t index, count;
};

struct qw_kernels {
    const char *name;
    void (*convolve)(const struct qw_convolve *, uint8_t *arena, struct qw_part);
    void (*depthwise)(const struct qw_depthwise *, uint8_t *arena, struct qw_part);
    void (*spread)(const struct qw_spread *, uint8_t *arena, struct qw_part);
    void (*pool)(const struct qw_pool *, uint8_t *arena, struct qw_part);
    void (*add)(const struct qw_add *, uint8_t *arena, struct qw_part);
    void (*shuffle)(const struct qw_shuffle *, uint8_t *arena, struct qw_part);
    void (*flatten)(const struct qw_flatten *, uint8_t *arena);
    void (*table)(const struct qw_table *, uint8_t *arena);
    void (*multiply)(const struct qw_multiply *, uint8_t *arena);
    void (*fill)(const struct qw_fill *, uint8_t *arena);
    void (*rearrange)(const struct qw_rearrange *, uint8_t *arena);
    void (*resample)(const struct qw_resample *, uint8_t *arena);
    void (*embed)(const struct qw_embed *, uint8_t *arena);
    void (*norm)(const struct qw_norm *, uint8_t *arena);
    void (*softmax)(const struct qw_softmax *, uint8_t *arena);
    void (*product)(const struct qw_product *, uint8_t *arena);
    void (*convolve_floats)(const struct qw_convolve_floats *, uint8_t *arena, struct qw_part);
    void (*depthwise_floats)(const struct qw_depthwise_floats *, uint8_t *arena, struct qw_part);
    void (*border_floats)(const struct qw_border_floats *, uint8_t *arena, struct qw_part);
    void (*pad_floats)(const struct qw_pad_floats *, uint8_t *arena, struct qw_part);
    void (*pool_floats)(const struct qw_pool_floats *, uint8_t *arena, struct qw_part);
    void (*combine_floats)(const struct qw_combine_floats *, uint8_t *arena, struct qw_part);
    void (*activate_floats)(const struct qw_activate_floats *, uint8_t *arena, struct qw_part);
    void (*slope_floats)(const struct qw_slope_floats *, uint8_t *arena, struct qw_part);
    void (*arrange_floats)(const struct qw_arrange_floats *, uint8_t *arena, struct qw_part);
    void (*resample_floats)(const struct qw_resample_floats *, uint8_t *arena, struct qw_part);
    void (*norm_floats)(const struct qw_norm_floats *, uint8_t *arena, struct qw_part);
    void (*softmax_floats)(const struct qw_softmax_floats *, uint8_t *arena, struct qw_part);
    void (*multiply_floats)(const struct qw_multiply_floats *, uint8_t *arena);
    void (*embed_floats)(const struct qw_embed_floats *, uint8_t *arena);
};

/* The kernels for an instruction set, "plain", on x86 "avx2" or "vnni", on Arm "neon" or "dotprod"; of the best that this machine has for NULL. NULL if this
   machine has no such instructions. */
const struct qw_kernels *qw_kernels_for(const char *name);

/* Bytes, or integers for `sums`, channels first, into the arena and out of it. */
void qw_load(const struct qw_view *to, const void *from, uint8_t *arena);
void qw_store(const struct qw_view *from, void *to, const uint8_t *arena);
void qw_load_floats(const struct qw_floats *to, const float *from, uint8_t *arena);
void qw_store_floats(const struct qw_floats *from, float *to, uint8_t *arena);
#endif
