#include "kernels.h"

#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
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
#define UNROLL _Pragma("GCC unroll 8")
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

void qw_load(const struct qw_view *to, const void *from, uint8_t *arena)
{
    const uint8_t *bytes = from;
    size_t at = 0;
    for (int32_t c = 0; c < to->channels; c++)
        for (int32_t y = 0; y < to->rows; y++)
            for (int32_t x = 0; x < to->columns; x++, at++)
                arena[(size_t)to->at + element(to, c / 4, y, x) + (size_t)(c % 4)] = (uint8_t)(bytes[at] + to->zero);
}

void qw_store(const struct qw_view *from, void *to, const uint8_t *arena)
{
    size_t at = 0;
    for (int32_t c = 0; c < from->channels; c++)
        for (int32_t y = 0; y < from->rows; y++)
            for (int32_t x = 0; x < from->columns; x++, at++) {
                size_t i = element(from, c / 4, y, x) + (size_t)(c % 4);
                if (from->sums) memcpy((uint8_t *)to + 4 * at, arena + (size_t)from->at + 4 * i, 4);
                else ((uint8_t *)to)[at] = (uint8_t)(arena[(size_t)from->at + i] - from->zero);
            }
}

#define ISA plain
#define TARGET
#include "plain.h"
#include "instructions.h"
#if defined(__x86_64__)
#define ISA avx2
#define TARGET __attribute__((target("avx2")))
#include "avx2.h"
#include "instructions.h"
#define ISA vnni
#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vnni")))
#include "vnni.h"
#include "instructions.h"
#endif

static int runs(const char *name)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2");
    if (!strcmp(name, "vnni"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vnni");
#endif
    return !strcmp(name, "plain");
}

const struct qw_kernels *qw_kernels_for(const char *name)
{
    static const struct qw_kernels *const all[] = {
#if defined(__x86_64__)
        &kernels_vnni,
        &kernels_avx2,
#endif
        &kernels_plain,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((!name || !strcmp(name, all[i]->name)) && runs(all[i]->name)) return all[i];
    return NULL;
}
