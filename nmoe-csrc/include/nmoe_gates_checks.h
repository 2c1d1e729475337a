/* The C ABI of a library with self-checks: version 1. nmoe-csrc is an example; any repository can implement it for its own kernels.
 *
 * Write a shared object that exports these functions and calls the kernels: link the objects of the kernels with a file of
 * checks, without Python bindings. Name it in the registry:
 *
 *   [[target.b200.checks]]
 *   library = "build/librdep_checks.so"
 *   fresh = "build"
 *
 * `nmoe-gates` loads the library in a separate process, once for each GPU, and that process sees only this GPU. A check
 * compares a kernel with a reference element by element, and reports the first case that differs.
 */
#ifndef NMOE_GATES_CHECKS_H
#define NMOE_GATES_CHECKS_H

#include <stdint.h>

#define NMOE_ABI_VERSION 1

#if defined(__GNUC__)
#define NMOE_API __attribute__((visibility("default")))
#else
#define NMOE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Identity of the library ------------------------------------------------------------------------------------ */

/* Returns NMOE_ABI_VERSION of the build. The version changes if old callers cannot use the library. */
NMOE_API uint32_t nmoe_abi_version(void);

/* Optional. Returns the stamp as JSON. An ELF note (owner "NMOE", type 1) contains the same bytes. Valid while the library is
 * loaded. A library without a stamp needs `fresh = "build"` in the registry. */
NMOE_API const char *nmoe_stamp(void);

/* ---- Self-checks ---------------------------------------------------------------------------------------------- */

enum nmoe_check_outcome {
    NMOE_CHECK_PASS = 0,      /* all cases are equal, and at least one was compared */
    NMOE_CHECK_MISMATCH = 1,  /* at least one case differs from the reference */
    NMOE_CHECK_ERROR = 2,     /* a call failed; see `error` */
    NMOE_CHECK_UNSUPPORTED = 3 /* this device cannot run the check */
};

typedef struct nmoe_check_report {
    uint32_t size;       /* input: sizeof(nmoe_check_report); a smaller size is an error */
    int32_t outcome;     /* the value that nmoe_check_run returns */
    uint64_t cases;      /* number of compared cases */
    uint64_t mismatches; /* number of cases that differ */
    uint64_t index;      /* first case that differs */
    uint64_t expected;   /* value of the reference in that case, as bits */
    uint64_t got;        /* value of the kernel in that case, as bits */
    int32_t error;       /* CUDA error, or 0 */
    int32_t reserved;
} nmoe_check_report;

/* Number of checks, and their names (lower-case letters, digits and '_'). The name is null after the last check. */
NMOE_API uint32_t nmoe_check_count(void);
NMOE_API const char *nmoe_check_name(uint32_t check);

/* Runs a check and waits for it. Compares the kernel with the reference element by element, on the device. */
NMOE_API int32_t nmoe_check_run(uint32_t check, nmoe_check_report *report);

#ifdef __cplusplus
}
#endif

#endif
