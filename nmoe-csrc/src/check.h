/* Compares a kernel with its reference, element by element, on the device of the kernel. The self-checks share it. */
#ifndef NMOE_CHECK_H
#define NMOE_CHECK_H

#include "platform.h"

namespace nmoe {
namespace checks {

/* Result of a comparison, in memory that the loop can access. */
struct Tally {
    unsigned long long mismatches;
    unsigned long long index;
};

constexpr unsigned long long NONE = ~0ull;

/* A running check. Compares many cases in parallel, and evaluates the first difference again for the report. */
class Check {
  public:
    explicit Check(nmoe_check_report *report) : report_(report), tally_(1, status) {
        report_->cases = report_->mismatches = report_->index = report_->expected = report_->got = 0;
    }

    Status status;

    /* Compares the bits expected(i) and got(i) for every i below count. */
    template <typename Expected, typename Got> void compare(uint64_t count, Expected expected, Got got) {
        if (status.error != 0) return;
        status.keep(settle());
        Tally *tally = tally_.get();
        if (status.error != 0) return;
        *tally = Tally{0, NONE};
        status.keep(parallel(count, nullptr, NMOE_LAMBDA(uint64_t i) {
            if (expected(i) != got(i)) {
                count_up(&tally->mismatches);
                keep_least(&tally->index, i);
            }
        }));
        status.keep(settle());
        if (status.error != 0) return;
        if (tally->mismatches != 0 && report_->mismatches == 0) {
            unsigned long long at = tally->index;
            report_->index = report_->cases + at;
            Buffer<uint64_t> both(2, status);
            uint64_t *pair = both.get();
            status.keep(parallel(1, nullptr, NMOE_LAMBDA(uint64_t) {
                pair[0] = expected(at);
                pair[1] = got(at);
            }));
            status.keep(settle());
            if (status.error == 0) {
                report_->expected = pair[0];
                report_->got = pair[1];
            }
        }
        report_->mismatches += tally->mismatches;
        report_->cases += count;
    }

    int32_t outcome() {
        report_->error = status.error;
        if (status.error != 0) return NMOE_CHECK_ERROR;
        return report_->mismatches == 0 && report_->cases != 0 ? NMOE_CHECK_PASS : NMOE_CHECK_MISMATCH;
    }

  private:
    nmoe_check_report *report_;
    Buffer<Tally> tally_;
};

/* Fills a buffer with samples, on the device. */
inline void fill(Check &check, float *x, uint64_t count, uint64_t seed) {
    if (check.status.error != 0) return;
    check.status.keep(parallel(count, nullptr, NMOE_LAMBDA(uint64_t i) { x[i] = sample(seed + i); }));
}

/* Fills a buffer with normal numbers, for kernels without edge cases. */
inline void fill_small(Check &check, float *x, uint64_t count, uint64_t seed) {
    if (check.status.error != 0) return;
    check.status.keep(parallel(count, nullptr, NMOE_LAMBDA(uint64_t i) {
        uint32_t h = (uint32_t)hash(seed + i);
        x[i] = of_bits((h & 0x807FFFFFu) | ((120u + (h >> 23) % 8u) << 23));
    }));
}

} /* namespace checks */
} /* namespace nmoe */

#endif
