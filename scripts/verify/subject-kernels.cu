/* Checks the quantisers of nmoe, behind nmoe_gates_checks.h. An example of a check library: it is linked with the objects of the
 * kernels and calls their C functions. The reference below is written from the description of the formats, not from the kernels:
 *
 * A row of bf16 values is split into blocks of 32. The scale of a block is the smallest power of two that is not below
 * amax / 448 (E4M3) or amax / 6 (E2M1), stored as UE8M0; a maximum of zero gives the scale 1, a subnormal quotient the code 1. A NaN does
 * not count for the maximum.
 * A code is the value times the inverse of the scale, rounded to nearest even and saturated. Two E2M1 codes share a byte, the
 * earlier in the low half.
 */
#include <cuda_runtime.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "nmoe_gates_checks.h"

extern "C" cudaError_t quant_fp8(const void *x, int ldx, void *out, int ld_out, void *sfa, int ld_sf, int M, int K, cudaStream_t stream);
extern "C" cudaError_t quant_nvfp4(const void *x, int ldx, void *out, int ld_out, void *sfa, int ld_sf, int M, int K, cudaStream_t stream);

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

int32_t run(bool narrow, nmoe_check_report *report) {
    std::vector<uint16_t> x = input();
    size_t codes = narrow ? x.size() / 2 : x.size(), scales = x.size() / BLOCK;
    void *device_x = nullptr, *device_codes = nullptr, *device_scales = nullptr;
    std::vector<uint8_t> got(codes), got_scales(scales);
    cudaError_t error = cudaMalloc(&device_x, x.size() * 2);
    if (!error) error = cudaMalloc(&device_codes, codes);
    if (!error) error = cudaMalloc(&device_scales, scales);
    if (!error) error = cudaMemcpy(device_x, x.data(), x.size() * 2, cudaMemcpyHostToDevice);
    if (!error) {
        error = narrow ? quant_nvfp4(device_x, COLUMNS, device_codes, COLUMNS / 4, device_scales, COLUMNS / BLOCK, ROWS, COLUMNS, 0)
                       : quant_fp8(device_x, COLUMNS, device_codes, COLUMNS / 2, device_scales, COLUMNS / BLOCK, ROWS, COLUMNS, 0);
    }
    if (!error) error = cudaMemcpy(got.data(), device_codes, codes, cudaMemcpyDeviceToHost);
    if (!error) error = cudaMemcpy(got_scales.data(), device_scales, scales, cudaMemcpyDeviceToHost);
    cudaFree(device_x);
    cudaFree(device_codes);
    cudaFree(device_scales);
    if (error) {
        report->error = error;
        return NMOE_CHECK_ERROR;
    }
    auto compare = [&](uint64_t index, uint8_t expected, uint8_t found) {
        if (expected != found && report->mismatches++ == 0) {
            report->index = index;
            report->expected = expected;
            report->got = found;
        }
        report->cases++;
    };
    for (size_t block = 0; block < scales; ++block) {
        float amax = 0.0f;
        for (int i = 0; i < BLOCK; ++i) amax = fmaxf(amax, fabsf(of_bf16(x[block * BLOCK + i])));
        uint8_t scale = scale_of(amax, narrow ? 6.0f : 448.0f);
        compare(block, scale, got_scales[block]);
        float inverse = ldexpf(1.0f, 127 - scale);
        for (int i = 0; i < BLOCK; ++i) {
            size_t at = block * BLOCK + i;
            float value = of_bf16(x[at]) * inverse;
            uint8_t found = narrow ? (uint8_t)((got[at / 2] >> (at % 2 * 4)) & 0xF) : got[at];
            compare(at, narrow ? e2m1(value) : e4m3(value), found);
        }
    }
    return report->mismatches ? NMOE_CHECK_MISMATCH : NMOE_CHECK_PASS;
}

} /* namespace */

extern "C" {
uint32_t nmoe_abi_version(void) { return NMOE_ABI_VERSION; }
uint32_t nmoe_check_count(void) { return 2; }
const char *nmoe_check_name(uint32_t check) { return check == 0 ? "quant_fp8" : check == 1 ? "quant_nvfp4" : nullptr; }
int32_t nmoe_check_run(uint32_t check, nmoe_check_report *report) {
    if (report->size < sizeof *report) return NMOE_CHECK_ERROR;
    return report->outcome = run(check == 1, report);
}
}
