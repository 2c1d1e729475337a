/* Defines the arithmetic of the formats of nmoe, for the device and for the host, with bf16 values, UE8M0 scales per 32 values. */
#ifndef NMOE_TRAINER_H
#define NMOE_TRAINER_H

#include "elements.h"

namespace nmoe {
namespace trainer {

constexpr uint32_t BLOCK = 32;

/* 16 bytes, read and written at once. */
struct Words {
    uint32_t w[4];
};

NMOE_BOTH Words load16(const void *from) {
    Words words;
#if defined(__CUDA_ARCH__)
    uint4 v = *(const uint4 *)from;
    words.w[0] = v.x, words.w[1] = v.y, words.w[2] = v.z, words.w[3] = v.w;
#else
    memcpy(&words, from, sizeof words);
#endif
    return words;
}

NMOE_BOTH void store16(void *to, const Words &words) {
#if defined(__CUDA_ARCH__)
    *(uint4 *)to = make_uint4(words.w[0], words.w[1], words.w[2], words.w[3]);
#else
    memcpy(to, &words, sizeof words);
#endif
}

NMOE_BOTH float of_bf16(uint16_t bits) { return of_bits((uint32_t)bits << 16); }
NMOE_BOTH float low_bf16(uint32_t word) { return of_bits(word << 16); }
NMOE_BOTH float high_bf16(uint32_t word) { return of_bits(word & 0xFFFF0000u); }

/* Rounds to nearest even. */
NMOE_BOTH uint16_t to_bf16(float x) {
    uint32_t bits = bits_of(x);
    if ((bits & 0x7FFFFFFFu) > INFINITY_BITS) return 0x7FFF;
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/* The magnitude as bits, which order like the magnitudes; 0 for NaN. */
NMOE_BOTH uint32_t magnitude(float x) {
    uint32_t bits = bits_of(x) & 0x7FFFFFFFu;
    return bits > INFINITY_BITS ? 0 : bits;
}

NMOE_BOTH uint8_t scale_of(uint32_t amax, bool narrow) {
    float quotient = divide(of_bits(amax), narrow ? 6.0f : 448.0f);
    if (!(quotient > 0.0f)) return 127;
    uint8_t code = hw::ue8m0_up(quotient);
    return code == 0 ? 1 : code;
}

NMOE_BOTH float inverse(uint8_t scale) { return scale == 254 ? of_bits(0x400000u) : of_bits((254u - scale) << 23); }

/* e^x by a fixed sequence of operations, so that host and device give the same bits. The relative error is below 2^-21. */
NMOE_BOTH float exponential(float x) {
    if (x != x) return x;
    if (x > 89.0f) return of_bits(INFINITY_BITS);
    if (x < -104.0f) return 0.0f;
    /* Adding and subtracting 1.5 * 2^23 rounds to an integer. */
    float n = add(add(mul(x, 1.44269504f), 12582912.0f), -12582912.0f);
    float r = fused(-n, 0.693145752f, x);
    r = fused(-n, 1.42860677e-6f, r);
    float p = 1.0f / 5040.0f;
    p = fused(p, r, 1.0f / 720.0f);
    p = fused(p, r, 1.0f / 120.0f);
    p = fused(p, r, 1.0f / 24.0f);
    p = fused(p, r, 1.0f / 6.0f);
    p = fused(p, r, 0.5f);
    p = fused(p, r, 1.0f);
    p = fused(p, r, 1.0f);
    /* 2^n in two steps, because one factor can be outside the range. */
    int whole = (int)n, half = whole / 2;
    p = mul(p, of_bits((uint32_t)(half + 127) << 23));
    return mul(p, of_bits((uint32_t)(whole - half + 127) << 23));
}

NMOE_BOTH float swiglu(float gate, float up) { return mul(divide(gate, add(1.0f, exponential(-gate))), up); }

/* The expert of a row: the last one that begins at or before the row. */
NMOE_BOTH uint32_t owner(const int32_t *starts, uint32_t count, uint32_t row) {
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        if ((uint32_t)starts[middle] <= row) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* The place of the scale of `block` in a row. */
NMOE_BOTH uint64_t scale_at(const nmoe_groups &groups, uint32_t row, uint32_t block, uint32_t columns) {
    uint32_t expert = owner(groups.starts, groups.count, row), blocks = columns / BLOCK;
    return (uint64_t)expert * groups.stride * blocks + swizzled_at(row - (uint32_t)groups.starts[expert], block, blocks);
}

NMOE_BOTH void adamw(const nmoe_adamw_bf16 &s, uint16_t gradient, uint16_t *weight, uint16_t *first, uint16_t *second) {
    float w = of_bf16(*weight), g = of_bf16(gradient);
    if (s.decay != 0.0f) w = fused(-mul(s.rate, s.decay), w, w);
    float m = fused(s.beta1, of_bf16(*first), mul(add(1.0f, -s.beta1), g));
    float v = fused(s.beta2, of_bf16(*second), mul(mul(add(1.0f, -s.beta2), g), g));
    float denominator = fused(root(v), s.correction, s.epsilon);
    w = add(w, -divide(mul(s.step_size, m), denominator));
    *weight = to_bf16(w);
    *first = to_bf16(m);
    *second = to_bf16(v);
}

} /* namespace trainer */
} /* namespace nmoe */

#endif
