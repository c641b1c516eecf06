// Every elementwise activation in place, on a micro-tile's worth of values between -4 and 4.
#include <cmath>
#include <memory>

#include "cases.hpp"
#include "kernels.hpp"

using namespace bench;

int main(int argc, char** argv) {
  for_each_sum_type([](const kernel_set& k, auto type, const std::string& name) {
    using T = decltype(type);
    constexpr int64_t count = 512;
    for (const shape_case& c : read_cases(SEPCONV_SHAPES, "activations")) {
      sepconv_activation activation;
      if (!find_activation(c.activation, &activation)) continue;
      const auto x = std::make_shared<elements<T>>(count), y = std::make_shared<elements<T>>(count);
      for (int64_t i = 0; i < count; ++i) x->get()[i] = static_cast<T>(8.0 * std::fmod(static_cast<double>(i) * 0.618, 1.0) - 4);
      // From fresh values every time: some functions run away when repeated.
      add(name + "/" + c.activation, 0, static_cast<double>(count), [=, activate = k.activate] {
        std::copy_n(x->get(), count, y->get());
        activate(activation.kind, activation.params, y->get(), 0, 1, count);
      });
    }
  });
  return run(argc, argv);
}
