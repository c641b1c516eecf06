// Every elementwise derivative in place, on a micro-tile's worth of values between -4 and 4.
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
      const auto of = std::make_shared<elements<T>>(count), gradient = std::make_shared<elements<T>>(count);
      for (int64_t i = 0; i < count; ++i) of->get()[i] = static_cast<T>(8.0 * std::fmod(static_cast<double>(i) * 0.618, 1.0) - 4);
      add(name + "/" + c.activation, 0, static_cast<double>(count), [=, derive = k.derive] {
        std::fill_n(gradient->get(), count, T(1));
        derive(activation.kind, activation.params, of->get(), gradient->get(), static_cast<std::size_t>(count));
      });
    }
  });
  return run(argc, argv);
}
