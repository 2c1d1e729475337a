/* Implements the functions for the formats of nmoe, for both targets. Where a loop has no warp operations, both share it. */
#ifndef NMOE_TRAINER_ABI_H
#define NMOE_TRAINER_ABI_H

#include "platform.h"
#include "trainer.h"

namespace nmoe {
namespace trainer {

constexpr int32_t INVALID_VALUE = 1; /* cudaErrorInvalidValue */

inline bool quantizable(uint32_t columns, uint32_t format, const nmoe_groups *groups) {
    return columns % 128 == 0 && format <= NMOE_E2M1 && groups != nullptr && groups->count != 0;
}

#if NMOE_KERNEL_DEVICE

/* Two lanes have a block, 16 values each, so that a lane reads and writes 16 bytes at once. Four blocks of a row have adjacent
 * scales; one lane writes all four. */
template <bool NARROW, bool SWIGLU>
__device__ __forceinline__ void quantize(const uint16_t *x, uint32_t rows, uint32_t columns, nmoe_groups groups, uint8_t *codes,
                                         uint8_t *scales) {
    constexpr uint32_t EACH = 16, ALL_LANES = 0xFFFFFFFFu;
    uint32_t units = columns / EACH;
    /* The bound is rounded up, so that every lane takes part in each shuffle. */
    uint32_t bound = (units + 31) / 32 * 32;
    for (uint32_t row = blockIdx.x; row < rows; row += gridDim.x) {
        for (uint32_t unit = threadIdx.x; unit < bound; unit += blockDim.x) {
            bool there = unit < units;
            uint64_t at = (uint64_t)row * columns + unit * EACH;
            float v[EACH];
            uint32_t top = 0;
#pragma unroll
            for (uint32_t part = 0; part < (SWIGLU ? 4 : 2); part++) {
                Words words = {{0, 0, 0, 0}};
                if (there) words = load16(x + (SWIGLU ? 2 * at : at) + part * 8);
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    float low = low_bf16(words.w[i]), high = high_bf16(words.w[i]);
                    if (SWIGLU) {
                        v[part * 4 + i] = swiglu(low, high);
                    } else {
                        v[part * 8 + 2 * i] = low;
                        v[part * 8 + 2 * i + 1] = high;
                    }
                }
            }
#pragma unroll
            for (uint32_t i = 0; i < EACH; i++) {
                uint32_t m = magnitude(v[i]);
                top = m > top ? m : top;
            }
            uint32_t other = __shfl_xor_sync(ALL_LANES, top, 1);
            uint8_t scale = scale_of(other > top ? other : top, NARROW);
            float factor = inverse(scale);
            Words out = {{0, 0, 0, 0}};
#pragma unroll
            for (uint32_t i = 0; i < EACH; i += 2) {
                float low = mul(v[i], factor), high = mul(v[i + 1], factor);
                if (NARROW) {
                    out.w[i / 8] |= (uint32_t)hw::e2m1_pair(low, high) << (i % 8 * 4);
                } else {
                    out.w[i / 4] |= ((uint32_t)hw::e4m3(low) | (uint32_t)hw::e4m3(high) << 8) << (i % 4 * 8);
                }
            }
            uint32_t four = (uint32_t)scale << (unit / 2 % 4 * 8);
            four |= __shfl_xor_sync(ALL_LANES, four, 2);
            four |= __shfl_xor_sync(ALL_LANES, four, 4);
            if (there) {
                if (NARROW) *(uint2 *)(codes + at / 2) = make_uint2(out.w[0], out.w[1]);
                else store16(codes + at, out);
                if (unit % 8 == 0) *(uint32_t *)(scales + scale_at(groups, row, unit / 2, columns)) = four;
            }
        }
    }
}

#define NMOE_QUANTIZE_KERNEL(name, narrow, swiglu_first)                                                                      \
    extern "C" __global__ void name(const uint16_t *x, uint32_t rows, uint32_t columns, nmoe_groups groups, uint8_t *codes,   \
                                    uint8_t *scales) {                                                                        \
        quantize<narrow, swiglu_first>(x, rows, columns, groups, codes, scales);                                              \
    }
NMOE_QUANTIZE_KERNEL(nmoe_block_quantize_e4m3_kernel, false, false)
NMOE_QUANTIZE_KERNEL(nmoe_block_quantize_e2m1_kernel, true, false)
NMOE_QUANTIZE_KERNEL(nmoe_swiglu_quantize_e4m3_kernel, false, true)
NMOE_QUANTIZE_KERNEL(nmoe_swiglu_quantize_e2m1_kernel, true, true)
#undef NMOE_QUANTIZE_KERNEL

/* One thread block per destination. */
extern "C" __global__ void nmoe_dispatch_plan_kernel(const int32_t *experts, uint32_t assignments, uint32_t local, uint32_t capacity,
                                                     int32_t *rows, uint32_t *sent, uint32_t *dropped) {
    auto mine = [=](uint32_t a) { return experts[a] >= 0 && (uint32_t)experts[a] / local == blockIdx.x; };
    uint32_t count = in_order(assignments, mine, [=](uint32_t a, uint32_t rank) {
        if (rank < capacity) rows[a] = (int32_t)rank;
    });
    if (threadIdx.x == 0) {
        sent[blockIdx.x] = count < capacity ? count : capacity;
        dropped[blockIdx.x] = count < capacity ? 0 : count - capacity;
    }
}

inline int32_t quantize_on(const uint16_t *x, uint32_t rows, uint32_t columns, bool narrow, bool swiglu_first,
                           const nmoe_groups &groups, uint8_t *codes, uint8_t *scales, cudaStream_t stream) {
    if (rows == 0 || columns == 0) return 0;
    auto kernel = swiglu_first ? (narrow ? nmoe_swiglu_quantize_e2m1_kernel : nmoe_swiglu_quantize_e4m3_kernel)
                               : (narrow ? nmoe_block_quantize_e2m1_kernel : nmoe_block_quantize_e4m3_kernel);
    kernel<<<rows < 65535 ? rows : 65535, THREADS, 0, stream>>>(x, rows, columns, groups, codes, scales);
    return (int32_t)cudaGetLastError();
}

#else

inline int32_t quantize_on(const uint16_t *x, uint32_t rows, uint32_t columns, bool narrow, bool swiglu_first,
                           const nmoe_groups &groups, uint8_t *codes, uint8_t *scales, cudaStream_t) {
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t block = 0; block < columns / BLOCK; block++) {
            uint64_t at = (uint64_t)row * columns + block * BLOCK;
            float v[BLOCK];
            uint32_t top = 0;
            for (uint32_t i = 0; i < BLOCK; i++) {
                v[i] = swiglu_first ? swiglu(of_bf16(x[2 * (at + i)]), of_bf16(x[2 * (at + i) + 1])) : of_bf16(x[at + i]);
                uint32_t m = magnitude(v[i]);
                top = m > top ? m : top;
            }
            uint8_t scale = scale_of(top, narrow);
            float factor = inverse(scale);
            for (uint32_t i = 0; i < BLOCK; i += 2) {
                float low = mul(v[i], factor), high = mul(v[i + 1], factor);
                if (narrow) {
                    codes[(at + i) / 2] = hw::e2m1_pair(low, high);
                } else {
                    codes[at + i] = hw::e4m3(low);
                    codes[at + i + 1] = hw::e4m3(high);
                }
            }
            scales[scale_at(groups, row, block, columns)] = scale;
        }
    }
    return 0;
}

#endif

} /* namespace trainer */
} /* namespace nmoe */

extern "C" {

int32_t nmoe_block_quantize(const uint16_t *x, uint32_t rows, uint32_t columns, uint32_t format, const nmoe_groups *groups,
                            uint8_t *codes, uint8_t *scales, void *stream) {
    if (!nmoe::trainer::quantizable(columns, format, groups)) return nmoe::trainer::INVALID_VALUE;
    return nmoe::trainer::quantize_on(x, rows, columns, format == NMOE_E2M1, false, *groups, codes, scales, (cudaStream_t)stream);
}

int32_t nmoe_swiglu_quantize(const uint16_t *pairs, uint32_t rows, uint32_t columns, uint32_t format, const nmoe_groups *groups,
                             uint8_t *codes, uint8_t *scales, void *stream) {
    if (!nmoe::trainer::quantizable(columns, format, groups)) return nmoe::trainer::INVALID_VALUE;
    return nmoe::trainer::quantize_on(pairs, rows, columns, format == NMOE_E2M1, true, *groups, codes, scales, (cudaStream_t)stream);
}

int32_t nmoe_dispatch_plan(const int32_t *experts, uint32_t assignments, uint32_t local, uint32_t ranks, uint32_t capacity,
                           int32_t *rows, uint32_t *sent, uint32_t *dropped, void *stream) {
    if (local == 0 || ranks == 0) return nmoe::trainer::INVALID_VALUE;
    Status status;
    status.keep(parallel(assignments, (cudaStream_t)stream, NMOE_LAMBDA(uint64_t a) { rows[a] = -1; }));
#if NMOE_KERNEL_DEVICE
    nmoe::trainer::nmoe_dispatch_plan_kernel<<<ranks, THREADS, 0, (cudaStream_t)stream>>>(experts, assignments, local, capacity, rows,
                                                                                         sent, dropped);
    status.keep((int32_t)cudaGetLastError());
#else
    for (uint32_t r = 0; r < ranks; r++) sent[r] = dropped[r] = 0;
    for (uint32_t a = 0; a < assignments; a++) {
        uint32_t r = experts[a] < 0 ? ranks : (uint32_t)experts[a] / local;
        if (r >= ranks) continue;
        if (sent[r] < capacity) rows[a] = (int32_t)sent[r]++;
        else dropped[r]++;
    }
#endif
    return status.error;
}

int32_t nmoe_combine_index(const int64_t *ids, uint32_t count, uint32_t assignments, int32_t *ranks, int32_t *homes, void *stream) {
    if (assignments == 0) return nmoe::trainer::INVALID_VALUE;
    return parallel(count, (cudaStream_t)stream, NMOE_LAMBDA(uint64_t i) {
        uint32_t id = (uint32_t)ids[i], rank = id / assignments;
        ranks[i] = (int32_t)rank;
        homes[i] = (int32_t)(id - rank * assignments);
    });
}

int32_t nmoe_padded_mapping(const int32_t *sorted, uint32_t count, uint32_t local, uint32_t align, int32_t *offsets, int32_t *ends,
                            int32_t *dest, int32_t *total, void *stream) {
    if (local == 0 || align == 0) return nmoe::trainer::INVALID_VALUE;
    cudaStream_t on = (cudaStream_t)stream;
    Status status;
    /* The rows are sorted, so a search gives the histogram without atomics. */
    status.keep(parallel((uint64_t)local + 1, on, NMOE_LAMBDA(uint64_t e) {
        uint32_t low = 0, high = count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if ((uint64_t)sorted[middle] < e) low = middle + 1;
            else high = middle;
        }
        offsets[e] = (int32_t)low;
    }));
    status.keep(parallel(1, on, NMOE_LAMBDA(uint64_t) {
        uint32_t at = 0;
        for (uint32_t e = 0; e < local; e++) {
            at += ((uint32_t)(offsets[e + 1] - offsets[e]) + align - 1) / align * align;
            ends[e] = (int32_t)at;
        }
        *total = (int32_t)at;
    }));
    status.keep(parallel(count, on, NMOE_LAMBDA(uint64_t i) {
        int32_t e = sorted[i];
        dest[i] = (e == 0 ? 0 : ends[e - 1]) + (int32_t)i - offsets[e];
    }));
    return status.error;
}

int32_t nmoe_gather_rows(const uint16_t *x, const int32_t *order, const int32_t *dest, uint32_t count, uint32_t width, uint16_t *out,
                         void *stream) {
    if (width % 8 != 0) return nmoe::trainer::INVALID_VALUE;
    return parallel_rows(count, width / 8, (cudaStream_t)stream, NMOE_LAMBDA(uint32_t i, uint32_t part) {
        using namespace nmoe::trainer;
        store16(out + (uint64_t)dest[i] * width + part * 8, load16(x + (uint64_t)order[i] * width + part * 8));
    });
}

int32_t nmoe_combine(const uint16_t *rows, const float *gates, uint32_t tokens, uint32_t k, uint32_t width, float *y, void *stream) {
    if (width % 8 != 0) return nmoe::trainer::INVALID_VALUE;
    return parallel_rows(tokens, width / 8, (cudaStream_t)stream, NMOE_LAMBDA(uint32_t token, uint32_t part) {
        using namespace nmoe::trainer;
        float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        for (uint32_t j = 0; j < k; j++) {
            uint64_t row = (uint64_t)token * k + j;
            float gate = gates[row];
            Words words = load16(rows + row * width + part * 8);
            for (int i = 0; i < 4; i++) {
                sum[2 * i] = fused(gate, low_bf16(words.w[i]), sum[2 * i]);
                sum[2 * i + 1] = fused(gate, high_bf16(words.w[i]), sum[2 * i + 1]);
            }
        }
        float *to = y + (uint64_t)token * width + part * 8;
        for (int half = 0; half < 2; half++) {
            Words words;
            for (int i = 0; i < 4; i++) words.w[i] = bits_of(sum[half * 4 + i]);
            store16(to + half * 4, words);
        }
    });
}

int32_t nmoe_adamw_bf16_step(const nmoe_adamw_bf16 *step, const uint16_t *gradients, uint16_t *weights, uint16_t *first, uint16_t *second,
                             uint64_t count, void *stream) {
    nmoe_adamw_bf16 s = *step;
    uint64_t eights = count / 8;
    Status status;
    status.keep(parallel(eights, (cudaStream_t)stream, NMOE_LAMBDA(uint64_t i) {
        using namespace nmoe::trainer;
        Words g = load16(gradients + i * 8), w = load16(weights + i * 8), m = load16(first + i * 8), v = load16(second + i * 8);
        for (int j = 0; j < 8; j++) {
            int shift = j % 2 * 16;
            auto half = [=](const Words &words) { return (uint16_t)(words.w[j / 2] >> shift); };
            auto put = [=](Words &words, uint16_t bits) {
                words.w[j / 2] = (words.w[j / 2] & ~(0xFFFFu << shift)) | (uint32_t)bits << shift;
            };
            uint16_t weight = half(w), mean = half(m), square = half(v);
            adamw(s, half(g), &weight, &mean, &square);
            put(w, weight), put(m, mean), put(v, square);
        }
        store16(weights + i * 8, w), store16(first + i * 8, m), store16(second + i * 8, v);
    }));
    status.keep(parallel(count % 8, (cudaStream_t)stream, NMOE_LAMBDA(uint64_t rest) {
        uint64_t i = eights * 8 + rest;
        nmoe::trainer::adamw(s, gradients[i], weights + i, first + i, second + i);
    }));
    return status.error;
}

} /* extern "C" */

#endif
