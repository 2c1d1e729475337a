// Implements the kernels for sm_100a, and the ABI functions that launch them.
//
// A warp processes a complete block of a format, so that all lanes take part in each shuffle.

#include "platform.h"
#include "trainer.h"

using namespace nmoe;

// Kernels have C names, so that an inspection can find them, and builds on different machines are equal.

constexpr uint32_t ALL = 0xFFFFFFFFu;

__device__ inline uint32_t warp_max(uint32_t value, uint32_t lanes) {
    for (uint32_t step = lanes / 2; step > 0; step /= 2) {
        uint32_t other = __shfl_xor_sync(ALL, value, step);
        value = other > value ? other : value;
    }
    return value;
}

// One warp per block of 32.
extern "C" __global__ void nmoe_mxfp8_quantize_kernel(const float *x, uint8_t *codes, uint8_t *scales, uint64_t blocks) {
    uint32_t lane = threadIdx.x % WARP;
    uint64_t warps = (uint64_t)gridDim.x * (THREADS / WARP);
    for (uint64_t b = (uint64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; b < blocks; b += warps) {
        float value = x[b * MX_BLOCK + lane];
        uint8_t scale = mx_scale(warp_max(bits_of(value) & 0x7FFFFFFFu, WARP));
        codes[b * MX_BLOCK + lane] = mx_code(value, scale);
        if (lane == 0) scales[b] = scale;
    }
}

// One warp per four blocks of 16: eight lanes per block and two values per lane, so that a lane writes a complete byte.
extern "C" __global__ void nmoe_nvfp4_quantize_kernel(const float *x, float tensor_scale, uint8_t *codes,
                                                      uint8_t *scales, uint64_t blocks) {
    uint32_t lane = threadIdx.x % WARP;
    uint64_t warps = (uint64_t)gridDim.x * (THREADS / WARP);
    uint64_t groups = (blocks + 3) / 4;
    // An unrolled loop needs its number of rounds, which is a 64-bit division.
#pragma unroll 1
    for (uint64_t g = (uint64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP; g < groups; g += warps) {
        uint64_t b = g * 4 + lane / 8;
        bool there = b < blocks;
        uint64_t at = b * NV_BLOCK + lane % 8 * 2;
        float low = there ? x[at] : 0.0f;
        float high = there ? x[at + 1] : 0.0f;
        uint32_t a = bits_of(low) & 0x7FFFFFFFu;
        uint32_t c = bits_of(high) & 0x7FFFFFFFu;
        uint8_t scale = nv_scale(warp_max(a > c ? a : c, 8), tensor_scale);
        if (there) {
            codes[at / 2] = nv_pair(low, high, scale, tensor_scale);
            if (lane % 8 == 0) scales[b] = scale;
        }
    }
}

// One thread block per expert. It visits all assignments in order, so that the sort is stable without atomics.
// Without `slots`, it counts the assignments; with `slots`, it writes them.
extern "C" __global__ void nmoe_expert_walk_kernel(const int32_t *experts, uint32_t assignments, uint32_t *counts,
                                                   const uint32_t *offsets, int32_t *slots, int32_t *places) {
    int32_t expert = (int32_t)blockIdx.x;
    uint32_t count = in_order(
        assignments, [=](uint32_t a) { return experts[a] == expert; },
        [=](uint32_t a, uint32_t rank) {
            if (slots == nullptr) return;
            uint32_t slot = offsets[expert] + rank;
            slots[slot] = (int32_t)a;
            places[a] = (int32_t)slot;
        });
    if (threadIdx.x == 0 && slots == nullptr) counts[expert] = count;
}

extern "C" __global__ void nmoe_expert_offsets_kernel(const uint32_t *counts, uint32_t count, uint32_t align,
                                                      uint32_t *offsets) {
    uint32_t at = 0;
    for (uint32_t e = 0; e < count; e++) {
        offsets[e] = at;
        at += (counts[e] + align - 1) / align * align;
    }
    offsets[count] = at;
}

static int32_t launched() { return (int32_t)cudaGetLastError(); }

extern "C" {

int32_t nmoe_mxfp8_quantize(const float *x, uint8_t *codes, uint8_t *scales, uint64_t blocks, void *stream) {
    if (blocks == 0) return 0;
    nmoe_mxfp8_quantize_kernel<<<blocks_for(blocks * WARP, THREADS), THREADS, 0, (cudaStream_t)stream>>>(x, codes, scales, blocks);
    return launched();
}

int32_t nmoe_mxfp8_dequantize(const uint8_t *codes, const uint8_t *scales, float *x, uint64_t blocks, void *stream) {
    return parallel(blocks * MX_BLOCK, (cudaStream_t)stream,
                    NMOE_LAMBDA(uint64_t i) { x[i] = mx_value(codes[i], scales[i / MX_BLOCK]); });
}

int32_t nmoe_nvfp4_quantize(const float *x, float tensor_scale, uint8_t *codes, uint8_t *scales, uint64_t blocks,
                            void *stream) {
    if (blocks == 0) return 0;
    nmoe_nvfp4_quantize_kernel<<<blocks_for((blocks + 3) / 4 * WARP, THREADS), THREADS, 0, (cudaStream_t)stream>>>(
        x, tensor_scale, codes, scales, blocks);
    return launched();
}

int32_t nmoe_nvfp4_dequantize(const uint8_t *codes, const uint8_t *scales, float tensor_scale, float *x,
                              uint64_t blocks, void *stream) {
    return parallel(blocks * NV_BLOCK, (cudaStream_t)stream, NMOE_LAMBDA(uint64_t i) {
        uint8_t code = (uint8_t)((codes[i / 2] >> (i % 2 * 4)) & 15);
        x[i] = nv_value(code, scales[i / NV_BLOCK], tensor_scale);
    });
}

uint64_t nmoe_swizzled_size(uint64_t rows, uint64_t columns) { return swizzled_size(rows, columns); }

int32_t nmoe_scale_swizzle(const uint8_t *scales, uint8_t *out, uint64_t rows, uint64_t columns, void *stream) {
    /* One thread block per band of 128 rows; a thread writes the 16 bytes of four rows and four columns at once. */
    uint64_t bands = (rows + 127) / 128, across = (columns + 3) / 4;
    if (bands > UINT32_MAX || across * 32 > UINT32_MAX) return (int32_t)cudaErrorInvalidValue;
    return parallel_rows((uint32_t)bands, (uint32_t)across * 32, (cudaStream_t)stream, NMOE_LAMBDA(uint32_t band, uint32_t part) {
        trainer::Words words;
        for (uint32_t i = 0; i < 4; i++) {
            uint64_t row = (uint64_t)band * 128 + i * 32 + part % 32;
            words.w[i] = 0;
            for (uint32_t j = 0; j < 4; j++) {
                uint64_t column = part / 32 * 4 + j;
                if (row < rows && column < columns) words.w[i] |= (uint32_t)scales[row * columns + column] << (8 * j);
            }
        }
        trainer::store16(out + (band * across + part / 32) * 512 + part % 32 * 16, words);
    });
}

int32_t nmoe_expert_plan(const int32_t *experts, uint32_t assignments, uint32_t count, uint32_t align,
                         uint32_t *counts, uint32_t *offsets, int32_t *slots, int32_t *places, void *stream) {
    if (count == 0 || align == 0) return (int32_t)cudaErrorInvalidValue;
    cudaStream_t on = (cudaStream_t)stream;
    uint64_t room = (uint64_t)assignments + (uint64_t)count * (align - 1);
    Status status;
    status.keep(parallel(room, on, NMOE_LAMBDA(uint64_t i) { slots[i] = -1; }));
    status.keep(parallel(assignments, on, NMOE_LAMBDA(uint64_t i) { places[i] = -1; }));
    nmoe_expert_walk_kernel<<<count, THREADS, 0, on>>>(experts, assignments, counts, nullptr, nullptr, nullptr);
    status.keep(launched());
    nmoe_expert_offsets_kernel<<<1, 1, 0, on>>>(counts, count, align, offsets);
    status.keep(launched());
    nmoe_expert_walk_kernel<<<count, THREADS, 0, on>>>(experts, assignments, counts, offsets, slots, places);
    status.keep(launched());
    return status.error;
}

int32_t nmoe_gather(const float *x, const int32_t *slots, uint32_t slot_count, uint32_t k, uint32_t width, float *out,
                    void *stream) {
    if (k == 0) return (int32_t)cudaErrorInvalidValue;
    return parallel_rows(slot_count, width, (cudaStream_t)stream, NMOE_LAMBDA(uint32_t slot, uint32_t column) {
        out[(uint64_t)slot * width + column] = gathered(x, slots[slot], k, width, column);
    });
}

int32_t nmoe_scatter_reduce(const float *rows, const int32_t *places, const float *gates, uint32_t tokens, uint32_t k,
                            uint32_t width, float *y, void *stream) {
    return parallel_rows(tokens, width, (cudaStream_t)stream, NMOE_LAMBDA(uint32_t token, uint32_t column) {
        y[(uint64_t)token * width + column] = reduced(rows, places, gates, token, k, width, column);
    });
}

int32_t nmoe_adamw_step(const nmoe_adamw *step, const float *gradients, float *weights, float *first, float *second,
                        uint64_t count, void *stream) {
    nmoe_adamw s = *step;
    return parallel(count, (cudaStream_t)stream,
                    NMOE_LAMBDA(uint64_t i) { adamw(s, gradients[i], weights + i, first + i, second + i); });
}

} // extern "C"

#include "trainer_abi.h"
