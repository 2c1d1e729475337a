/* Hides the differences between the device build and the host build: memory and parallel loops. */
#ifndef NMOE_PLATFORM_H
#define NMOE_PLATFORM_H

#include "elements.h"

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM100_ALL)
#error "these kernels are for sm_100a alone: compile with -gencode arch=compute_100a,code=sm_100a"
#endif

#define NMOE_LAMBDA [=] __device__
#define NMOE_KERNEL_DEVICE 1

#else

#include <stdlib.h>

#define NMOE_LAMBDA [=]
#define NMOE_KERNEL_DEVICE 0

#endif

namespace nmoe {

/* Keeps the first error of a sequence of calls. */
struct Status {
    int32_t error = 0;
    void keep(int32_t result) {
        if (error == 0) error = result;
    }
};

#if NMOE_KERNEL_DEVICE

template <typename Body> __global__ void each(uint64_t count, Body body) {
    uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

inline uint32_t blocks_for(uint64_t threads, uint32_t per_block) {
    uint64_t blocks = (threads + per_block - 1) / per_block;
    return (uint32_t)(blocks < 1 ? 1 : blocks > 65535 ? 65535 : blocks);
}

/* Runs body(i) for every i below count, in any order. */
template <typename Body> int32_t parallel(uint64_t count, cudaStream_t stream, Body body) {
    if (count == 0) return 0;
    each<<<blocks_for(count, 256), 256, 0, stream>>>(count, body);
    return (int32_t)cudaGetLastError();
}

/* Runs body(row, column) for all rows and columns. A thread block takes a row, so no index needs a division. */
template <typename Body> __global__ void each_of_rows(uint32_t rows, uint32_t columns, Body body) {
    for (uint32_t row = blockIdx.x; row < rows; row += gridDim.x) {
        for (uint32_t column = threadIdx.x; column < columns; column += blockDim.x) body(row, column);
    }
}

template <typename Body> int32_t parallel_rows(uint32_t rows, uint32_t columns, cudaStream_t stream, Body body) {
    if (rows == 0 || columns == 0) return 0;
    each_of_rows<<<rows < 65535 ? rows : 65535, 256, 0, stream>>>(rows, columns, body);
    return (int32_t)cudaGetLastError();
}

constexpr uint32_t WARP = 32;
constexpr uint32_t THREADS = 256;

/* Visits the numbers below `count` in order with one thread block of THREADS, and calls take(a, rank) for those that are mine(a); the
 * rank is the number of earlier ones. Returns how many there are. Stable, without atomics. */
template <typename Mine, typename Take> __device__ __forceinline__ uint32_t in_order(uint32_t count, Mine mine, Take take) {
    __shared__ uint32_t of_warp[THREADS / WARP];
    uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, before = 0;
    /* The bound is rounded up, so that every lane takes part in every vote. */
    uint32_t bound = (count + THREADS - 1) / THREADS * THREADS;
    for (uint32_t base = 0; base < bound; base += THREADS) {
        uint32_t a = base + threadIdx.x;
        bool found = a < count && mine(a);
        uint32_t votes = __ballot_sync(0xFFFFFFFFu, found);
        if (lane == 0) of_warp[warp] = __popc(votes);
        __syncthreads();
        uint32_t rank = before + __popc(votes & ((1u << lane) - 1u));
        for (uint32_t w = 0; w < THREADS / WARP; w++) {
            if (w < warp) rank += of_warp[w];
            before += of_warp[w];
        }
        if (found) take(a, rank);
        __syncthreads();
    }
    return before;
}

inline int32_t settle() { return (int32_t)cudaDeviceSynchronize(); }

/* Memory that both kernels and the host can access. */
template <typename T> class Buffer {
  public:
    Buffer(uint64_t count, Status &status) {
        status.keep((int32_t)cudaMallocManaged((void **)&data_, count * sizeof(T) + 1));
        if (data_ != nullptr) status.keep((int32_t)cudaMemset(data_, 0xA5, count * sizeof(T) + 1));
    }
    ~Buffer() { (void)cudaFree(data_); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    T *get() const { return data_; }

  private:
    T *data_ = nullptr;
};

NMOE_BOTH void count_up(unsigned long long *n) {
#if defined(__CUDA_ARCH__)
    atomicAdd(n, 1ull);
#else
    *n += 1;
#endif
}

NMOE_BOTH void keep_least(unsigned long long *n, unsigned long long candidate) {
#if defined(__CUDA_ARCH__)
    atomicMin(n, candidate);
#else
    if (candidate < *n) *n = candidate;
#endif
}

#else

typedef void *cudaStream_t;

template <typename Body> int32_t parallel(uint64_t count, cudaStream_t, Body body) {
    for (uint64_t i = 0; i < count; i++) body(i);
    return 0;
}

template <typename Body> int32_t parallel_rows(uint32_t rows, uint32_t columns, cudaStream_t, Body body) {
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t column = 0; column < columns; column++) body(row, column);
    }
    return 0;
}

inline int32_t settle() { return 0; }

template <typename T> class Buffer {
  public:
    Buffer(uint64_t count, Status &status) : data_((T *)malloc(count * sizeof(T) + 1)) {
        if (data_ == nullptr) status.keep(2 /* cudaErrorMemoryAllocation */);
        else memset(data_, 0xA5, count * sizeof(T) + 1);
    }
    ~Buffer() { free(data_); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    T *get() const { return data_; }

  private:
    T *data_;
};

inline void count_up(unsigned long long *n) { *n += 1; }
inline void keep_least(unsigned long long *n, unsigned long long candidate) {
    if (candidate < *n) *n = candidate;
}

#endif

} /* namespace nmoe */

#endif
