// Implements the ABI on the host: one loop per function over the shared element functions. This tests the arithmetic
// and the layouts on any machine, but not the device code.

#include "platform.h"

using namespace nmoe;

extern "C" {

int32_t nmoe_mxfp8_quantize(const float *x, uint8_t *codes, uint8_t *scales, uint64_t blocks, void *) {
    for (uint64_t b = 0; b < blocks; b++) {
        scales[b] = mx_scale(amax_bits(x + b * MX_BLOCK, MX_BLOCK));
        for (int i = 0; i < MX_BLOCK; i++) codes[b * MX_BLOCK + i] = mx_code(x[b * MX_BLOCK + i], scales[b]);
    }
    return 0;
}

int32_t nmoe_mxfp8_dequantize(const uint8_t *codes, const uint8_t *scales, float *x, uint64_t blocks, void *) {
    for (uint64_t i = 0; i < blocks * MX_BLOCK; i++) x[i] = mx_value(codes[i], scales[i / MX_BLOCK]);
    return 0;
}

int32_t nmoe_nvfp4_quantize(const float *x, float tensor_scale, uint8_t *codes, uint8_t *scales, uint64_t blocks, void *) {
    for (uint64_t b = 0; b < blocks; b++) {
        const float *block = x + b * NV_BLOCK;
        scales[b] = nv_scale(amax_bits(block, NV_BLOCK), tensor_scale);
        for (int i = 0; i < NV_BLOCK; i += 2) {
            codes[(b * NV_BLOCK + i) / 2] = nv_pair(block[i], block[i + 1], scales[b], tensor_scale);
        }
    }
    return 0;
}

int32_t nmoe_nvfp4_dequantize(const uint8_t *codes, const uint8_t *scales, float tensor_scale, float *x,
                              uint64_t blocks, void *) {
    for (uint64_t i = 0; i < blocks * NV_BLOCK; i++) {
        x[i] = nv_value((uint8_t)((codes[i / 2] >> (i % 2 * 4)) & 15), scales[i / NV_BLOCK], tensor_scale);
    }
    return 0;
}

uint64_t nmoe_swizzled_size(uint64_t rows, uint64_t columns) { return swizzled_size(rows, columns); }

int32_t nmoe_scale_swizzle(const uint8_t *scales, uint8_t *out, uint64_t rows, uint64_t columns, void *) {
    for (uint64_t i = 0; i < swizzled_size(rows, columns); i++) out[i] = swizzled_byte(scales, i, rows, columns);
    return 0;
}

int32_t nmoe_expert_plan(const int32_t *experts, uint32_t assignments, uint32_t count, uint32_t align,
                         uint32_t *counts, uint32_t *offsets, int32_t *slots, int32_t *places, void *) {
    if (count == 0 || align == 0) return 1; /* cudaErrorInvalidValue */
    uint64_t room = (uint64_t)assignments + (uint64_t)count * (align - 1);
    for (uint64_t i = 0; i < room; i++) slots[i] = -1;
    for (uint32_t e = 0; e < count; e++) counts[e] = 0;
    for (uint32_t a = 0; a < assignments; a++) {
        places[a] = -1;
        if (experts[a] >= 0 && (uint32_t)experts[a] < count) counts[experts[a]] += 1;
    }
    offsets[0] = 0;
    for (uint32_t e = 0; e < count; e++) offsets[e + 1] = offsets[e] + (counts[e] + align - 1) / align * align;
    for (uint32_t e = 0; e < count; e++) {
        uint32_t slot = offsets[e];
        for (uint32_t a = 0; a < assignments; a++) {
            if (experts[a] != (int32_t)e) continue;
            slots[slot] = (int32_t)a;
            places[a] = (int32_t)slot;
            slot += 1;
        }
    }
    return 0;
}

int32_t nmoe_gather(const float *x, const int32_t *slots, uint32_t slot_count, uint32_t k, uint32_t width, float *out, void *) {
    if (k == 0) return 1; /* cudaErrorInvalidValue */
    for (uint64_t i = 0; i < (uint64_t)slot_count * width; i++) {
        out[i] = gathered(x, slots[i / width], k, width, (uint32_t)(i % width));
    }
    return 0;
}

int32_t nmoe_scatter_reduce(const float *rows, const int32_t *places, const float *gates, uint32_t tokens, uint32_t k,
                            uint32_t width, float *y, void *) {
    for (uint64_t i = 0; i < (uint64_t)tokens * width; i++) {
        y[i] = reduced(rows, places, gates, i / width, k, width, (uint32_t)(i % width));
    }
    return 0;
}

int32_t nmoe_adamw_step(const nmoe_adamw *step, const float *gradients, float *weights, float *first, float *second,
                        uint64_t count, void *) {
    for (uint64_t i = 0; i < count; i++) adamw(*step, gradients[i], weights + i, first + i, second + i);
    return 0;
}

} // extern "C"

#include "trainer_abi.h"

#include "checks.h"
