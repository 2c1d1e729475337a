/* Implements the self-checks of the formats of nmoe. The references share only single operations and the reference conversions. */
#ifndef NMOE_CHECKS_TRAINER_H
#define NMOE_CHECKS_TRAINER_H

#include "check.h"
#include "trainer.h"

namespace nmoe {
namespace checks {

/* bf16 of a normal number. */
NMOE_BOTH uint16_t ordinary(uint64_t n) { return (uint16_t)((hash(n) & 0x807Fu) | (uint32_t)(118 + hash(n + 1) % 12) << 7); }

/* Rows of five experts; the second has none. */
constexpr uint32_t GROUPS = 5, GROUP_STRIDE = 256, GROUP_ROWS = 640, GROUP_COLUMNS = 384;

/* The scale of a block by its exponent, in double precision. */
NMOE_BOTH uint8_t expected_scale(double amax, double most) {
    double quotient = (double)(float)(amax / most);
    if (quotient == 0.0) return 127;
    if (quotient > 3.0e38) return 254;
    int exponent;
    double fraction = frexp(quotient, &exponent); /* from 0.5 to below 1 */
    int code = 127 + exponent - (fraction == 0.5 ? 1 : 0);
    return (uint8_t)(code < 1 ? 1 : code > 254 ? 254 : code);
}

NMOE_BOTH double value_of(const uint16_t *x, uint64_t at, bool swiglu_first) {
    return swiglu_first ? (double)trainer::swiglu(trainer::of_bf16(x[2 * at]), trainer::of_bf16(x[2 * at + 1]))
                        : (double)trainer::of_bf16(x[at]);
}

inline int32_t check_quantize(nmoe_check_report *report, bool narrow, bool swiglu_first) {
    Check check(report);
    constexpr uint64_t COUNT = (uint64_t)GROUP_ROWS * GROUP_COLUMNS;
    constexpr uint32_t ACROSS = GROUP_COLUMNS / 32;
    Buffer<uint16_t> x(COUNT * 2, check.status);
    Buffer<uint8_t> codes(COUNT, check.status), scales((uint64_t)GROUPS * GROUP_STRIDE * ACROSS, check.status);
    Buffer<int32_t> starts(GROUPS + 1, check.status);
    uint16_t *in = x.get();
    int32_t *first = starts.get();
    if (check.status.error == 0) {
        check.status.keep(parallel(COUNT * 2, nullptr, NMOE_LAMBDA(uint64_t i) {
            uint64_t block = i / (swiglu_first ? 64 : 32);
            /* All kinds of values; or nothing, only tiny values, or one infinity; or values of similar size. */
            if (block % 3 == 0) in[i] = (uint16_t)(bits_of(sample(i)) >> 16);
            else if (block % 17 == 1) in[i] = 0;
            else if (block % 17 == 2) in[i] = (uint16_t)(hash(i) & 0x81FFu);
            else if (block % 17 == 3 && i % 32 == 5) in[i] = 0x7F80;
            else in[i] = ordinary(i);
        }));
        check.status.keep(parallel(1, nullptr, NMOE_LAMBDA(uint64_t) {
            first[0] = 0, first[1] = 128, first[2] = 128, first[3] = 384, first[4] = 512, first[5] = 640;
        }));
        nmoe_groups groups{first, GROUPS, GROUP_STRIDE};
        auto quantize = swiglu_first ? nmoe_swiglu_quantize : nmoe_block_quantize;
        check.status.keep(quantize(in, GROUP_ROWS, GROUP_COLUMNS, narrow ? NMOE_E2M1 : NMOE_E4M3, &groups, codes.get(), scales.get(), nullptr));
    }
    const uint8_t *c = codes.get(), *s = scales.get();
    check.compare(
        COUNT,
        NMOE_LAMBDA(uint64_t i) {
            double amax = 0.0;
            for (uint64_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++) {
                double magnitude = fabs(value_of(in, j, swiglu_first));
                if (magnitude > amax) amax = magnitude;
            }
            uint8_t scale = expected_scale(amax, narrow ? 6.0 : 448.0);
            float scaled = (float)ldexp(value_of(in, i, swiglu_first), 127 - (int)scale);
            uint64_t code = narrow ? ref::e2m1(scaled) : ref::e4m3(scaled);
            return code << 8 | scale;
        },
        NMOE_LAMBDA(uint64_t i) {
            uint64_t row = i / GROUP_COLUMNS, block = i % GROUP_COLUMNS / 32;
            int expert = row < 128 ? 0 : row < 384 ? 2 : row < 512 ? 3 : 4;
            uint64_t code = narrow ? (uint64_t)(c[i / 2] >> (i % 2 * 4) & 15) : c[i];
            uint64_t at = (uint64_t)expert * GROUP_STRIDE * ACROSS + swizzled_at(row - (uint64_t)first[expert], block, ACROSS);
            return code << 8 | s[at];
        });
    return check.outcome();
}

inline int32_t check_block_quantize_e4m3(nmoe_check_report *report) { return check_quantize(report, false, false); }
inline int32_t check_block_quantize_e2m1(nmoe_check_report *report) { return check_quantize(report, true, false); }
inline int32_t check_swiglu_quantize_e4m3(nmoe_check_report *report) { return check_quantize(report, false, true); }
inline int32_t check_swiglu_quantize_e2m1(nmoe_check_report *report) { return check_quantize(report, true, true); }

/* Compares the activation of every finite bf16 gate with double precision. */
inline int32_t check_swiglu(nmoe_check_report *report) {
    Check check(report);
    check.compare(
        65536, NMOE_LAMBDA(uint64_t) { return (uint64_t)1; },
        NMOE_LAMBDA(uint64_t i) {
            float gate = trainer::of_bf16((uint16_t)i), up = 1.375f;
            if ((bits_of(gate) & 0x7FFFFFFFu) >= INFINITY_BITS) return (uint64_t)1;
            double want = (double)gate / (1.0 + exp(-(double)gate)) * 1.375, got = trainer::swiglu(gate, up);
            /* Below the range of e^x in single precision, the activation is 0. */
            return (uint64_t)(fabs(got - want) <= fabs(want) * 1e-6 + 1e-36 || (isinf(got) && fabs(want) > 3.4e38));
        });
    return check.outcome();
}

constexpr uint32_t SENT = 6000, LOCAL = 5, RANKS = 8, CAPACITY = 800;

inline void route(Check &check, int32_t *experts) {
    check.status.keep(parallel(SENT, nullptr, NMOE_LAMBDA(uint64_t a) {
        uint64_t h = hash(a + 5);
        experts[a] = h % 41 == 0 ? -1 : h % 43 == 0 ? (int32_t)(LOCAL * RANKS) : (int32_t)(h % 4 == 0 ? 7 : h / 64 % (LOCAL * RANKS));
    }));
}

inline int32_t check_dispatch_plan(nmoe_check_report *report) {
    Check check(report);
    Buffer<int32_t> experts(SENT, check.status), rows(SENT, check.status), want(SENT + 2 * RANKS, check.status);
    Buffer<uint32_t> sent(RANKS, check.status), dropped(RANKS, check.status);
    int32_t *e = experts.get(), *w = want.get();
    if (check.status.error == 0) {
        route(check, e);
        check.status.keep(nmoe_dispatch_plan(e, SENT, LOCAL, RANKS, CAPACITY, rows.get(), sent.get(), dropped.get(), nullptr));
        /* One thread numbers all assignments. */
        check.status.keep(parallel(1, nullptr, NMOE_LAMBDA(uint64_t) {
            int32_t next[RANKS] = {0, 0, 0, 0, 0, 0, 0, 0};
            for (uint32_t a = 0; a < SENT; a++) {
                bool none = e[a] < 0 || e[a] >= (int32_t)(LOCAL * RANKS);
                int32_t row = none ? -1 : next[e[a] / (int32_t)LOCAL]++;
                w[a] = row < (int32_t)CAPACITY ? row : -1;
            }
            for (uint32_t r = 0; r < RANKS; r++) {
                w[SENT + r] = next[r] < (int32_t)CAPACITY ? next[r] : (int32_t)CAPACITY;
                w[SENT + RANKS + r] = next[r] - w[SENT + r];
            }
        }));
    }
    const int32_t *got = rows.get();
    const uint32_t *s = sent.get(), *d = dropped.get();
    check.compare(
        SENT + 2 * RANKS, NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)w[i]; },
        NMOE_LAMBDA(uint64_t i) {
            return (uint64_t)(i < SENT ? (uint32_t)got[i] : i < SENT + RANKS ? s[i - SENT] : d[i - SENT - RANKS]);
        });
    return check.outcome();
}

inline int32_t check_combine_index(nmoe_check_report *report) {
    Check check(report);
    constexpr uint32_t TOKENS = 1000, K = 6, COUNT = RANKS * TOKENS * K;
    Buffer<int64_t> ids(COUNT, check.status);
    Buffer<int32_t> ranks(COUNT, check.status), homes(COUNT, check.status);
    int64_t *id = ids.get();
    if (check.status.error == 0) {
        check.status.keep(parallel(COUNT, nullptr, NMOE_LAMBDA(uint64_t i) {
            int64_t rank = (int64_t)(i % RANKS), token = (int64_t)(i / RANKS % TOKENS), slot = (int64_t)(i / RANKS / TOKENS);
            id[i] = (rank * TOKENS + token) * K + slot;
        }));
        check.status.keep(nmoe_combine_index(id, COUNT, TOKENS * K, ranks.get(), homes.get(), nullptr));
    }
    const int32_t *r = ranks.get(), *h = homes.get();
    check.compare(
        COUNT,
        NMOE_LAMBDA(uint64_t i) { return (i % RANKS) << 32 | (i / RANKS % TOKENS * K + i / RANKS / TOKENS); },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)r[i] << 32 | (uint32_t)h[i]; });
    return check.outcome();
}

/* Expert e has 97 * e rows, so the first has none. */
inline int32_t check_padded_mapping(nmoe_check_report *report) {
    Check check(report);
    constexpr uint32_t EXPERTS = 12, ALIGN = 128, COUNT = 97 * (EXPERTS - 1) * EXPERTS / 2;
    Buffer<int32_t> sorted(COUNT, check.status), offsets(EXPERTS + 1, check.status), ends(EXPERTS, check.status);
    Buffer<int32_t> dest(COUNT, check.status), total(1, check.status), want(COUNT + 2 * EXPERTS + 2, check.status);
    int32_t *in = sorted.get(), *w = want.get();
    if (check.status.error == 0) {
        check.status.keep(parallel(1, nullptr, NMOE_LAMBDA(uint64_t) {
            int32_t row = 0, padded = 0;
            for (int32_t e = 0; e < (int32_t)EXPERTS; e++) {
                w[COUNT + e] = row;
                for (int32_t i = 0; i < 97 * e; i++, row++) {
                    in[row] = e;
                    w[row] = padded + i;
                }
                padded += 97 * e;
                while (padded % (int32_t)ALIGN != 0) padded++;
                w[COUNT + EXPERTS + 1 + e] = padded;
            }
            w[COUNT + EXPERTS] = row;
            w[COUNT + 2 * EXPERTS + 1] = padded;
        }));
        check.status.keep(nmoe_padded_mapping(in, COUNT, EXPERTS, ALIGN, offsets.get(), ends.get(), dest.get(), total.get(), nullptr));
    }
    const int32_t *o = offsets.get(), *n = ends.get(), *d = dest.get(), *t = total.get();
    check.compare(
        COUNT + 2 * EXPERTS + 2, NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)w[i]; },
        NMOE_LAMBDA(uint64_t i) {
            int32_t got = i < COUNT                     ? d[i]
                          : i < COUNT + EXPERTS + 1     ? o[i - COUNT]
                          : i < COUNT + 2 * EXPERTS + 1 ? n[i - COUNT - EXPERTS - 1]
                                                        : *t;
            return (uint64_t)(uint32_t)got;
        });
    return check.outcome();
}

inline int32_t check_gather_rows(nmoe_check_report *report) {
    Check check(report);
    constexpr uint32_t COUNT = 1009, WIDTH = 72;
    Buffer<uint16_t> x(COUNT * WIDTH, check.status), out(COUNT * WIDTH, check.status);
    Buffer<int32_t> order(COUNT, check.status), dest(COUNT, check.status);
    uint16_t *in = x.get();
    int32_t *from = order.get(), *to = dest.get();
    if (check.status.error == 0) {
        check.status.keep(parallel(COUNT * WIDTH, nullptr, NMOE_LAMBDA(uint64_t i) { in[i] = (uint16_t)hash(i); }));
        /* 1009 is prime, so multiples of a number are a permutation. */
        check.status.keep(parallel(COUNT, nullptr, NMOE_LAMBDA(uint64_t i) {
            from[i] = (int32_t)(i * 17 % COUNT);
            to[i] = (int32_t)(i * 101 % COUNT);
        }));
        check.status.keep(nmoe_gather_rows(in, from, to, COUNT, WIDTH, out.get(), nullptr));
    }
    const uint16_t *got = out.get();
    check.compare(
        COUNT * WIDTH, NMOE_LAMBDA(uint64_t i) { return (uint64_t)in[i / WIDTH * 17 % COUNT * WIDTH + i % WIDTH]; },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)got[i / WIDTH * 101 % COUNT * WIDTH + i % WIDTH]; });
    return check.outcome();
}

inline int32_t check_combine(nmoe_check_report *report) {
    Check check(report);
    constexpr uint32_t TOKENS = 300, K = 6, WIDTH = 136;
    Buffer<uint16_t> rows(TOKENS * K * WIDTH, check.status);
    Buffer<float> gates(TOKENS * K, check.status), y(TOKENS * WIDTH, check.status);
    uint16_t *r = rows.get();
    const float *g = gates.get();
    fill_small(check, gates.get(), TOKENS * K, 21);
    if (check.status.error == 0) {
        check.status.keep(parallel(TOKENS * K * WIDTH, nullptr, NMOE_LAMBDA(uint64_t i) {
            r[i] = ordinary(i + 22);
        }));
        check.status.keep(nmoe_combine(r, g, TOKENS, K, WIDTH, y.get(), nullptr));
    }
    const float *got = y.get();
    check.compare(
        TOKENS * WIDTH,
        NMOE_LAMBDA(uint64_t i) {
            float sum = 0.0f;
            for (uint32_t j = 0; j < K; j++) {
                uint64_t row = i / WIDTH * K + j;
                sum = fused(g[row], trainer::of_bf16(r[row * WIDTH + i % WIDTH]), sum);
            }
            return (uint64_t)bits_of(sum);
        },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)bits_of(got[i]); });
    return check.outcome();
}

/* The step in double precision, rounded once. Single precision differs by less than its last bits, so results are compared
 * after rounding to bf16 with a tolerance of one unit. */
inline int32_t check_adamw_bf16(nmoe_check_report *report) {
    Check check(report);
    constexpr uint64_t COUNT = 100003;
    Buffer<uint16_t> g(COUNT, check.status), w(COUNT, check.status), m(COUNT, check.status), v(COUNT, check.status);
    uint16_t *gradients = g.get(), *weights = w.get(), *first = m.get(), *second = v.get();
    nmoe_adamw_bf16 s{0.1f, 0.9f, 0.95f, 0.5f, 1e-8f, 0.015789474f, 3.2025632f};
    if (check.status.error == 0) {
        check.status.keep(parallel(COUNT, nullptr, NMOE_LAMBDA(uint64_t i) {
            gradients[i] = ordinary(i * 8), weights[i] = ordinary(i * 8 + 2), first[i] = ordinary(i * 8 + 4);
            second[i] = (uint16_t)(ordinary(i * 8 + 6) & 0x7FFFu);
        }));
        check.status.keep(nmoe_adamw_bf16_step(&s, gradients, weights, first, second, COUNT, nullptr));
    }
    check.compare(
        COUNT * 3, NMOE_LAMBDA(uint64_t) { return (uint64_t)1; },
        NMOE_LAMBDA(uint64_t n) {
            uint64_t i = n / 3;
            double weight = trainer::of_bf16(ordinary(i * 8 + 2)), gradient = trainer::of_bf16(ordinary(i * 8));
            double m1 = (double)s.beta1 * trainer::of_bf16(ordinary(i * 8 + 4)) + (1.0 - (double)s.beta1) * gradient;
            double v1 = (double)s.beta2 * trainer::of_bf16((uint16_t)(ordinary(i * 8 + 6) & 0x7FFFu)) + (1.0 - (double)s.beta2) * gradient * gradient;
            double w1 = weight * (1.0 - (double)s.rate * (double)s.decay);
            w1 -= (double)s.step_size * m1 / (sqrt(v1) * (double)s.correction + (double)s.epsilon);
            double want = n % 3 == 0 ? w1 : n % 3 == 1 ? m1 : v1;
            double got = trainer::of_bf16(n % 3 == 0 ? weights[i] : n % 3 == 1 ? first[i] : second[i]);
            /* Half a unit of bf16 is 2^-9; the operands of a difference can be larger than the result. */
            double slack = n % 3 == 0 ? fabs(weight) * 1e-6 : n % 3 == 1 ? fabs(gradient) * 1e-6 : 0.0;
            return (uint64_t)(fabs(got - want) <= fabs(want) * (1.0 / 256 + 1e-5) + slack);
        });
    return check.outcome();
}

} /* namespace checks */
} /* namespace nmoe */

#endif
