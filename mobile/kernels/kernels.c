#include "kernels.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

#define JOIN(a, b) a##_##b
#define JOINED(a, b) JOIN(a, b)
#define QUOTED(a) #a
#define TEXT(a) QUOTED(a)
#define QW_(name) JOINED(name, ISA)
#define INLINE static inline __attribute__((always_inline)) TARGET
#define MOST_VECTORS 7
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

static int32_t planes(const struct qw_view *v) { return (v->channels + 3) / 4; }

static int32_t clamp(int64_t n, const struct qw_requantise *to)
{
    return (int32_t)(n < to->low ? to->low : n > to->high ? to->high : n);
}

/* Right shifts of negative integers keep the sign with every compiler that has vectors. */
static int32_t requantise_wide(int64_t n, const struct qw_requantise *to)
{
    if (to->right == 0) return clamp(n * ((int64_t)1 << to->left), to);
    int64_t kept = n >> to->right, dropped = n - kept * ((int64_t)1 << to->right);
    return clamp(kept + (dropped + (kept & 1) > (int64_t)1 << (to->right - 1)), to);
}

static size_t element(const struct qw_view *v, int32_t plane, int32_t row, int32_t column)
{
    return 4 * ((size_t)plane * (size_t)v->stride + (size_t)row * (size_t)v->pitch + (size_t)column);
}

/* Four bytes of the arena's layout at once: compilers make vectors of these loops. */
static uint32_t four(const uint8_t *from)
{
    uint32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

/* A sum, or the four bytes of a pixel, in memory that is declared as bytes. */
typedef int32_t qw_integer __attribute__((may_alias));

struct qw_range {
    int32_t from, to;
};

static struct qw_range share(int32_t count, struct qw_part part)
{
    return (struct qw_range){
        (int32_t)((int64_t)count * part.index / part.count), (int32_t)((int64_t)count * (part.index + 1) / part.count)};
}

/* That of `count` things which are computed `unit` at a time. */
static struct qw_range share_of_tiles(int32_t count, int32_t unit, struct qw_part part)
{
    const struct qw_range tiles = share((count + unit - 1) / unit, part);
    return (struct qw_range){tiles.from * unit, tiles.to * unit < count ? tiles.to * unit : count};
}

/* Blocks of outputs where they are many, whose weights then pass by one thread alone; else pixels. */
static void divide(
    int32_t blocks, int32_t pixels, int32_t unit, struct qw_part part, struct qw_range *of_blocks,
    struct qw_range *of_pixels)
{
    const int by_blocks = pixels <= unit || blocks >= 4 * part.count;
    *of_blocks = by_blocks ? share(blocks, part) : (struct qw_range){0, blocks};
    *of_pixels = by_blocks ? (struct qw_range){0, pixels} : share_of_tiles(pixels, unit, part);
}

/* The whole plane is one row if its rows follow each other. */
static int32_t long_rows(const struct qw_view *v) { return v->pitch == v->columns ? 1 : v->rows; }

void qw_load(const struct qw_view *to, const void *from, uint8_t *arena)
{
    const size_t size = (size_t)to->rows * (size_t)to->columns;
    const int32_t rows = long_rows(to), columns = (int32_t)size / rows;
    const uint32_t zeros = (uint32_t)to->zero * 0x01010101u; /* to add 128 is to turn the highest bit */
    if (to->sums) {
        const uint8_t *number = from;
        for (int32_t c = 0; c < to->channels; c++)
            for (int32_t y = 0; y < to->rows; y++)
                for (int32_t x = 0; x < to->columns; x++, number += 4)
                    memcpy(arena + (size_t)to->at + 4 * (element(to, c / 4, y, x) + (size_t)(c % 4)), number, 4);
        return;
    }
    for (int32_t c = 0; c < to->channels; c += 4)
        for (int32_t y = 0; y < rows; y++) {
            const uint8_t *row = (const uint8_t *)from + (size_t)c * size + (size_t)y * (size_t)columns;
            uint8_t *out = arena + (size_t)to->at + element(to, c / 4, y, 0);
            const int32_t channels = to->channels - c;
            const uint8_t *b = channels > 1 ? row + size : row, *d = channels > 2 ? row + 2 * size : row;
            const uint8_t *e = channels > 3 ? row + 3 * size : row; /* what does not exist is multiplied by zero */
            for (int32_t x = 0; x < columns; x++) {
                const uint32_t bytes =
                    (row[x] | (uint32_t)b[x] << 8 | (uint32_t)d[x] << 16 | (uint32_t)e[x] << 24) ^ zeros;
                memcpy(out + 4 * x, &bytes, sizeof bytes);
            }
        }
}

/* Pixels whose numbers of four channels are in the first-level cache while each channel is taken out of them. */
#define STORED 256

void qw_store(const struct qw_view *from, void *to, const uint8_t *arena)
{
    const int32_t rows = long_rows(from), columns = from->rows * from->columns / rows;
    const uint8_t zero = (uint8_t)from->zero;
    const size_t each = from->sums ? 4 : 1, size = each * (size_t)rows * (size_t)columns;
    for (int32_t c = 0; c < from->channels; c += 4)
        for (int32_t y = 0; y < rows; y++)
            for (int32_t x = 0; x < columns; x += STORED) {
                const uint8_t *pixels = arena + (size_t)from->at + each * element(from, c / 4, y, x);
                const int32_t count = columns - x < STORED ? columns - x : STORED;
                for (int32_t k = 0; k < 4 && c + k < from->channels; k++) {
                    uint8_t *out = (uint8_t *)to + (size_t)(c + k) * size + each * ((size_t)y * (size_t)columns + (size_t)x);
                    if (from->sums) {
                        const qw_integer *numbers = (const qw_integer *)(const void *)pixels + k;
                        qw_integer *integers = (qw_integer *)(void *)out;
                        for (int32_t p = 0; p < count; p++) integers[p] = numbers[4 * p];
                    } else
                        for (int32_t p = 0; p < count; p++) out[p] = (uint8_t)(four(pixels + 4 * p) >> 8 * k) ^ zero;
                }
            }
}

typedef int32_t qw_four __attribute__((vector_size(16), may_alias));
typedef uint32_t qw_four_unsigned __attribute__((vector_size(16)));

/* Floats of the arena and of constants, which are declared as bytes. */
typedef float qw_float __attribute__((may_alias));
#define OUTPUTS 16
/* Entries of lists whose weights, 64 bytes each, have half of a first-level cache. */
#define NEAR_ENTRIES 256

/* Pixels that lie one behind the other from a pixel on. */
static int32_t neighbours(const struct qw_floats *v, int32_t pixel)
{
    return v->row == v->columns * v->pitch ? v->rows * v->columns - pixel : v->columns - pixel % v->columns;
}

static int32_t pixel_at(const struct qw_floats *v, int32_t pixel)
{
    return pixel / v->columns * v->row + pixel % v->columns * v->pitch;
}

static qw_float *floats(uint8_t *arena, const struct qw_floats *v)
{
    return v->data ? (qw_float *)(uintptr_t)v->data : (void *)(arena + v->at); /* no kernel writes a constant */
}

void qw_load_floats(const struct qw_floats *to, const float *from, uint8_t *arena)
{
    const size_t pixels = (size_t)to->rows * (size_t)to->columns;
    for (int32_t y = 0; y < to->rows; y++) {
        qw_float *pixel = floats(arena, to) + y * to->row;
        for (int32_t x = 0; x < to->columns; x++, from++, pixel += to->pitch) {
            for (int32_t c = 0; c < to->channels; c++) pixel[c] = from[(size_t)c * pixels];
            for (int32_t c = to->channels; c < to->pitch; c++) pixel[c] = 0.0f;
        }
    }
}

void qw_store_floats(const struct qw_floats *from, float *to, uint8_t *arena)
{
    const int32_t pixels = from->rows * from->columns;
    for (int32_t c = 0; c < from->channels; c++)
        for (int32_t p = 0; p < pixels; p++)
            to[(size_t)c * (size_t)pixels + (size_t)p] = floats(arena, from)[p * from->pitch + c];
}

#define ISA plain
#define TARGET
#include "plain.h"
#include "instructions.h"
#include "integers.h"
#include "floats.h"
#include "table.h"
#if defined(__x86_64__)
#define ISA avx2
#define TARGET __attribute__((target("avx2,fma")))
#include "avx2.h"
#include "instructions.h"
#include "integers.h"
#include "floats.h"
#include "table.h"
#define ISA vnni
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vnni")))
#include "vnni.h"
#include "instructions.h"
#include "integers.h"
#include "floats.h"
#include "table.h"
#elif defined(__aarch64__)
#define ISA neon
#define TARGET
#include "neon.h"
#include "instructions.h"
#include "integers.h"
#include "floats.h"
#include "table.h"
#define ISA dotprod
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#include "dotprod.h"
#include "instructions.h"
#include "integers.h"
#include "floats.h"
#include "table.h"
#endif

#if defined(__x86_64__)
/* Asked of the processor itself: what compilers link for `__builtin_cpu_supports` is not in every toolchain. */
static int runs(const char *name)
{
    unsigned a, b, c, d, saved, high;
    if (!strcmp(name, "plain")) return 1;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0)); /* the registers that the system keeps for a program */
    if ((saved & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 0;
    if (!strcmp(name, "avx2")) return 1;
    return (saved & 0xe6) == 0xe6 && (b & bit_AVX512F) && (b & bit_AVX512BW) && (c & bit_AVX512VNNI);
}
#elif defined(__aarch64__) && defined(__linux__)
static int runs(const char *name)
{
    return strcmp(name, "dotprod") || (getauxval(AT_HWCAP) >> 20 & 1); /* HWCAP_ASIMDDP */
}
#else
static int runs(const char *name)
{
    (void)name; /* every Mac has dot products */
    return 1;
}
#endif

const struct qw_kernels *qw_kernels_for(const char *name)
{
    static const struct qw_kernels *const all[] = {
#if defined(__x86_64__)
        &kernels_vnni,
        &kernels_avx2,
#elif defined(__aarch64__)
        &kernels_dotprod,
        &kernels_neon,
#endif
        &kernels_plain,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((!name || !strcmp(name, all[i]->name)) && runs(all[i]->name)) return all[i];
    return NULL;
}
