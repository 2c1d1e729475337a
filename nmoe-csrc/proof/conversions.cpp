// Exports the conversions of src/elements.h, and compares them with NVIDIA's host code.
// scripts/verify/kernels compiles this file with the headers of a CUDA toolkit, without a GPU or a CUDA compiler.

#include <cuda_fp4.h>
#include <cuda_fp8.h>

#include "elements.h"

namespace {

float at(uint64_t i) { return nmoe::of_bits((uint32_t)i); }

template <typename Ours, typename Theirs>
uint64_t differences(uint64_t from, uint64_t to, Ours ours, Theirs theirs, uint64_t *first) {
    uint64_t count = 0;
    for (uint64_t i = from; i < to; i++) {
        if (ours(at(i)) == theirs(at(i))) continue;
        if (count++ == 0) *first = i;
    }
    return count;
}

} // namespace

extern "C" {

void fill_e4m3(uint64_t from, uint64_t count, uint8_t *out) {
    for (uint64_t i = 0; i < count; i++) out[i] = nmoe::ref::e4m3(at(from + i));
}

void fill_e2m1(uint64_t from, uint64_t count, uint8_t *out) {
    for (uint64_t i = 0; i < count; i++) out[i] = nmoe::ref::e2m1(at(from + i));
}

void fill_ue8m0(uint64_t from, uint64_t count, uint8_t *out) {
    for (uint64_t i = 0; i < count; i++) out[i] = nmoe::ref::ue8m0_up(at(from + i));
}

void fill_samples(uint64_t seed, uint64_t count, float *out) {
    for (uint64_t i = 0; i < count; i++) out[i] = nmoe::sample(seed + i);
}

// Counts the floats with bits from..to whose code differs from NVIDIA's.
uint64_t nvidia_e4m3(uint64_t from, uint64_t to, uint64_t *first) {
    return differences(from, to, [](float x) { return nmoe::ref::e4m3(x); },
                       [](float x) { return (uint8_t)__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3); }, first);
}

uint64_t nvidia_e2m1(uint64_t from, uint64_t to, uint64_t *first) {
    return differences(from, to, [](float x) { return nmoe::ref::e2m1(x); },
                       [](float x) { return (uint8_t)__nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest); }, first);
}

uint64_t nvidia_ue8m0(uint64_t from, uint64_t to, uint64_t *first) {
    return differences(from, to, [](float x) { return nmoe::ref::ue8m0_up(x); },
                       [](float x) { return (uint8_t)__nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundPosInf); }, first);
}

} // extern "C"
