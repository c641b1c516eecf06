// For tests of elementwise functions: numbers at which they may go wrong, and the kernels themselves.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "support.hpp"

namespace test {

template <class T>
constexpr sepconv_dtype dtype_of = sizeof(T) == 4 ? SEPCONV_FLOAT32 : SEPCONV_FLOAT64;

// Zeros, NaN, infinities, the ends of T, and where functions change their formula or end, each with its neighbours.
template <class T>
std::vector<T> special_values() {
  using limits = std::numeric_limits<T>;
  std::vector<T> all = {0,
                        limits::quiet_NaN(),
                        limits::infinity(),
                        limits::max(),
                        limits::max() / 2,
                        limits::min(),
                        std::nextafter(limits::min(), T(0)),
                        limits::denorm_min(),
                        limits::denorm_min() * 3,
                        limits::epsilon()};
  for (const double x : {0x1p-60, 1e-3, 0.25, 0.34657359, 0.5, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 10.0, 12.0, 14.5, 20.0, 22.0,
                         38.7, 64.0, 87.33654, 88.72284, 89.0, 103.97208, 112.0, 708.3964185, 709.7827129, 744.4400719,
                         745.1332191, 753.0, 1e4, 0x1p63, 3e37}) {
    const T value = static_cast<T>(x);
    all.insert(all.end(), {std::nextafter(value, T(0)), value, std::nextafter(value, limits::max())});
  }
  for (std::size_t i = 0, n = all.size(); i < n; ++i) all.push_back(-all[i]);
  return all;
}

// Special values, then in turn: evenly over [-range, range], any exponent near 1, any bit pattern.
template <class T>
std::vector<T> samples(int64_t count, double range) {
  std::vector<T> all = special_values<T>();
  generator r(sizeof(T));
  const auto unit = [&] {  // 53 bits; in this order on every compiler
    const double high = r.uniform();
    return high + r.uniform() * 0x1p-32;
  };
  for (int64_t i = 0; i < count; i += 3) {
    all.push_back(static_cast<T>((2 * unit() - 1) * range));
    const int exponent = static_cast<int>(r.between(-30, 7));
    const double magnitude = std::ldexp(1 + unit(), exponent);
    all.push_back(static_cast<T>(r.one_in(2) ? magnitude : -magnitude));
    std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> bits = r.bits();
    if (sizeof(T) == 8) bits |= static_cast<decltype(bits)>(r.bits()) << (8 * sizeof(T) - 32);
    T any;
    std::memcpy(&any, &bits, sizeof(any));
    all.push_back(any);
  }
  return all;
}

template <class T>
std::vector<T> activated(const std::string& isa, const sepconv_activation& a, std::vector<T> x) {
  sepconv::find_isa(isa.c_str()).sets[dtype_of<T>]->activate(a.kind, a.params, x.data(), 0, 1, static_cast<int64_t>(x.size()));
  return x;
}

}  // namespace test
