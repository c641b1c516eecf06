#include "op/softmax.hpp"

#include <algorithm>
#include <memory>
#include <new>

#include "plan/checked.hpp"
#include "plan/geometry.hpp"
#include "runtime/isa.hpp"
#include "runtime/memory.hpp"
#include "runtime/parallel.hpp"
#include "sepconv/sepconv.h"

namespace sepconv {
namespace {

constexpr int64_t piece_values = 4096;      // of a task, or one row: in L1, also beside what a derivative reads
constexpr double useful_values = 1 << 14;  // of a thread: a region costs about a microsecond, and these take some

struct pieces {
  int64_t rows, columns;
  int64_t each, count;
  int32_t threads;

  pieces(int64_t rows_, int64_t columns_, int32_t wanted) : rows(rows_), columns(columns_) {
    checked_mul(checked_mul(rows, columns, "rows"), int64_t{sizeof(double)}, "rows");
    each = std::max<int64_t>(1, piece_values / columns);
    count = (rows - 1) / each + 1;
    const double useful = static_cast<double>(rows) * static_cast<double>(columns) / useful_values;
    const double most = static_cast<double>(std::min<int64_t>(count, wanted > 0 ? wanted : default_threads()));
    threads = useful < 2 ? 1 : static_cast<int32_t>(std::min(most, useful));
  }

  // body(first value, rows, worker) for each piece
  template <class F>
  void run(F&& body) const {
    parallel_for(count, threads, [&](int64_t index, int32_t worker) {
      body(index * each * columns, std::min(each, rows - index * each), worker);
    });
  }
};

// Pieces in float32, so many for each worker.
class wide_pieces {
 public:
  wide_pieces(const pieces& p, int64_t many) : piece_(p.each * p.columns), many_(many) {
    const int64_t bytes = checked_mul(piece_, many, "columns", int64_t{p.threads}, int64_t{sizeof(float)});
    memory_.reset(static_cast<float*>(pool_alloc(static_cast<std::size_t>(bytes))));
    if (!memory_) throw std::bad_alloc();
  }
  float* at(int32_t worker, int64_t which) const { return memory_.get() + (worker * many_ + which) * piece_; }

 private:
  struct free {
    void operator()(float* p) const { pool_free(p); }
  };
  int64_t piece_, many_;
  std::unique_ptr<float, free> memory_;
};

}  // namespace

void activate_rows(int32_t kind, int32_t dtype, void* data, int64_t rows, int64_t columns, int32_t threads) {
  const kernel_set& k = *find_isa(nullptr).sets[dtype];
  const pieces p(rows, columns, threads);
  if (stores_sums(dtype)) {
    const int64_t item = dtype == SEPCONV_FLOAT64 ? 8 : 4;
    return p.run([&](int64_t at, int64_t n, int32_t) { k.activate_rows(kind, static_cast<char*>(data) + at * item, n, columns); });
  }
  const wide_pieces wide(p, 1);
  p.run([&](int64_t at, int64_t n, int32_t worker) {
    uint16_t* const narrow = static_cast<uint16_t*>(data) + at;
    float* const x = wide.at(worker, 0);
    k.copy_lines(narrow, 0, 1, 1, n * columns, x, 0);
    k.activate_rows(kind, x, n, columns);
    k.store_tile(x, 0, 1, n * columns, narrow, 0, 1);
  });
}

void derive_rows(int32_t kind, int32_t dtype, const void* output, void* gradient, int64_t rows, int64_t columns, int32_t threads) {
  const kernel_set& k = *find_isa(nullptr).sets[dtype];
  const pieces p(rows, columns, threads);
  if (stores_sums(dtype)) {
    const int64_t item = dtype == SEPCONV_FLOAT64 ? 8 : 4;
    return p.run([&](int64_t at, int64_t n, int32_t) {
      k.derive_rows(kind, static_cast<const char*>(output) + at * item, static_cast<char*>(gradient) + at * item, n, columns);
    });
  }
  const wide_pieces wide(p, 2);
  p.run([&](int64_t at, int64_t n, int32_t worker) {
    uint16_t* const narrow = static_cast<uint16_t*>(gradient) + at;
    float *const of = wide.at(worker, 0), *const up = wide.at(worker, 1);
    k.copy_lines(static_cast<const uint16_t*>(output) + at, 0, 1, 1, n * columns, of, 0);
    k.copy_lines(narrow, 0, 1, 1, n * columns, up, 0);
    k.derive_rows(kind, of, up, n, columns);
    k.store_tile(up, 0, 1, n * columns, narrow, 0, 1);
  });
}

}  // namespace sepconv
