/* Implements the self-checks of the ABI. Each check runs a kernel on generated data and compares every element with a
 * reference. Kernel and reference share only single IEEE operations. The comparison runs on the same device as the kernel.
 *
 * On the device, the conversion checks compare every float. The host build has no conversion instructions to check;
 * there, a check compares the reference with a search for the nearest value in double precision.
 */
#include "check.h"
#include "checks_trainer.h"

namespace nmoe {
namespace checks {

#if NMOE_KERNEL_DEVICE
constexpr uint64_t STRIDE = 1;
#else
constexpr uint64_t STRIDE = 1021; /* prime, so that all exponents get many different fractions */
#endif
constexpr uint64_t FLOATS = 1ull << 32;
constexpr uint64_t BLOCKS = NMOE_KERNEL_DEVICE ? 1u << 20 : 1u << 14;

#if !NMOE_KERNEL_DEVICE
/* Finds the code of the nearest value by binary search; ties go to the even code, and large values saturate. */
inline uint8_t nearest(float x, float (*value)(uint8_t), uint8_t last) {
    double magnitude = fabs((double)x);
    uint8_t low = 0, high = last;
    while (high - low > 1) {
        uint8_t middle = (uint8_t)((low + high) / 2);
        if ((double)value(middle) <= magnitude) low = middle;
        else high = middle;
    }
    double below = magnitude - (double)value(low), above = (double)value(high) - magnitude;
    return above < below || (above == below && (low & 1)) ? high : low;
}
#endif

inline int32_t check_e4m3(nmoe_check_report *report) {
    Check check(report);
    check.compare(
        FLOATS / STRIDE,
        NMOE_LAMBDA(uint64_t i) {
            float x = of_bits((uint32_t)(i * STRIDE));
#if NMOE_KERNEL_DEVICE
            return (uint64_t)ref::e4m3(x);
#else
            return (uint64_t)(x != x ? E4M3_NAN : nearest(x, ref::e4m3_value, E4M3_MAX) | (signbit(x) ? 0x80 : 0));
#endif
        },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)hw::e4m3(of_bits((uint32_t)(i * STRIDE))); });
    return check.outcome();
}

inline int32_t check_e2m1(nmoe_check_report *report) {
    Check check(report);
    check.compare(
        FLOATS / STRIDE,
        NMOE_LAMBDA(uint64_t i) {
            float x = of_bits((uint32_t)(i * STRIDE));
#if NMOE_KERNEL_DEVICE
            uint8_t code = ref::e2m1(x);
#else
            uint8_t code = x != x ? 7 : (uint8_t)(nearest(x, ref::e2m1_value, 7) | (signbit(x) ? 8 : 0));
#endif
            return (uint64_t)(code | (code << 4));
        },
        NMOE_LAMBDA(uint64_t i) {
            float x = of_bits((uint32_t)(i * STRIDE));
            return (uint64_t)hw::e2m1_pair(x, x);
        });
    return check.outcome();
}

/* Scales are made from magnitudes, so compare only floats that are not negative. */
inline int32_t check_ue8m0(nmoe_check_report *report) {
    Check check(report);
    check.compare(
        FLOATS / 2 / STRIDE,
        NMOE_LAMBDA(uint64_t i) {
            float x = of_bits((uint32_t)(i * STRIDE));
#if NMOE_KERNEL_DEVICE
            return (uint64_t)ref::ue8m0_up(x);
#else
            if (x != x) return (uint64_t)UE8M0_NAN;
            int exponent; /* |x| is fraction * 2^exponent, with a fraction from 0.5 to below 1 */
            double fraction = frexp((double)x, &exponent);
            if (x == 0.0f) return (uint64_t)0;
            int code = isinf(x) ? 254 : exponent + 127 - (fraction == 0.5);
            return (uint64_t)(code < 0 ? 0 : code > 254 ? 254 : code);
#endif
        },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)hw::ue8m0_up(of_bits((uint32_t)(i * STRIDE))); });
    return check.outcome();
}

inline int32_t check_mxfp8_quantize(nmoe_check_report *report) {
    Check check(report);
    Buffer<float> x(BLOCKS * MX_BLOCK, check.status);
    Buffer<uint8_t> codes(BLOCKS * MX_BLOCK, check.status), scales(BLOCKS, check.status);
    fill(check, x.get(), BLOCKS * MX_BLOCK, 1);
    if (check.status.error == 0) {
        check.status.keep(nmoe_mxfp8_quantize(x.get(), codes.get(), scales.get(), BLOCKS, nullptr));
    }
    const float *in = x.get();
    const uint8_t *c = codes.get(), *s = scales.get();
    /* Compares a hash over the codes and the scale of each block. */
    check.compare(
        BLOCKS,
        NMOE_LAMBDA(uint64_t b) {
            uint8_t code[MX_BLOCK], scale;
            ref::mx_block(in + b * MX_BLOCK, code, &scale);
            uint64_t fold = scale;
            for (int i = 0; i < MX_BLOCK; i++) fold = hash(fold ^ ((uint64_t)code[i] << 32));
            return fold;
        },
        NMOE_LAMBDA(uint64_t b) {
            uint64_t fold = s[b];
            for (int i = 0; i < MX_BLOCK; i++) fold = hash(fold ^ ((uint64_t)c[b * MX_BLOCK + i] << 32));
            return fold;
        });
    return check.outcome();
}

/* Checks every code with every scale. */
inline int32_t check_mxfp8_dequantize(nmoe_check_report *report) {
    Check check(report);
    constexpr uint64_t COUNT = 65536;
    Buffer<float> x(COUNT, check.status);
    Buffer<uint8_t> codes(COUNT, check.status), scales(COUNT / MX_BLOCK, check.status);
    if (check.status.error == 0) {
        uint8_t *c = codes.get(), *s = scales.get();
        check.status.keep(parallel(COUNT, nullptr, NMOE_LAMBDA(uint64_t i) {
            c[i] = (uint8_t)i;
            s[i / MX_BLOCK] = (uint8_t)(i / 256);
        }));
        check.status.keep(nmoe_mxfp8_dequantize(c, s, x.get(), COUNT / MX_BLOCK, nullptr));
    }
    const float *out = x.get();
    check.compare(
        COUNT,
        NMOE_LAMBDA(uint64_t i) {
            /* Computes sign * fraction * 2^exponent exactly in double precision, then rounds once. */
            uint32_t code = (uint32_t)i & 0xFF, scale = (uint32_t)(i / 256);
            if ((code & 0x7F) == 0x7F || scale == 0xFF) return (uint64_t)1;
            int exponent = (int)(code >> 3 & 15), fraction = (int)(code & 7);
            double value = exponent == 0 ? ldexp((double)fraction, -9) : ldexp((double)(8 + fraction), exponent - 10);
            float rounded = (float)ldexp(code & 0x80 ? -value : value, (int)scale - 127);
            return (uint64_t)bits_of(rounded) << 1;
        },
        NMOE_LAMBDA(uint64_t i) { return out[i] != out[i] ? (uint64_t)1 : (uint64_t)bits_of(out[i]) << 1; });
    return check.outcome();
}

inline int32_t check_nvfp4_quantize(nmoe_check_report *report) {
    Check check(report);
    /* Not a multiple of four, so that the last warp is only partly used. */
    constexpr uint64_t COUNT = BLOCKS + 1;
    Buffer<float> x(COUNT * NV_BLOCK, check.status);
    Buffer<uint8_t> codes(COUNT * NV_BLOCK / 2, check.status), scales(COUNT, check.status);
    const float tensor_scales[3] = {1.0f, 0.0031f, 37.5f};
    fill(check, x.get(), COUNT * NV_BLOCK, 2);
    for (float t : tensor_scales) {
        if (check.status.error == 0) {
            check.status.keep(nmoe_nvfp4_quantize(x.get(), t, codes.get(), scales.get(), COUNT, nullptr));
        }
        const float *in = x.get();
        const uint8_t *c = codes.get(), *s = scales.get();
        check.compare(
            COUNT,
            NMOE_LAMBDA(uint64_t b) {
                uint8_t code[NV_BLOCK / 2], scale;
                ref::nv_block(in + b * NV_BLOCK, t, code, &scale);
                uint64_t fold = scale;
                for (int i = 0; i < NV_BLOCK / 2; i++) fold = hash(fold ^ ((uint64_t)code[i] << 32));
                return fold;
            },
            NMOE_LAMBDA(uint64_t b) {
                uint64_t fold = s[b];
                for (int i = 0; i < NV_BLOCK / 2; i++) fold = hash(fold ^ ((uint64_t)c[b * (NV_BLOCK / 2) + i] << 32));
                return fold;
            });
    }
    return check.outcome();
}

inline int32_t check_nvfp4_dequantize(nmoe_check_report *report) {
    Check check(report);
    constexpr uint64_t COUNT = 4096; /* 16 codes with 256 scales */
    Buffer<float> x(COUNT, check.status);
    Buffer<uint8_t> codes(COUNT / 2, check.status), scales(COUNT / NV_BLOCK, check.status);
    if (check.status.error == 0) {
        uint8_t *c = codes.get(), *s = scales.get();
        check.status.keep(parallel(COUNT / 2, nullptr, NMOE_LAMBDA(uint64_t i) {
            c[i] = (uint8_t)((i % 8 * 2) | ((i % 8 * 2 + 1) << 4));
            s[i / 8] = (uint8_t)(i / 8);
        }));
        check.status.keep(nmoe_nvfp4_dequantize(c, s, 0.75f, x.get(), COUNT / NV_BLOCK, nullptr));
    }
    const float *out = x.get();
    check.compare(
        COUNT,
        NMOE_LAMBDA(uint64_t i) {
            uint32_t code = (uint32_t)i & 15, scale = (uint32_t)(i / 16);
            if ((scale & 0x7F) == 0x7F) return (uint64_t)1;
            const double steps[8] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
            int exponent = (int)(scale >> 3 & 15), fraction = (int)(scale & 7);
            double factor = exponent == 0 ? ldexp((double)fraction, -9) : ldexp((double)(8 + fraction), exponent - 10);
            /* The factors have few bits, so all products are exact in both precisions. */
            double value = (code & 8 ? -1.0 : 1.0) * steps[code & 7] * ((scale & 0x80 ? -1.0 : 1.0) * factor * 0.75);
            return (uint64_t)bits_of((float)value) << 1;
        },
        NMOE_LAMBDA(uint64_t i) { return out[i] != out[i] ? (uint64_t)1 : (uint64_t)bits_of(out[i]) << 1; });
    return check.outcome();
}

inline int32_t check_scale_swizzle(nmoe_check_report *report) {
    Check check(report);
    const uint64_t shapes[5][2] = {{1, 1}, {128, 4}, {129, 5}, {300, 18}, {1024, 64}};
    for (const auto &shape : shapes) {
        uint64_t rows = shape[0], columns = shape[1], size = swizzled_size(rows, columns);
        Buffer<uint8_t> scales(rows * columns, check.status), out(size, check.status), want(size, check.status);
        if (check.status.error == 0) {
            uint8_t *in = scales.get(), *w = want.get();
            check.status.keep(parallel(rows * columns, nullptr, NMOE_LAMBDA(uint64_t i) { in[i] = (uint8_t)(hash(i) | 1); }));
            check.status.keep(nmoe_scale_swizzle(in, out.get(), rows, columns, nullptr));
            check.status.keep(parallel(size, nullptr, NMOE_LAMBDA(uint64_t i) { w[i] = 0; }));
            /* The kernel computes the source of each output byte; this loop computes the target of each scale. */
            check.status.keep(parallel(rows * columns, nullptr, NMOE_LAMBDA(uint64_t i) {
                w[swizzled_at(i / columns, i % columns, columns)] = in[i];
            }));
        }
        const uint8_t *got = out.get(), *expected = want.get();
        check.compare(
            size, NMOE_LAMBDA(uint64_t i) { return (uint64_t)expected[i]; },
            NMOE_LAMBDA(uint64_t i) { return (uint64_t)got[i]; });
    }
    return check.outcome();
}

/* Test routing: some assignments have no expert, one expert gets none, and one gets many. */
struct Routing {
    static constexpr uint32_t TOKENS = 1000, K = 6, COUNT = 37, ALIGN = 16;
    static constexpr uint32_t ASSIGNMENTS = TOKENS * K;
    static constexpr uint32_t ROOM = ASSIGNMENTS + COUNT * (ALIGN - 1);
    Buffer<int32_t> experts, slots, places;
    Buffer<uint32_t> counts, offsets;

    explicit Routing(Check &check)
        : experts(ASSIGNMENTS, check.status), slots(ROOM, check.status), places(ASSIGNMENTS, check.status),
          counts(COUNT, check.status), offsets(COUNT + 1, check.status) {}
};

inline void plan(Check &check, Routing &routing) {
    if (check.status.error != 0) return;
    constexpr uint32_t COUNT = Routing::COUNT;
    int32_t *e = routing.experts.get();
    check.status.keep(parallel(Routing::ASSIGNMENTS, nullptr, NMOE_LAMBDA(uint64_t i) {
        uint64_t h = hash(i + 77);
        int32_t expert = h % 5 == 0 ? 3 : (int32_t)(h / 8 % COUNT);
        e[i] = h % 31 == 0 ? -1 : h % 29 == 0 ? (int32_t)COUNT : expert == 11 ? 12 : expert;
    }));
    check.status.keep(nmoe_expert_plan(e, Routing::ASSIGNMENTS, COUNT, Routing::ALIGN, routing.counts.get(),
                                       routing.offsets.get(), routing.slots.get(), routing.places.get(), nullptr));
    check.status.keep(settle());
}

inline int32_t check_expert_plan(nmoe_check_report *report) {
    Check check(report);
    Routing routing(check);
    plan(check, routing);
    constexpr uint32_t COUNT = Routing::COUNT, ALIGN = Routing::ALIGN, N = Routing::ASSIGNMENTS, ROOM = Routing::ROOM;
    Buffer<uint32_t> want_counts(COUNT, check.status), want_offsets(COUNT + 1, check.status);
    Buffer<int32_t> want_slots(ROOM, check.status), want_places(N, check.status);
    if (check.status.error == 0) {
        const int32_t *e = routing.experts.get();
        uint32_t *c = want_counts.get(), *o = want_offsets.get();
        int32_t *s = want_slots.get(), *p = want_places.get();
        /* The definition: one thread, one expert after the other. */
        check.status.keep(parallel(1, nullptr, NMOE_LAMBDA(uint64_t) {
            uint32_t slot = 0;
            for (uint32_t a = 0; a < N; a++) p[a] = -1;
            for (uint32_t expert = 0; expert < COUNT; expert++) {
                o[expert] = slot;
                for (uint32_t a = 0; a < N; a++) {
                    if (e[a] != (int32_t)expert) continue;
                    p[a] = (int32_t)slot;
                    s[slot++] = (int32_t)a;
                }
                c[expert] = slot - o[expert];
                while (slot % ALIGN != 0) s[slot++] = -1;
            }
            o[COUNT] = slot;
            while (slot < ROOM) s[slot++] = -1;
        }));
    }
    const uint32_t *gc = routing.counts.get(), *go = routing.offsets.get(), *wc = want_counts.get(), *wo = want_offsets.get();
    const int32_t *gs = routing.slots.get(), *gp = routing.places.get(), *ws = want_slots.get(), *wp = want_places.get();
    check.compare(COUNT, NMOE_LAMBDA(uint64_t i) { return (uint64_t)wc[i]; }, NMOE_LAMBDA(uint64_t i) { return (uint64_t)gc[i]; });
    check.compare(COUNT + 1, NMOE_LAMBDA(uint64_t i) { return (uint64_t)wo[i]; }, NMOE_LAMBDA(uint64_t i) { return (uint64_t)go[i]; });
    check.compare(ROOM, NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)ws[i]; }, NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)gs[i]; });
    check.compare(N, NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)wp[i]; }, NMOE_LAMBDA(uint64_t i) { return (uint64_t)(uint32_t)gp[i]; });
    return check.outcome();
}

constexpr uint32_t WIDTH = 67; /* odd, so that rows are not aligned */

inline int32_t check_gather(nmoe_check_report *report) {
    Check check(report);
    Routing routing(check);
    plan(check, routing);
    Buffer<float> x(Routing::TOKENS * WIDTH, check.status), out((uint64_t)Routing::ROOM * WIDTH, check.status);
    fill(check, x.get(), Routing::TOKENS * WIDTH, 3);
    if (check.status.error == 0) {
        check.status.keep(nmoe_gather(x.get(), routing.slots.get(), Routing::ROOM, Routing::K, WIDTH, out.get(), nullptr));
    }
    const float *in = x.get(), *got = out.get();
    const int32_t *slots = routing.slots.get();
    check.compare(
        (uint64_t)Routing::ROOM * WIDTH,
        NMOE_LAMBDA(uint64_t i) {
            int32_t a = slots[i / WIDTH];
            return a < 0 ? (uint64_t)0 : (uint64_t)bits_of(in[(uint64_t)a / Routing::K * WIDTH + i % WIDTH]);
        },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)bits_of(got[i]); });
    return check.outcome();
}

inline int32_t check_scatter_reduce(nmoe_check_report *report) {
    Check check(report);
    Routing routing(check);
    plan(check, routing);
    constexpr uint64_t OUT = (uint64_t)Routing::TOKENS * WIDTH;
    Buffer<float> rows((uint64_t)Routing::ROOM * WIDTH, check.status), gates(Routing::ASSIGNMENTS, check.status);
    Buffer<float> y(OUT, check.status);
    fill_small(check, rows.get(), (uint64_t)Routing::ROOM * WIDTH, 4);
    fill_small(check, gates.get(), Routing::ASSIGNMENTS, 5);
    if (check.status.error == 0) {
        check.status.keep(nmoe_scatter_reduce(rows.get(), routing.places.get(), gates.get(), Routing::TOKENS, Routing::K,
                                              WIDTH, y.get(), nullptr));
    }
    const float *r = rows.get(), *g = gates.get(), *got = y.get();
    const int32_t *places = routing.places.get();
    check.compare(
        OUT,
        NMOE_LAMBDA(uint64_t i) {
            float sum = 0.0f;
            for (uint32_t j = 0; j < Routing::K; j++) {
                int32_t place = places[i / WIDTH * Routing::K + j];
                if (place < 0) continue;
                sum = fused(g[i / WIDTH * Routing::K + j], r[(uint64_t)place * WIDTH + i % WIDTH], sum);
            }
            return (uint64_t)bits_of(sum);
        },
        NMOE_LAMBDA(uint64_t i) { return (uint64_t)bits_of(got[i]); });
    return check.outcome();
}

inline int32_t check_adamw(nmoe_check_report *report) {
    Check check(report);
    constexpr uint64_t COUNT = 100003;
    Buffer<float> g(COUNT, check.status), w(COUNT, check.status), m(COUNT, check.status), v(COUNT, check.status);
    fill_small(check, g.get(), COUNT, 6);
    fill_small(check, w.get(), COUNT, 7);
    fill_small(check, m.get(), COUNT, 8);
    float *weights = w.get(), *first = m.get(), *second = v.get();
    nmoe_adamw s{0.0003f, 0.9f, 0.95f, 1e-8f, 0.1f, 5.2631578f, 10.256411f};
    if (check.status.error == 0) {
        check.status.keep(parallel(COUNT, nullptr, NMOE_LAMBDA(uint64_t i) { second[i] = mul(first[i], first[i]); }));
        check.status.keep(nmoe_adamw_step(&s, g.get(), weights, first, second, COUNT, nullptr));
    }
    const float *gradients = g.get();
    check.compare(
        COUNT * 3,
        NMOE_LAMBDA(uint64_t n) {
            uint64_t i = n / 3;
            uint32_t hw_ = (uint32_t)hash(7 + i), hm = (uint32_t)hash(8 + i);
            float weight = of_bits((hw_ & 0x807FFFFFu) | ((120u + (hw_ >> 23) % 8u) << 23));
            float m0 = of_bits((hm & 0x807FFFFFu) | ((120u + (hm >> 23) % 8u) << 23));
            float gradient = gradients[i];
            float m1 = fused(s.beta1, m0, mul(add(1.0f, -s.beta1), gradient));
            float v1 = fused(s.beta2, mul(m0, m0), mul(add(1.0f, -s.beta2), mul(gradient, gradient)));
            float denominator = add(root(mul(v1, s.correction2)), s.epsilon);
            float update = fused(s.decay, weight, divide(mul(m1, s.correction1), denominator));
            float w1 = fused(-s.rate, update, weight);
            return (uint64_t)bits_of(n % 3 == 0 ? w1 : n % 3 == 1 ? m1 : v1);
        },
        NMOE_LAMBDA(uint64_t n) {
            uint64_t i = n / 3;
            return (uint64_t)bits_of(n % 3 == 0 ? weights[i] : n % 3 == 1 ? first[i] : second[i]);
        });
    return check.outcome();
}

struct Entry {
    const char *name;
    int32_t (*run)(nmoe_check_report *);
};

const Entry CHECKS[] = {
    {"e4m3_conversion", check_e4m3},
    {"e2m1_conversion", check_e2m1},
    {"ue8m0_conversion", check_ue8m0},
    {"mxfp8_quantize", check_mxfp8_quantize},
    {"mxfp8_dequantize", check_mxfp8_dequantize},
    {"nvfp4_quantize", check_nvfp4_quantize},
    {"nvfp4_dequantize", check_nvfp4_dequantize},
    {"scale_swizzle", check_scale_swizzle},
    {"expert_plan", check_expert_plan},
    {"gather", check_gather},
    {"scatter_reduce", check_scatter_reduce},
    {"adamw", check_adamw},
    {"block_quantize_e4m3", check_block_quantize_e4m3},
    {"block_quantize_e2m1", check_block_quantize_e2m1},
    {"swiglu", check_swiglu},
    {"swiglu_quantize_e4m3", check_swiglu_quantize_e4m3},
    {"swiglu_quantize_e2m1", check_swiglu_quantize_e2m1},
    {"dispatch_plan", check_dispatch_plan},
    {"combine_index", check_combine_index},
    {"padded_mapping", check_padded_mapping},
    {"gather_rows", check_gather_rows},
    {"combine", check_combine},
    {"adamw_bf16", check_adamw_bf16},
};
constexpr uint32_t CHECK_COUNT = sizeof CHECKS / sizeof CHECKS[0];

} /* namespace checks */
} /* namespace nmoe */

extern "C" {

uint32_t nmoe_abi_version(void) { return NMOE_ABI_VERSION; }

uint32_t nmoe_check_count(void) { return nmoe::checks::CHECK_COUNT; }

const char *nmoe_check_name(uint32_t check) { return check < nmoe::checks::CHECK_COUNT ? nmoe::checks::CHECKS[check].name : nullptr; }

int32_t nmoe_check_run(uint32_t check, nmoe_check_report *report) {
    if (check >= nmoe::checks::CHECK_COUNT || report == nullptr || report->size < sizeof *report) return NMOE_CHECK_UNSUPPORTED;
    report->outcome = nmoe::checks::CHECKS[check].run(report);
    return report->outcome;
}

} /* extern "C" */
