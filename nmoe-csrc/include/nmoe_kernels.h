/* The C ABI of the kernel library: version 1.
 *
 * A library is one shared object. `nmoe-gates` loads it in a separate process, reads the version, and runs the
 * self-checks. The trainer uses the other functions. Functions that launch work return 0 or a CUDA error. Pointers
 * must be accessible to the library: device memory for the sm_100a build, host memory for the host build. The host
 * build ignores `stream` and finishes before it returns.
 */
#ifndef NMOE_KERNELS_H
#define NMOE_KERNELS_H

#include <stdint.h>

#include "nmoe_gates_checks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Block formats --------------------------------------------------------------------------------------------
 *
 * MXFP8: 32 values share a scale. code = e4m3(x / scale), one byte; scale = ue8m0, the smallest power of two that is
 *        not below amax / 448. x is code * scale.
 * NVFP4: 16 values share a scale. code = e2m1(x / (scale * tensor_scale)), two to a byte, the earlier in the low half;
 *        scale = e4m3(amax / 6 / tensor_scale), never negative. x is code * scale * tensor_scale.
 *
 * A block with an infinity or a NaN gets the scale NaN and codes 0, so that the error is visible and does not spread.
 * A block with scale 0 has codes 0.
 */
NMOE_API int32_t nmoe_mxfp8_quantize(const float *x, uint8_t *codes, uint8_t *scales, uint64_t blocks, void *stream);
NMOE_API int32_t nmoe_mxfp8_dequantize(const uint8_t *codes, const uint8_t *scales, float *x, uint64_t blocks, void *stream);
NMOE_API int32_t nmoe_nvfp4_quantize(const float *x, float tensor_scale, uint8_t *codes, uint8_t *scales, uint64_t blocks, void *stream);
NMOE_API int32_t nmoe_nvfp4_dequantize(const uint8_t *codes, const uint8_t *scales, float tensor_scale, float *x, uint64_t blocks, void *stream);

/* Scale factors from row-major to the layout that block-scaled matrix instructions read: tiles of 128 rows by 4
 * columns, 512 bytes each, in row-major order; in a tile, row r and column c are at (r % 32) * 16 + (r / 32) * 4 + c.
 * `out` has nmoe_swizzled_size(rows, columns) bytes; padding is 0. */
NMOE_API uint64_t nmoe_swizzled_size(uint64_t rows, uint64_t columns);
NMOE_API int32_t nmoe_scale_swizzle(const uint8_t *scales, uint8_t *out, uint64_t rows, uint64_t columns, void *stream);

/* ---- Routing of rows to experts --------------------------------------------------------------------------------
 *
 * `experts` has `assignments` entries (tokens * k, row-major); an entry outside 0..count has no expert. The plan sorts
 * the assignments by expert, stably, and pads every expert's rows to a multiple of `align`:
 *   counts[e]      assignments of expert e
 *   offsets[e]     first slot of expert e; offsets[count] is the number of slots; count + 1 entries
 *   slots[s]       assignment in slot s, or -1 for padding; room for assignments + count * (align - 1) entries, all set
 *   places[a]      slot of assignment a, or -1 without an expert
 */
NMOE_API int32_t nmoe_expert_plan(const int32_t *experts, uint32_t assignments, uint32_t count, uint32_t align,
                                  uint32_t *counts, uint32_t *offsets, int32_t *slots, int32_t *places, void *stream);

/* out[s] = x[slots[s] / k], a row of `width` floats. Padding rows are 0. */
NMOE_API int32_t nmoe_gather(const float *x, const int32_t *slots, uint32_t slot_count, uint32_t k, uint32_t width,
                             float *out, void *stream);

/* y[t] = sum over j < k, in that order, of gates[t * k + j] * rows[places[t * k + j]], by fused multiply-add from 0;
 * an assignment without a slot adds nothing. Uses no atomics, so the same input gives the same bits. */
NMOE_API int32_t nmoe_scatter_reduce(const float *rows, const int32_t *places, const float *gates, uint32_t tokens,
                                     uint32_t k, uint32_t width, float *y, void *stream);

/* ---- Optimiser ------------------------------------------------------------------------------------------------
 * One AdamW step in place, every operation rounded as written in src/elements.h. The corrections are 1 / (1 - beta^t). */
typedef struct nmoe_adamw {
    float rate, beta1, beta2, epsilon, decay, correction1, correction2;
} nmoe_adamw;
NMOE_API int32_t nmoe_adamw_step(const nmoe_adamw *step, const float *gradients, float *weights, float *first,
                                 float *second, uint64_t count, void *stream);

#ifdef __cplusplus
}
#endif

#endif
