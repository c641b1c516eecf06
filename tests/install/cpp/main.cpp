// A C++ consumer: separable convolution of two channels into three filters, and an error that is an exception.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <sepconv/sepconv.hpp>
#include <string>
#include <vector>

int main() {
  sepconv_spec spec = sepconv::make_spec();
  const std::int64_t shape[4] = {1, 5, 6, 2};
  std::copy(shape, shape + 4, spec.input_shape);
  spec.kernel[0] = 2;
  spec.kernel[1] = 3;
  spec.filters = 3;
  std::vector<float> input(60), depthwise(12), pointwise(6), bias = {0.5f, -1, 2};
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 7) - 3;
  for (std::size_t i = 0; i < depthwise.size(); ++i) depthwise[i] = static_cast<float>(i % 5) - 2;
  for (std::size_t i = 0; i < pointwise.size(); ++i) pointwise[i] = static_cast<float>(i % 3) - 1;
  sepconv_weights weights = sepconv::make_weights();
  weights.depthwise_kernel = depthwise.data();
  weights.pointwise_kernel = pointwise.data();
  weights.bias = bias.data();

  const sepconv::plan plan(spec);
  const sepconv::pack pack = plan.make_pack(weights);
  const sepconv::buffer workspace(plan.workspace_size() + 1);
  std::vector<float> output(4 * 4 * 3);
  plan.run(pack, input.data(), output.data(), workspace.get());

  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 4; ++x)
      for (int f = 0; f < 3; ++f) {
        float sum = bias[static_cast<std::size_t>(f)];
        for (int c = 0; c < 2; ++c)
          for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 3; ++j)
              sum += input[static_cast<std::size_t>(((y + i) * 6 + x + j) * 2 + c)] *
                     depthwise[static_cast<std::size_t>((i * 3 + j) * 2 + c)] * pointwise[static_cast<std::size_t>(c * 3 + f)];
        if (output[static_cast<std::size_t>((y * 4 + x) * 3 + f)] != sum) {
          std::fprintf(stderr, "output (%d, %d, %d) is wrong\n", y, x, f);
          return 1;
        }
      }
  spec.filters = -1;
  try {
    sepconv::plan bad(spec);
    return 1;
  } catch (const sepconv::invalid_argument& e) {
    if (std::string(e.what()).find("`filters`") == std::string::npos) return 1;
  }
  std::printf("sepconv %s from C++: right\n", sepconv_version());
}
