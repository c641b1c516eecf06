// softmax, its logarithm and their derivatives in place, on rows of few and of many classes.
#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    for (const int64_t columns : {3, 21, 64, 1000}) {
      const int64_t rows = 4096 / columns, count = rows * columns;
      const auto from = std::make_shared<elements<T>>(count), x = std::make_shared<elements<T>>(count);
      for (int64_t i = 0; i < count; ++i) from->get()[i] = static_cast<T>(8.0 * std::fmod(static_cast<double>(i) * 0.618, 1.0) - 4);
      for (const int32_t kind : {SEPCONV_SOFTMAX, SEPCONV_LOG_SOFTMAX}) {
        const std::string what = (kind ? "/log_softmax/" : "/softmax/") + std::to_string(columns);
        add(name + what, 0, static_cast<double>(count), [=, activate = k.activate_rows] {
          std::copy_n(from->get(), count, x->get());
          activate(kind, x->get(), rows, columns);
        });
        add(name + what + "/derive", 0, static_cast<double>(count), [=, derive = k.derive_rows] {
          std::copy_n(from->get(), count, x->get());
          derive(kind, from->get(), x->get(), rows, columns);
        });
      }
    }
  });
  return run(argc, argv);
}
