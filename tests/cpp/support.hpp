// Whole convolutions for the tests: what goes in, what the reference says, and one run with every buffer between guard pages.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "data.hpp"
#include "guard.hpp"
#include "runtime/isa.hpp"
#include "sepconv/sepconv.hpp"

namespace test {

using quad = std::array<int64_t, 4>;

// The instruction sets that this machine runs, best first.
inline const std::vector<std::string>& isas() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    std::istringstream list(sepconv::isa_names(true));
    for (std::string name; std::getline(list, name, ',');) out.push_back(name);
    return out;
  }();
  return names;
}

inline constexpr int32_t dtypes[] = {SEPCONV_FLOAT32, SEPCONV_FLOAT64, SEPCONV_FLOAT16, SEPCONV_BFLOAT16};

// A 3x3 separable convolution of a float32 image; tests change what they are about.
inline sepconv_spec spec_of(sepconv_op op, quad input, int64_t filters = 0) {
  sepconv_spec spec = sepconv::make_spec();
  spec.op = op;
  std::copy(input.begin(), input.end(), spec.input_shape);
  spec.kernel[0] = spec.kernel[1] = op == SEPCONV_POINTWISE ? 1 : 3;
  spec.filters = filters;
  spec.num_threads = 1;
  return spec;
}

inline std::string describe(const sepconv_spec& s) {
  std::ostringstream out;
  const auto list = [&](const char* name, const int64_t* values, int count) {
    out << ' ' << name << '=';
    for (int i = 0; i < count; ++i) out << (i ? "," : "") << values[i];
  };
  out << "op=" << s.op << " dtype=" << s.dtype << " layout=" << s.layout << " padding=" << s.padding
      << " precision=" << s.precision << " isa=" << (s.isa ? s.isa : "") << " threads=" << s.num_threads;
  list("input", s.input_shape, 4);
  list("kernel", s.kernel, 2);
  list("stride", s.stride, 2);
  list("dilation", s.dilation, 2);
  if (s.padding == SEPCONV_EXPLICIT) list("before", s.pad_before, 2), list("after", s.pad_after, 2);
  if (s.layout == SEPCONV_STRIDED) list("input_strides", s.input_strides, 4), list("output_strides", s.output_strides, 4);
  out << " multiplier=" << s.multiplier << " filters=" << s.filters << " activations=" << s.depthwise_activation.kind << ','
      << s.activation.kind;
  return out.str();
}

inline quad output_shape(const sepconv_spec& spec) {
  const sepconv_plan_info info = sepconv::plan(spec).info();
  return {info.output_shape[0], info.output_shape[1], info.output_shape[2], info.output_shape[3]};
}

inline int64_t count_of(const quad& shape) { return shape[0] * shape[1] * shape[2] * shape[3]; }

// Values, channels_last, each one representable in its type. An absent bias is empty.
struct tensors {
  std::vector<double> input, depthwise, depthwise_bias, pointwise, bias;
};

enum class kind {
  integers,    // small, so that every sum is exact; never zero, mostly positive, so that few outputs vanish
  normal,
  lognormal,
  cancelling,  // neighbours are nearly opposite
  mixed        // magnitudes over 2^40 (2^12 for 16-bit storage)
};

inline std::vector<double> values(generator& r, int64_t count, kind k, int64_t largest, int32_t dtype) {
  const bool narrow = dtype == SEPCONV_FLOAT16 || dtype == SEPCONV_BFLOAT16;
  std::vector<double> out(static_cast<std::size_t>(count));
  double last = 1;
  for (double& x : out) {
    // One draw a statement: the order of draws inside an expression is the compiler's.
    switch (k) {
      case kind::integers:
        x = static_cast<double>(r.between(1, largest));
        if (r.one_in(5)) x = -x;
        break;
      case kind::normal: x = r.normal(); break;
      case kind::lognormal:
        x = 1 + r.uniform();
        x = std::ldexp(x, static_cast<int>(std::floor(1.5 * r.normal())));
        break;
      case kind::cancelling: x = -last * (1 + r.normal() * 0x1p-10); break;
      case kind::mixed:
        x = r.normal();
        x = std::ldexp(x, static_cast<int>(narrow ? r.between(-8, 4) : r.between(-20, 20)));
        break;
    }
    if (k == kind::cancelling) last = r.one_in(64) ? 1 : x;
    x = round_to(dtype, x);
  }
  return out;
}

// Weights have the type of sums; `biases` says whether there are any.
inline tensors make_tensors(const sepconv_spec& s, kind k, uint64_t seed, bool biases = true) {
  generator r(seed);
  const int64_t channels = s.input_shape[3], multiplier = std::max<int64_t>(s.multiplier, 1), depth = channels * multiplier;
  const int64_t taps = std::max<int64_t>(s.kernel[0], 1) * std::max<int64_t>(s.kernel[1], 1);
  const int32_t weight = s.dtype == SEPCONV_FLOAT64 ? SEPCONV_FLOAT64 : SEPCONV_FLOAT32;
  tensors t;
  t.input = values(r, s.input_shape[0] * s.input_shape[1] * s.input_shape[2] * channels, k, 8, s.dtype);
  if (s.op != SEPCONV_POINTWISE) t.depthwise = values(r, taps * depth, k, 4, weight);
  if (s.op != SEPCONV_DEPTHWISE) t.pointwise = values(r, depth * s.filters, k, 4, weight);
  if (biases && s.op == SEPCONV_SEPARABLE) t.depthwise_bias = values(r, depth, k, 9, weight);
  if (biases) t.bias = values(r, s.op == SEPCONV_DEPTHWISE ? depth : s.filters, k, 9, weight);
  return t;
}

inline const double* data_or_null(const std::vector<double>& v) { return v.empty() ? nullptr : v.data(); }

// What the float64 reference says, channels_last, not rounded to storage.
inline std::vector<double> reference(const sepconv_spec& spec, const tensors& t) {
  sepconv_weights w = sepconv::make_weights();
  w.dtype = SEPCONV_FLOAT64;
  w.depthwise_kernel = data_or_null(t.depthwise);
  w.depthwise_bias = data_or_null(t.depthwise_bias);
  w.pointwise_kernel = data_or_null(t.pointwise);
  w.bias = data_or_null(t.bias);
  std::vector<double> out(static_cast<std::size_t>(count_of(output_shape(spec))));
  sepconv::check(sepconv_reference(&spec, &w, t.input.data(), out.data()));
  return out;
}

// As above, with the one rounding of storage; exact where sums are.
inline std::vector<double> stored_reference(const sepconv_spec& spec, const tensors& t) {
  std::vector<double> out = reference(spec, t);
  for (double& x : out) x = round_to(spec.dtype, x);
  return out;
}

inline bool mostly_zeros(const std::vector<double>& v) {
  return 2 * std::count(v.begin(), v.end(), 0.0) > static_cast<int64_t>(v.size());
}

// Integers and what comes out of them. A case whose outputs are mostly zero would show little: where they see mostly padding, a bias
// helps; where a clamp cuts them off, the other sign.
struct exact_case {
  exact_case(const sepconv_spec& spec, uint64_t seed, bool biases = true)
      : t(make_tensors(spec, kind::integers, seed, biases)), expected(stored_reference(spec, t)) {
    if (mostly_zeros(expected) && !biases) {
      t = make_tensors(spec, kind::integers, seed);
      expected = stored_reference(spec, t);
    }
    if (mostly_zeros(expected)) {
      for (std::vector<double>* v : {spec.op == SEPCONV_DEPTHWISE ? &t.depthwise : &t.pointwise, &t.bias})
        for (double& x : *v) x = -x;
      expected = stored_reference(spec, t);
    }
    EXPECT_FALSE(expected.size() >= 16 && mostly_zeros(expected)) << describe(spec);
  }
  tensors t;
  std::vector<double> expected;
};

}  // namespace test
