/* Checks the quantisers, the layout of scales and the AdamW step of nmoe, behind nmoe_gates_checks.h. An example of a check library:
 * it is linked with the objects of the kernels and calls their C functions. The reference below is written from the description of
 * the formats, not from the kernels:
 *
 * A row of bf16 values is split into blocks of 32. The scale of a block is the smallest power of two that is not below
 * amax / 448 (E4M3) or amax / 6 (E2M1), stored as UE8M0; a maximum of zero gives the scale 1, a subnormal quotient the code 1. A NaN does
 * not count for the maximum.
 * A code is the value times the inverse of the scale, rounded to nearest even and saturated. Two E2M1 codes share a byte, the
 * earlier in the low half. Scales are stored in tiles of 128 rows and 4 columns, 16 bytes for each of 32 rows.
 *
 * AdamW decays the weight first, has bf16 moments, and divides by sqrt(v) * c + eps. The compiler may fuse multiplications and
 * additions, so weights, moments and codes may differ by one step of their format; scales may not differ.
 */
#include <cuda_runtime.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "nmoe_gates_checks.h"

extern "C" cudaError_t quant_fp8(const void *x, int ldx, void *out, int ld_out, void *sfa, int ld_sf, int M, int K, cudaStream_t stream);
extern "C" cudaError_t quant_nvfp4(const void *x, int ldx, void *out, int ld_out, void *sfa, int ld_sf, int M, int K, cudaStream_t stream);
extern "C" cudaError_t swizzle_sf_mkl_to_mma(const void *rows, void *tiles, int M, int sf_k, cudaStream_t stream);
extern "C" cudaError_t expert_adamw_step(int profile, void *W1, const void *dW1, void *m1, void *v1, void *W3, const void *dW3, void *m3,
                                         void *v3, void *W2, const void *dW2, void *m2, void *v2, void *W13_q, void *W13_sf, void *W2_q,
                                         void *W2_sf, int E, int H, int Dff, float lr, float beta1, float beta2, float weight_decay,
                                         float eps, float step_size, float inv_bias_correction2_sqrt, cudaStream_t stream);

namespace {

constexpr int ROWS = 1024, COLUMNS = 256, BLOCK = 32;

float of_bf16(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* Rounds to the nearest of the values of a small format, ties to the even code. `values` are those of the positive codes. */
template <int COUNT> uint8_t nearest(float x, const float (&values)[COUNT]) {
    float magnitude = fabsf(x);
    int best = COUNT - 1;
    for (int code = 0; code + 1 < COUNT; ++code) {
        float middle = 0.5f * (values[code] + values[code + 1]);
        if (magnitude < middle || (magnitude == middle && code % 2 == 0)) {
            best = code;
            break;
        }
    }
    return (uint8_t)best;
}

uint8_t e2m1(float x) {
    static const float values[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
    if (isnan(x)) return 7;
    return nearest(x, values) | (signbit(x) ? 8 : 0);
}

uint8_t e4m3(float x) {
    static float values[127];
    if (values[126] == 0.0f) {
        for (int code = 0; code < 127; ++code) {
            int exponent = code >> 3, fraction = code & 7;
            values[code] = exponent == 0 ? ldexpf((float)fraction, -9) : ldexpf(1.0f + (float)fraction / 8.0f, exponent - 7);
        }
    }
    if (isnan(x)) return 0x7F;
    return nearest(x, values) | (signbit(x) ? 0x80 : 0);
}

uint8_t scale_of(float amax, float most) {
    float scale = amax / most;
    if (!(scale > 0.0f)) return 127;
    if (scale < ldexpf(1.0f, -126)) return 1;
    int exponent;
    float fraction = frexpf(scale, &exponent); /* scale = fraction * 2^exponent, fraction in [0.5, 1) */
    if (isinf(scale)) return 254;
    int code = 127 + (fraction > 0.5f ? exponent : exponent - 1);
    return (uint8_t)(code < 0 ? 0 : code > 254 ? 254 : code);
}

/* Every bf16 value occurs; some blocks are zero, or have one NaN, one infinity, or only tiny values. */
std::vector<uint16_t> input() {
    std::vector<uint16_t> x((size_t)ROWS * COLUMNS);
    uint32_t state = 1;
    for (size_t i = 0; i < x.size(); ++i) {
        state = state * 1664525u + 1013904223u;
        size_t block = i / BLOCK;
        if (block % 4 == 0) x[i] = (uint16_t)(i / 4); /* neighbours in the order of their bits */
        else x[i] = (uint16_t)(0x3000u + (state >> 19)) | (uint16_t)((state >> 3) & 0x8000u);
        if (block % 64 == 1) x[i] = 0;
        if (block % 64 == 2 && i % BLOCK == 5) x[i] = 0x7FC0;
        if (block % 64 == 3 && i % BLOCK == 7) x[i] = 0xFF80;
    }
    return x;
}

/* Device memory that is freed at the end, and the first error of a call. */
class Device {
  public:
    ~Device() {
        for (void *one : all) cudaFree(one);
    }
    template <typename T> T *put(const std::vector<T> &host) {
        void *device = nullptr;
        keep(cudaMalloc(&device, host.size() * sizeof(T)));
        if (device) all.push_back(device);
        if (!error) keep(cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
        return (T *)device;
    }
    template <typename T> std::vector<T> get(const T *device, size_t count) {
        std::vector<T> host(count);
        if (!error) keep(cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost));
        return host;
    }
    void keep(cudaError_t next) {
        if (!error) error = next;
    }
    cudaError_t error = cudaSuccess;

  private:
    std::vector<void *> all;
};

/* Counts the cases, and keeps the first that differs. */
struct Comparison {
    nmoe_check_report *report;
    void equal(uint64_t index, uint64_t expected, uint64_t found) { count(expected == found, index, expected, found); }
    /* Accepts a neighbour: codes of a small format, with the sign in `sign`. */
    void near(uint64_t index, unsigned expected, unsigned found, unsigned sign) {
        auto place = [&](unsigned code) { return code & sign ? -(int)(code & (sign - 1)) : (int)code; };
        int distance = place(expected) - place(found);
        count(distance >= -1 && distance <= 1, index, expected, found);
    }
    int32_t outcome(cudaError_t error) {
        report->error = error;
        return error ? NMOE_CHECK_ERROR : report->mismatches ? NMOE_CHECK_MISMATCH : NMOE_CHECK_PASS;
    }

  private:
    void count(bool good, uint64_t index, uint64_t expected, uint64_t found) {
        if (!good && report->mismatches++ == 0) {
            report->index = index;
            report->expected = expected;
            report->got = found;
        }
        report->cases++;
    }
};

unsigned code_at(const std::vector<uint8_t> &codes, size_t at, bool narrow) {
    return narrow ? (codes[at / 2] >> (at % 2 * 4)) & 0xF : codes[at];
}

int32_t check_quantiser(bool narrow, nmoe_check_report *report) {
    std::vector<uint16_t> x = input();
    size_t codes = narrow ? x.size() / 2 : x.size(), scales = x.size() / BLOCK;
    Device device;
    uint16_t *device_x = device.put(x);
    uint8_t *device_codes = device.put(std::vector<uint8_t>(codes)), *device_scales = device.put(std::vector<uint8_t>(scales));
    if (!device.error) {
        auto quantise = narrow ? quant_nvfp4 : quant_fp8;
        device.keep(quantise(device_x, COLUMNS, device_codes, COLUMNS / (narrow ? 4 : 2), device_scales, COLUMNS / BLOCK, ROWS, COLUMNS, 0));
    }
    std::vector<uint8_t> got = device.get(device_codes, codes), got_scales = device.get(device_scales, scales);
    Comparison comparison{report};
    for (size_t block = 0; block < scales && !device.error; ++block) {
        float amax = 0.0f;
        for (int i = 0; i < BLOCK; ++i) amax = fmaxf(amax, fabsf(of_bf16(x[block * BLOCK + i])));
        uint8_t scale = scale_of(amax, narrow ? 6.0f : 448.0f);
        comparison.equal(block, scale, got_scales[block]);
        float inverse = ldexpf(1.0f, 127 - scale);
        for (int i = 0; i < BLOCK; ++i) {
            size_t at = block * BLOCK + i;
            float value = of_bf16(x[at]) * inverse;
            comparison.equal(at, narrow ? e2m1(value) : e4m3(value), code_at(got, at, narrow));
        }
    }
    return comparison.outcome(device.error);
}

size_t place_of_scale(size_t row, size_t column, size_t columns) {
    size_t tile = row / 128 * (columns / 4) + column / 4;
    return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + column % 4;
}

int32_t check_swizzle(nmoe_check_report *report) {
    constexpr int rows = 384, columns = 12;
    std::vector<uint8_t> scales((size_t)rows * columns);
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = (uint8_t)(i * 2654435761u >> 13);
    Device device;
    uint8_t *from = device.put(scales), *to = device.put(std::vector<uint8_t>(scales.size()));
    if (!device.error) device.keep(swizzle_sf_mkl_to_mma(from, to, rows, columns, 0));
    std::vector<uint8_t> got = device.get(to, scales.size());
    Comparison comparison{report};
    for (size_t i = 0; i < scales.size() && !device.error; ++i)
        comparison.equal(i, scales[i], got[place_of_scale(i / columns, i % columns, columns)]);
    return comparison.outcome(device.error);
}

uint16_t to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

/* Values between `low` and `high`, with random signs if `sign`. */
std::vector<uint16_t> random(size_t count, uint32_t seed, float low, float high, bool sign) {
    std::vector<uint16_t> values(count);
    for (uint16_t &value : values) {
        seed = seed * 1664525u + 1013904223u;
        float one = low + (high - low) * (float)(seed >> 8) / 16777216.0f;
        value = to_bf16(sign && (seed & 128) ? -one : one);
    }
    return values;
}

int32_t check_adamw(bool narrow, nmoe_check_report *report) {
    constexpr size_t E = 2, H = 128, DFF = 256, COUNT = E * H * DFF;
    constexpr float lr = 0.0003f, beta1 = 0.9f, beta2 = 0.95f, decay = 0.1f, eps = 1e-8f, step = 0.0011070111f, correction = 2.6478992f;
    struct Matrix {
        std::vector<uint16_t> weight, gradient, first, second;
        uint16_t *device[4];
        std::vector<float> updated;
    };
    Device device;
    std::vector<Matrix> matrices; /* W1, W3, W2 */
    for (uint32_t seed = 1; seed <= 3; ++seed) {
        matrices.push_back({random(COUNT, seed, 0.01f, 1.0f, true), random(COUNT, seed + 10, 0.0f, 1.0f, true),
                            random(COUNT, seed + 20, 0.0f, 0.1f, true), random(COUNT, seed + 30, 0.01f, 1.0f, false), {}, {}});
        Matrix &one = matrices.back();
        const std::vector<uint16_t> *parts[4] = {&one.weight, &one.gradient, &one.first, &one.second};
        for (int part = 0; part < 4; ++part) one.device[part] = device.put(*parts[part]);
    }
    /* The caches: codes by row, scales in tiles. Rows of W1 and W3 alternate. */
    size_t bytes[2] = {2 * COUNT / (narrow ? 2 : 1), COUNT / (narrow ? 2 : 1)}, blocks[2] = {2 * COUNT / BLOCK, COUNT / BLOCK};
    uint8_t *codes[2], *scales[2];
    for (int cache = 0; cache < 2; ++cache) {
        codes[cache] = device.put(std::vector<uint8_t>(bytes[cache]));
        scales[cache] = device.put(std::vector<uint8_t>(blocks[cache]));
    }
    if (!device.error) {
        auto at = [&](int matrix, int part) { return matrices[matrix].device[part]; };
        device.keep(expert_adamw_step(narrow, at(0, 0), at(0, 1), at(0, 2), at(0, 3), at(1, 0), at(1, 1), at(1, 2), at(1, 3), at(2, 0),
                                      at(2, 1), at(2, 2), at(2, 3), codes[0], scales[0], codes[1], scales[1], E, H, DFF, lr, beta1, beta2,
                                      decay, eps, step, correction, 0));
    }
    Comparison comparison{report};
    for (Matrix &one : matrices) {
        std::vector<uint16_t> weight = device.get(one.device[0], COUNT), first = device.get(one.device[2], COUNT),
                              second = device.get(one.device[3], COUNT);
        for (size_t i = 0; i < COUNT && !device.error; ++i) {
            float w = of_bf16(one.weight[i]), g = of_bf16(one.gradient[i]);
            w -= lr * decay * w;
            float m = beta1 * of_bf16(one.first[i]) + (1.0f - beta1) * g;
            float v = beta2 * of_bf16(one.second[i]) + (1.0f - beta2) * g * g;
            w -= step * m / (sqrtf(v) * correction + eps);
            one.updated.push_back(w);
            comparison.near(i, to_bf16(w), weight[i], 0x8000);
            comparison.near(i, to_bf16(m), first[i], 0x8000);
            comparison.near(i, to_bf16(v), second[i], 0x8000);
        }
    }
    for (int cache = 0; cache < 2; ++cache) {
        std::vector<uint8_t> got = device.get(codes[cache], bytes[cache]), got_scales = device.get(scales[cache], blocks[cache]);
        size_t rows = cache == 0 ? 2 * DFF : H, columns = cache == 0 ? H : DFF;
        for (size_t row = 0; row < E * rows && !device.error; ++row) {
            size_t expert = row / rows, mine = row % rows;
            auto value = [&](size_t column) {
                return cache == 0 ? matrices[mine % 2].updated[expert * H * DFF + column * DFF + mine / 2]
                                  : matrices[2].updated[expert * H * DFF + column * H + mine];
            };
            for (size_t block = 0; block < columns / BLOCK; ++block) {
                float amax = 0.0f;
                for (size_t i = 0; i < BLOCK; ++i) amax = fmaxf(amax, fabsf(value(block * BLOCK + i)));
                uint8_t scale = scale_of(amax, narrow ? 6.0f : 448.0f);
                size_t place = expert * rows * (columns / BLOCK) + place_of_scale(mine, block, columns / BLOCK);
                comparison.equal(place, scale, got_scales[place]);
                for (size_t i = 0; i < BLOCK; ++i) {
                    float scaled = value(block * BLOCK + i) * ldexpf(1.0f, 127 - scale);
                    size_t at = row * columns + block * BLOCK + i;
                    comparison.near(at, narrow ? e2m1(scaled) : e4m3(scaled), code_at(got, at, narrow), narrow ? 8 : 0x80);
                }
            }
        }
    }
    return comparison.outcome(device.error);
}

int32_t quant_fp8_check(nmoe_check_report *report) { return check_quantiser(false, report); }
int32_t quant_nvfp4_check(nmoe_check_report *report) { return check_quantiser(true, report); }
int32_t adamw_fp8_check(nmoe_check_report *report) { return check_adamw(false, report); }
int32_t adamw_nvfp4_check(nmoe_check_report *report) { return check_adamw(true, report); }

const struct {
    const char *name;
    int32_t (*run)(nmoe_check_report *);
} CHECKS[] = {
    {"quant_fp8", quant_fp8_check},     {"quant_nvfp4", quant_nvfp4_check}, {"swizzle", check_swizzle},
    {"adamw_fp8", adamw_fp8_check},     {"adamw_nvfp4", adamw_nvfp4_check},
};
constexpr uint32_t COUNT_OF_CHECKS = sizeof CHECKS / sizeof *CHECKS;

} /* namespace */

extern "C" {
uint32_t nmoe_abi_version(void) { return NMOE_ABI_VERSION; }
uint32_t nmoe_check_count(void) { return COUNT_OF_CHECKS; }
const char *nmoe_check_name(uint32_t check) { return check < COUNT_OF_CHECKS ? CHECKS[check].name : nullptr; }
int32_t nmoe_check_run(uint32_t check, nmoe_check_report *report) {
    if (check >= COUNT_OF_CHECKS || report->size < sizeof *report) return NMOE_CHECK_ERROR;
    return report->outcome = CHECKS[check].run(report);
}
}
