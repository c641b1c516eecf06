// The cases of tests/shapes in C++, and the sepconv_spec of one.
#pragma once

#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "json.hpp"
#include "sepconv/sepconv.hpp"

namespace bench {

struct shape_case {
  std::string family, name, op, dtype, layout, padding, activation, depthwise_activation;
  std::int64_t n, h, w, c, multiplier, filters;
  std::array<std::int64_t, 2> kernel, strides, dilation;
  bool bias, depthwise_bias;
  bool train = false;  // a step of training, as in peers/cases.py

  bool depthwise() const { return op != "pointwise"; }
  bool pointwise() const { return op != "depthwise"; }
  bool channels_first() const { return layout == "channels_first"; }
  std::int64_t depth() const { return c * multiplier; }
  std::int64_t outputs() const { return pointwise() ? filters : depth(); }
  std::size_t item() const { return dtype == "float64" ? 8 : 4; }
  // Zeros before (0) and after (1) an axis, by TensorFlow's rule.
  std::int64_t pad(int axis, int side) const {
    if (padding == "valid") return 0;
    const std::size_t a = static_cast<std::size_t>(axis);
    const std::int64_t size = axis ? w : h, outputs = (size + strides[a] - 1) / strides[a];
    const std::int64_t total = (outputs - 1) * strides[a] + dilation[a] * (kernel[a] - 1) + 1 - size;
    return total <= 0 ? 0 : side ? total - total / 2 : total / 2;
  }
  std::int64_t output_size(int axis) const {
    const std::size_t a = static_cast<std::size_t>(axis);
    return ((axis ? w : h) + pad(axis, 0) + pad(axis, 1) - dilation[a] * (kernel[a] - 1) - 1) / strides[a] + 1;
  }
  std::int64_t input_count() const { return n * h * w * c; }
  std::int64_t output_count() const { return n * output_size(0) * output_size(1) * outputs(); }
  std::int64_t depthwise_count() const { return kernel[0] * kernel[1] * depth(); }
  std::int64_t pointwise_count() const { return pointwise() ? depth() * filters : 0; }
  // Of the result of a step: the output, then gradients of the input and of the weights, none of which stands in the middle.
  std::int64_t step_count() const {
    return output_count() + input_count() + (depthwise() ? depthwise_count() : 0) + pointwise_count() + (bias ? outputs() : 0);
  }
};

inline shape_case parse_case(const json& row, const json& defaults) {
  const auto find = [&](const char* name) -> const json& {
    return row.members.count(name) ? row.at(name) : defaults.at(name);
  };
  const auto integer = [&](const char* name) { return static_cast<std::int64_t>(find(name).number); };
  const auto pair = [&](const char* name) {
    const json& v = find(name);
    return std::array<std::int64_t, 2>{static_cast<std::int64_t>(v.items.at(0).number),
                                       static_cast<std::int64_t>(v.items.at(1).number)};
  };
  shape_case c;
  c.name = find("name").text;
  c.op = find("op").text;
  c.dtype = find("dtype").text;
  c.layout = find("layout").text;
  c.padding = find("padding").text;
  c.activation = find("activation").text;
  c.depthwise_activation = find("depthwise_activation").text;
  c.n = integer("n");
  c.h = integer("h");
  c.w = integer("w");
  c.c = integer("c");
  c.multiplier = integer("multiplier");
  c.filters = integer("filters");
  c.kernel = pair("kernel");
  c.strides = pair("strides");
  c.dilation = pair("dilation");
  c.bias = find("bias").number != 0;
  c.depthwise_bias = find("depthwise_bias").number != 0;
  c.train = row.members.count("train") && row.at("train").number != 0;
  return c;
}

inline std::vector<shape_case> read_cases(const std::string& folder, const std::string& family) {
  std::ifstream file(folder + "/" + family + ".json");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const json table = parse_json(text);
  std::vector<shape_case> cases;
  for (const json& row : table.at("cases").items) {
    cases.push_back(parse_case(row, table.at("defaults")));
    cases.back().family = family;
  }
  return cases;
}

inline const std::vector<std::string>& families() {
  static const std::vector<std::string> names = {
      "mobilenet", "mobilenet_v2", "efficientnet", "xception", "nasnet",         "convnext", "deeplab",   "rgb",        "odd",
      "kernels",   "batch",        "dram",         "tiny",     "channels_first", "float64",  "depthwise", "activations"};
  return names;
}

// By Keras's name with its default parameters; false where the core doesn't have it.
inline bool find_activation(const std::string& name, sepconv_activation* activation) {
  struct row {
    const char* name;
    sepconv_activation_kind kind;
    double param;
  };
  static const row rows[] = {
      {"linear", SEPCONV_LINEAR, 0},
      {"relu", SEPCONV_RELU, 0},
      {"relu6", SEPCONV_RELU6, 0},
      {"hard_tanh", SEPCONV_HARD_TANH, 0},
      {"leaky_relu", SEPCONV_LEAKY_RELU, 0.2},
      {"elu", SEPCONV_ELU, 1},
      {"celu", SEPCONV_CELU, 1},
      {"selu", SEPCONV_SELU, 0},
      {"softplus", SEPCONV_SOFTPLUS, 0},
      {"softsign", SEPCONV_SOFTSIGN, 0},
      {"squareplus", SEPCONV_SQUAREPLUS, 4},
      {"soft_shrink", SEPCONV_SOFT_SHRINK, 0.5},
      {"hard_shrink", SEPCONV_HARD_SHRINK, 0.5},
      {"sparse_plus", SEPCONV_SPARSE_PLUS, 0},
      {"silu", SEPCONV_SILU, 0},
      {"gelu", SEPCONV_GELU, 0},
      {"gelu_tanh", SEPCONV_GELU_TANH, 0},
      {"tanh", SEPCONV_TANH, 0},
      {"tanh_shrink", SEPCONV_TANH_SHRINK, 0},
      {"threshold", SEPCONV_THRESHOLD, 0},
      {"sigmoid", SEPCONV_SIGMOID, 0},
      {"sparse_sigmoid", SEPCONV_SPARSE_SIGMOID, 0},
      {"exponential", SEPCONV_EXPONENTIAL, 0},
      {"hard_sigmoid", SEPCONV_HARD_SIGMOID, 0},
      {"hard_silu", SEPCONV_HARD_SILU, 0},
      {"mish", SEPCONV_MISH, 0},
      {"log_sigmoid", SEPCONV_LOG_SIGMOID, 0},
  };
  for (const row& r : rows)
    if (name == r.name) {
      *activation = {};
      activation->kind = r.kind;
      activation->params[0] = r.param;
      return true;
    }
  return false;
}

// False where the core lacks an activation.
inline bool make_spec(const shape_case& c, int threads, sepconv_spec* spec) {
  *spec = sepconv::make_spec();
  spec->op = !c.pointwise() ? SEPCONV_DEPTHWISE : c.depthwise() ? SEPCONV_SEPARABLE : SEPCONV_POINTWISE;
  spec->dtype = c.dtype == "float64" ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
  spec->layout = c.channels_first() ? SEPCONV_CHANNELS_FIRST : SEPCONV_CHANNELS_LAST;
  spec->padding = c.padding == "same" ? SEPCONV_SAME : SEPCONV_VALID;
  spec->num_threads = threads;
  const std::int64_t shape[] = {c.n, c.h, c.w, c.c};
  for (int i = 0; i < 4; ++i) spec->input_shape[i] = shape[i];
  for (int i = 0; i < 2; ++i) {
    spec->kernel[i] = c.kernel[static_cast<std::size_t>(i)];
    spec->stride[i] = c.strides[static_cast<std::size_t>(i)];
    spec->dilation[i] = c.dilation[static_cast<std::size_t>(i)];
  }
  spec->multiplier = c.multiplier;
  spec->filters = c.pointwise() ? c.filters : 0;
  const bool middle = c.depthwise() && c.pointwise();
  return find_activation(c.activation, &spec->activation) &&
         (!middle || find_activation(c.depthwise_activation, &spec->depthwise_activation));
}

}  // namespace bench
