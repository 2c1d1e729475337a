/* Defines the arithmetic of every kernel per element, block or row, for the device and for the host.
 *
 * `nmoe::ref` is the reference: only integers and single IEEE operations, so that all compilers give the same result.
 * `nmoe::hw` uses the conversion instructions on sm_100a, and is the reference on the host. The self-checks compare both.
 * Fused multiply-add is explicit; the compiler must not contract anything else (-fmad=false, -ffp-contract=off).
 */
#ifndef NMOE_ELEMENTS_H
#define NMOE_ELEMENTS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "nmoe_kernels.h"

#if defined(__CUDACC__)
#define NMOE_BOTH __host__ __device__ __forceinline__
#else
#define NMOE_BOTH inline
#endif

namespace nmoe {

constexpr uint8_t E4M3_NAN = 0x7F;
constexpr uint8_t E4M3_MAX = 0x7E; /* 448 */
constexpr uint8_t UE8M0_NAN = 0xFF;
constexpr uint32_t INFINITY_BITS = 0x7F800000u;

NMOE_BOTH uint32_t bits_of(float x) {
#if defined(__CUDA_ARCH__)
    return __float_as_uint(x);
#else
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
#endif
}

NMOE_BOTH float of_bits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
    return __uint_as_float(bits);
#else
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
#endif
}

/* Single IEEE operations, round to nearest even, never contracted. */
NMOE_BOTH float mul(float a, float b) {
#if defined(__CUDA_ARCH__)
    return __fmul_rn(a, b);
#else
    return a * b;
#endif
}

NMOE_BOTH float add(float a, float b) {
#if defined(__CUDA_ARCH__)
    return __fadd_rn(a, b);
#else
    return a + b;
#endif
}

NMOE_BOTH float divide(float a, float b) {
#if defined(__CUDA_ARCH__)
    return __fdiv_rn(a, b);
#else
    return a / b;
#endif
}

NMOE_BOTH float root(float a) {
#if defined(__CUDA_ARCH__)
    return __fsqrt_rn(a);
#else
    return sqrtf(a);
#endif
}

NMOE_BOTH float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
    return __fmaf_rn(a, b, c);
#else
    return fmaf(a, b, c);
#endif
}

namespace ref {

/* Rounds a magnitude to nearest even, in a format with `mantissa` bits and smallest normal exponent `low` (unbiased).
 * Returns a code without sign and without an upper limit. The caller handles NaN and infinity. */
NMOE_BOTH uint32_t round_to(uint32_t magnitude, int mantissa, int low) {
    int exponent = (int)(magnitude >> 23) - 127;
    uint32_t fraction = magnitude & 0x7FFFFFu;
    if (magnitude >> 23 == 0) {
        exponent = -126; /* below the range of all formats here, so it rounds to 0 */
    } else {
        fraction |= 0x800000u;
    }
    int drop = 23 - mantissa;
    if (exponent < low) drop += low - exponent;
    if (drop > 31) return 0;
    uint32_t kept = fraction >> drop;
    uint32_t rest = fraction & ((1u << drop) - 1u);
    uint32_t half = 1u << (drop - 1);
    if (rest > half || (rest == half && (kept & 1u))) kept += 1;
    /* The leading one of a normal number adds 1 to the exponent field, and a carry increments the exponent. */
    return exponent < low ? kept : kept + ((uint32_t)(exponent - low) << mantissa);
}

/* cvt.rn.satfinite.e4m3x2.f32 */
NMOE_BOTH uint8_t e4m3(float x) {
    uint32_t bits = bits_of(x);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint8_t sign = (uint8_t)((bits >> 24) & 0x80u);
    if (magnitude > INFINITY_BITS) return E4M3_NAN;
    uint32_t code = magnitude == INFINITY_BITS ? E4M3_MAX : round_to(magnitude, 3, -6);
    return sign | (uint8_t)(code > E4M3_MAX ? E4M3_MAX : code);
}

NMOE_BOTH float e4m3_value(uint8_t code) {
    uint32_t sign = (uint32_t)(code & 0x80u) << 24;
    uint32_t exponent = (code >> 3) & 0xFu;
    uint32_t fraction = code & 7u;
    if ((code & 0x7Fu) == E4M3_NAN) return of_bits(0x7FFFFFFFu);
    if (exponent == 0) {
        float value = (float)fraction * 0.001953125f; /* 2^-9, exact */
        return of_bits(bits_of(value) | sign);
    }
    return of_bits(sign | ((exponent + 120u) << 23) | (fraction << 20));
}

/* One half of cvt.rn.satfinite.e2m1x2.f32: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives. NaN becomes +6. */
NMOE_BOTH uint8_t e2m1(float x) {
    uint32_t bits = bits_of(x);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > INFINITY_BITS) return 7;
    uint8_t sign = (uint8_t)((bits >> 28) & 8u);
    uint32_t code = magnitude == INFINITY_BITS ? 7 : round_to(magnitude, 1, 0);
    return sign | (uint8_t)(code > 7 ? 7 : code);
}

NMOE_BOTH float e2m1_value(uint8_t code) {
    /* Table of the doubled values 0 1 2 3 4 6 8 12, one hex digit each. */
    uint32_t twice = (uint32_t)((0xC8643210u >> (4 * (code & 7u))) & 0xFu);
    float value = (float)twice * 0.5f;
    return of_bits(bits_of(value) | ((uint32_t)(code & 8u) << 28));
}

/* cvt.rp.satfinite.ue8m0x2.f32: the smallest power of two that is not below |x|, by its biased exponent. */
NMOE_BOTH uint8_t ue8m0_up(float x) {
    uint32_t magnitude = bits_of(x) & 0x7FFFFFFFu;
    if (magnitude > INFINITY_BITS) return UE8M0_NAN;
    uint32_t exponent = magnitude >> 23;
    uint32_t fraction = magnitude & 0x7FFFFFu;
    /* Code 0 is 2^-127, the subnormal with only the top bit set. All smaller magnitudes round up to it. */
    if (exponent == 0) return fraction > 0x400000u ? 1 : 0;
    uint32_t code = exponent + (fraction != 0);
    return (uint8_t)(code > 254u ? 254u : code);
}

NMOE_BOTH float ue8m0_value(uint8_t code) {
    if (code == UE8M0_NAN) return of_bits(0x7FFFFFFFu);
    return code == 0 ? of_bits(0x400000u) : of_bits((uint32_t)code << 23);
}

} /* namespace ref */

namespace hw {

#if defined(__CUDA_ARCH__)

NMOE_BOTH uint8_t e4m3(float x) {
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    return (uint8_t)pair;
}

NMOE_BOTH uint8_t e2m1_pair(float low, float high) {
    uint32_t byte;
    asm("{ .reg .b8 b; cvt.rn.satfinite.e2m1x2.f32 b, %1, %2; cvt.u32.u8 %0, b; }" : "=r"(byte) : "f"(high), "f"(low));
    return (uint8_t)byte;
}

NMOE_BOTH uint8_t ue8m0_up(float x) {
    uint16_t pair;
    asm("cvt.rp.satfinite.ue8m0x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
    return (uint8_t)pair;
}

#else

NMOE_BOTH uint8_t e4m3(float x) { return ref::e4m3(x); }
NMOE_BOTH uint8_t e2m1_pair(float low, float high) { return (uint8_t)(ref::e2m1(low) | (ref::e2m1(high) << 4)); }
NMOE_BOTH uint8_t ue8m0_up(float x) { return ref::ue8m0_up(x); }

#endif

} /* namespace hw */

/* ---- Serial blocks, which the parallel kernels must equal ------------------------------------------------------ */

constexpr int MX_BLOCK = 32;
constexpr int NV_BLOCK = 16;

/* Returns the largest magnitude as bits. The bits order like the magnitudes, and NaN is larger than all numbers. */
NMOE_BOTH uint32_t amax_bits(const float *x, int count) {
    uint32_t top = 0;
    for (int i = 0; i < count; i++) {
        uint32_t magnitude = bits_of(x[i]) & 0x7FFFFFFFu;
        if (magnitude > top) top = magnitude;
    }
    return top;
}

NMOE_BOTH uint8_t mx_scale(uint32_t amax) {
    return amax >= INFINITY_BITS ? UE8M0_NAN : hw::ue8m0_up(divide(of_bits(amax), 448.0f));
}

NMOE_BOTH uint8_t mx_code(float x, uint8_t scale) {
    return scale == UE8M0_NAN ? 0 : hw::e4m3(divide(x, ref::ue8m0_value(scale)));
}

NMOE_BOTH float mx_value(uint8_t code, uint8_t scale) { return mul(ref::e4m3_value(code), ref::ue8m0_value(scale)); }

NMOE_BOTH uint8_t nv_scale(uint32_t amax, float tensor_scale) {
    return amax >= INFINITY_BITS ? E4M3_NAN : hw::e4m3(divide(divide(of_bits(amax), 6.0f), tensor_scale));
}

NMOE_BOTH uint8_t nv_pair(float low, float high, uint8_t scale, float tensor_scale) {
    float step = mul(ref::e4m3_value(scale), tensor_scale);
    if (scale == E4M3_NAN || step == 0.0f) return 0;
    return hw::e2m1_pair(divide(low, step), divide(high, step));
}

NMOE_BOTH float nv_value(uint8_t code, uint8_t scale, float tensor_scale) {
    return mul(ref::e2m1_value(code), mul(ref::e4m3_value(scale), tensor_scale));
}

namespace ref {

/* Quantizes the same blocks with the reference conversions only. */
NMOE_BOTH void mx_block(const float *x, uint8_t *codes, uint8_t *scale) {
    uint32_t amax = amax_bits(x, MX_BLOCK);
    *scale = amax >= INFINITY_BITS ? UE8M0_NAN : ue8m0_up(divide(of_bits(amax), 448.0f));
    for (int i = 0; i < MX_BLOCK; i++) {
        codes[i] = *scale == UE8M0_NAN ? 0 : e4m3(divide(x[i], ue8m0_value(*scale)));
    }
}

NMOE_BOTH void nv_block(const float *x, float tensor_scale, uint8_t *codes, uint8_t *scale) {
    uint32_t amax = amax_bits(x, NV_BLOCK);
    *scale = amax >= INFINITY_BITS ? E4M3_NAN : e4m3(divide(divide(of_bits(amax), 6.0f), tensor_scale));
    float step = mul(e4m3_value(*scale), tensor_scale);
    bool none = *scale == E4M3_NAN || step == 0.0f;
    for (int i = 0; i < NV_BLOCK; i += 2) {
        codes[i / 2] = none ? 0 : (uint8_t)(e2m1(divide(x[i], step)) | (e2m1(divide(x[i + 1], step)) << 4));
    }
}

} /* namespace ref */

/* ---- Layout, routing, optimiser -------------------------------------------------------------------------------- */

NMOE_BOTH uint64_t swizzled_at(uint64_t row, uint64_t column, uint64_t columns) {
    uint64_t tiles_across = (columns + 3) / 4;
    uint64_t tile = row / 128 * tiles_across + column / 4;
    return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + column % 4;
}

NMOE_BOTH uint64_t swizzled_size(uint64_t rows, uint64_t columns) {
    return (rows + 127) / 128 * ((columns + 3) / 4) * 512;
}

/* Returns the scale at a byte of the swizzled layout, or 0 for padding. */
NMOE_BOTH uint8_t swizzled_byte(const uint8_t *scales, uint64_t at, uint64_t rows, uint64_t columns) {
    uint64_t tiles_across = (columns + 3) / 4;
    uint64_t tile = at / 512, inside = at % 512;
    uint64_t row = tile / tiles_across * 128 + inside / 16 + inside % 16 / 4 * 32;
    uint64_t column = tile % tiles_across * 4 + inside % 4;
    return row < rows && column < columns ? scales[row * columns + column] : 0;
}

NMOE_BOTH float gathered(const float *x, int32_t assignment, uint32_t k, uint32_t width, uint32_t column) {
    return assignment < 0 ? 0.0f : x[(uint64_t)((uint32_t)assignment / k) * width + column];
}

NMOE_BOTH float reduced(const float *rows, const int32_t *places, const float *gates, uint64_t token, uint32_t k,
                        uint32_t width, uint32_t column) {
    float sum = 0.0f;
    for (uint32_t j = 0; j < k; j++) {
        int32_t place = places[token * k + j];
        if (place >= 0) sum = fused(gates[token * k + j], rows[(uint64_t)place * width + column], sum);
    }
    return sum;
}

NMOE_BOTH void adamw(const nmoe_adamw &s, float gradient, float *weight, float *first, float *second) {
    float m = fused(s.beta1, *first, mul(add(1.0f, -s.beta1), gradient));
    float v = fused(s.beta2, *second, mul(add(1.0f, -s.beta2), mul(gradient, gradient)));
    float update = divide(mul(m, s.correction1), add(root(mul(v, s.correction2)), s.epsilon));
    *weight = fused(-s.rate, fused(s.decay, *weight, update), *weight);
    *first = m;
    *second = v;
}

/* Test data: a hash of a number, and floats with many edge cases. */
NMOE_BOTH uint64_t hash(uint64_t n) {
    n += 0x9E3779B97F4A7C15ull;
    n = (n ^ (n >> 30)) * 0xBF58476D1CE4E5B9ull;
    n = (n ^ (n >> 27)) * 0x94D049BB133111EBull;
    return n ^ (n >> 31);
}

NMOE_BOTH float sample(uint64_t n) {
    uint64_t h = hash(n);
    uint32_t low = (uint32_t)h;
    switch ((h >> 32) & 15u) {
        case 0: return of_bits(low);                                             /* any bits */       
        case 1: return of_bits(low & 0x807FFFFFu);                               /* subnormal or zero */
        case 2: return of_bits((low & 0x80000000u) | 0x7F7FFFFFu);               /* the largest */
        case 3: return of_bits(low & 0xFF800000u & ~0x40000000u);                /* a small power of two */    
        case 4: return of_bits((low & 0x80700000u) | 0x3F000000u | ((low & 1u) << 19)); /* near ties */
        default: return of_bits((low & 0x807FFFFFu) | ((118u + (uint32_t)((h >> 40) % 20u)) << 23)); /* a normal number */
    }
}

} /* namespace nmoe */

#endif
