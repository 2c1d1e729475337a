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

/* ---- The formats of nmoe ----------------------------------------------------------------------------------------
 * Values are bf16. 32 values share a UE8M0 scale; there is no tensor scale. With `most` = 448 (E4M3) or 6 (E2M1):
 *   scale = the smallest power of two that is not below amax / most, at least 2^-126; 1 if amax is 0. NaN does not count.
 *   code  = x * 2^-scale, converted. NaN becomes the NaN of E4M3, or 6 in E2M1.
 * Expert e has the rows starts[e] to starts[e + 1]; starts are multiples of 128, and `count` experts have all rows. The
 * scales of expert e begin at e * stride * columns / 32, in the layout of nmoe_scale_swizzle; `stride` is at least the number of rows of
 * each expert. `columns` is a multiple of 128; pointers to values and codes are multiples of 16. */
#define NMOE_E4M3 0u
#define NMOE_E2M1 1u
typedef struct nmoe_groups {
    const int32_t *starts;
    uint32_t count, stride;
} nmoe_groups;
NMOE_API int32_t nmoe_block_quantize(const uint16_t *x, uint32_t rows, uint32_t columns, uint32_t format, const nmoe_groups *groups,
                                     uint8_t *codes, uint8_t *scales, void *stream);

/* The same for gate / (1 + e^-gate) * up. A row of `pairs` has `columns` pairs: gate, up. */
NMOE_API int32_t nmoe_swiglu_quantize(const uint16_t *pairs, uint32_t rows, uint32_t columns, uint32_t format,
                                      const nmoe_groups *groups, uint8_t *codes, uint8_t *scales, void *stream);

/* Assignment a of a rank goes to rank experts[a] / local. Rows of a destination have the order of the assignments; from
 * `capacity` on they are dropped. rows[a] is the row, or -1 if the assignment is dropped or has no expert; sent[r] and
 * dropped[r] count per destination. */
NMOE_API int32_t nmoe_dispatch_plan(const int32_t *experts, uint32_t assignments, uint32_t local, uint32_t ranks, uint32_t capacity,
                                    int32_t *rows, uint32_t *sent, uint32_t *dropped, void *stream);

/* Splits the id of each received row, rank * assignments + assignment, as (rank * tokens + token) * k + slot is.
 * ranks * assignments is below 2^32. */
NMOE_API int32_t nmoe_combine_index(const int64_t *ids, uint32_t count, uint32_t assignments, int32_t *ranks, int32_t *homes,
                                    void *stream);

/* From the sorted local experts of `count` rows: offsets[e] is the first row of expert e (local + 1 entries), ends[e] the end of its
 * rows after padding to `align`, dest[i] the padded place of row i, and *total the number of padded rows. */
NMOE_API int32_t nmoe_padded_mapping(const int32_t *sorted, uint32_t count, uint32_t local, uint32_t align, int32_t *offsets,
                                     int32_t *ends, int32_t *dest, int32_t *total, void *stream);

/* out[dest[i]] = x[order[i]], rows of `width` bf16 values. `width` is a multiple of 8, pointers are multiples of 16. */
NMOE_API int32_t nmoe_gather_rows(const uint16_t *x, const int32_t *order, const int32_t *dest, uint32_t count, uint32_t width,
                                  uint16_t *out, void *stream);

/* y[t] = sum over j < k, in that order, of gates[t * k + j] * rows[t * k + j], by fused multiply-add from 0. Conditions as above. */
NMOE_API int32_t nmoe_combine(const uint16_t *rows, const float *gates, uint32_t tokens, uint32_t k, uint32_t width, float *y,
                              void *stream);

/* One AdamW step with bf16 weights and moments, decay first. step_size is rate / (1 - beta1^t), correction
 * 1 / sqrt(1 - beta2^t). Every operation is rounded as written in src/trainer.h. Pointers are multiples of 16. */
typedef struct nmoe_adamw_bf16 {
    float rate, beta1, beta2, decay, epsilon, step_size, correction;
} nmoe_adamw_bf16;
NMOE_API int32_t nmoe_adamw_bf16_step(const nmoe_adamw_bf16 *step, const uint16_t *gradients, uint16_t *weights, uint16_t *first,
                                      uint16_t *second, uint64_t count, void *stream);

#ifdef __cplusplus
}
#endif

#endif
