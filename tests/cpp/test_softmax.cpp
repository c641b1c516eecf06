// softmax and log_softmax: against long double, with the same bits everywhere, at every length, and what threads and 16 bits make of them.
#include "elementwise.hpp"

using namespace test;

namespace {

using real = long double;

template <class T>
std::vector<T> rows_of(int64_t count, double range) {
  generator r(static_cast<uint64_t>(count));
  std::vector<T> x;
  for (int64_t i = 0; i < count; ++i) x.push_back(static_cast<T>((2 * r.uniform() - 1) * range));
  return x;
}

template <class T>
std::vector<T> activated_rows(const std::string& isa, int32_t kind, std::vector<T> x, int64_t columns) {
  const int64_t rows = static_cast<int64_t>(x.size()) / columns;
  sepconv::find_isa(isa.c_str()).sets[test::dtype_of<T>]->activate_rows(kind, x.data(), rows, columns);
  return x;
}

template <class T>
std::vector<T> derived_rows(const std::string& isa, int32_t kind, const std::vector<T>& y, std::vector<T> up, int64_t columns) {
  const int64_t rows = static_cast<int64_t>(y.size()) / columns;
  sepconv::find_isa(isa.c_str()).sets[test::dtype_of<T>]->derive_rows(kind, y.data(), up.data(), rows, columns);
  return up;
}

// With d = x - max: a power errs by |d| u, of the difference, and 1.1 ulp, which is at most 2.2 u; their sum by the weighted mean of that
// and (n / 16 + 4) u; then a reciprocal and a product, or a logarithm of 2 ulp, a difference and its rounding.
template <class T>
void expect_row(const T* x, const T* y, const T* logs, int64_t n) {
  const real u = static_cast<real>(std::numeric_limits<T>::epsilon()) / 2, least = std::numeric_limits<T>::denorm_min();
  const real most = *std::max_element(x, x + n);
  real sum = 0, mean = 0;
  for (int64_t i = 0; i < n; ++i) {
    const real d = x[i] - most;
    sum += std::exp(d);
    mean += std::exp(d) * -d;
  }
  const real of_sum = mean / sum + 2.2L + static_cast<real>(n) / 16 + 4;
  for (int64_t i = 0; i < n; ++i) {
    const real d = x[i] - most, power = std::exp(d) / sum, log = d - std::log(sum);
    ASSERT_LE(std::fabs(y[i] - power), 1.01L * power * u * (-d + 2.2L + of_sum + 2) + 2 * least) << n << " columns, value " << i;
    ASSERT_LE(std::fabs(logs[i] - log), 1.01L * u * (-d + of_sum + 4 * std::log(sum) - log) + least) << n << " columns, value " << i;
  }
}

template <class T>
void expect_reference() {
  for (const double range : {1.0, 20.0, 300.0})
    for (const int64_t columns : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1000}) {
      const std::vector<T> x = rows_of<T>(columns * 37, range);
      const std::vector<T> y = activated_rows("scalar", SEPCONV_SOFTMAX, x, columns);
      const std::vector<T> logs = activated_rows("scalar", SEPCONV_LOG_SOFTMAX, x, columns);
      for (int64_t r = 0; r < 37; ++r) expect_row(&x[r * columns], &y[r * columns], &logs[r * columns], columns);
      const std::vector<T> up = rows_of<T>(columns * 37, 2);
      const std::vector<T> slope = derived_rows("scalar", SEPCONV_SOFTMAX, y, up, columns);
      const std::vector<T> of_logs = derived_rows("scalar", SEPCONV_LOG_SOFTMAX, logs, up, columns);
      for (int64_t r = 0; r < 37; ++r) {
        // A sum of products, of |dy| < 2: n / 16 + 4 roundings; then two more, and those of the power.
        real dot = 0, sum = 0, size = 0;
        for (int64_t i = r * columns; i < (r + 1) * columns; ++i) dot += real(y[i]) * up[i], sum += up[i], size += std::fabs(real(up[i]));
        const real u = static_cast<real>(std::numeric_limits<T>::epsilon()) / 2, chain = static_cast<real>(columns) / 16 + 5;
        for (int64_t i = r * columns; i < (r + 1) * columns; ++i) {
          const real power = std::exp(real(logs[i]));
          ASSERT_LE(std::fabs(slope[i] - y[i] * (up[i] - dot)), 1.01L * u * y[i] * (2.1L * chain + 8) + std::numeric_limits<T>::min());
          ASSERT_LE(std::fabs(of_logs[i] - (up[i] - power * sum)), 1.01L * u * (power * size * (chain + 2.2L) + std::fabs(of_logs[i])) +
                                                                       std::numeric_limits<T>::min());
        }
      }
      for (const std::string& isa : isas()) {
        EXPECT_TRUE(test::same(activated_rows(isa, SEPCONV_SOFTMAX, x, columns), y)) << isa << ' ' << columns;
        EXPECT_TRUE(test::same(activated_rows(isa, SEPCONV_LOG_SOFTMAX, x, columns), logs)) << isa << ' ' << columns;
        EXPECT_TRUE(test::same(derived_rows(isa, SEPCONV_SOFTMAX, y, up, columns), slope)) << isa << ' ' << columns;
        EXPECT_TRUE(test::same(derived_rows(isa, SEPCONV_LOG_SOFTMAX, logs, up, columns), of_logs)) << isa << ' ' << columns;
      }
    }
}

}  // namespace

TEST(softmax, float_matches_reference) { expect_reference<float>(); }
TEST(softmax, double_matches_reference) { expect_reference<double>(); }

TEST(softmax, any_length_touches_nothing_else) {
  for (const std::string& isa : isas()) {
    const sepconv::kernel_set& set = *sepconv::find_isa(isa.c_str()).sets[SEPCONV_FLOAT32];
    for (int64_t columns = 1; columns <= 4 * set.lanes + 1; ++columns)
      for (const int64_t rows : {1, 2, 17})
        for (const flush side : {flush::front, flush::back}) {
          const std::size_t count = static_cast<std::size_t>(rows * columns);
          const std::vector<float> x = rows_of<float>(rows * columns, 4), y = activated_rows<float>(isa, SEPCONV_SOFTMAX, x, columns);
          const guarded data(count * sizeof(float), side), up(count * sizeof(float), side);
          std::copy(x.begin(), x.end(), data.as<float>());
          std::copy(x.begin(), x.end(), up.as<float>());
          set.activate_rows(SEPCONV_SOFTMAX, data.get(), rows, columns);
          set.derive_rows(SEPCONV_SOFTMAX, data.get(), up.get(), rows, columns);
          EXPECT_TRUE(data.intact() && up.intact()) << isa << ' ' << columns;
          EXPECT_TRUE(std::equal(y.begin(), y.end(), data.as<float>())) << isa << ' ' << columns;
        }
  }
}

TEST(softmax, numbers_that_are_not_finite) {
  const float inf = INFINITY;
  for (const std::string& isa : isas())
    for (const int64_t columns : {2, 40}) {
      const auto of = [&](int32_t kind, float first, float second) {
        std::vector<float> x(static_cast<std::size_t>(columns), -inf);
        x[0] = first, x[columns - 1] = second;
        return activated_rows(isa, kind, x, columns);
      };
      EXPECT_EQ(of(SEPCONV_SOFTMAX, 0, 3e38f).back(), 1) << isa;
      EXPECT_EQ(of(SEPCONV_SOFTMAX, 0, -inf).front(), 1) << isa;
      EXPECT_EQ(of(SEPCONV_SOFTMAX, 0, -inf).back(), 0) << isa;
      EXPECT_EQ(of(SEPCONV_LOG_SOFTMAX, 0, -inf).back(), -inf) << isa;
      EXPECT_EQ(of(SEPCONV_LOG_SOFTMAX, 3e38f, -3e38f).back(), -inf) << isa;
      for (const int32_t kind : {SEPCONV_SOFTMAX, SEPCONV_LOG_SOFTMAX})
        for (const float bad : {NAN, inf, -inf})
          for (const float y : of(kind, bad == -inf ? -inf : 0, bad)) EXPECT_TRUE(std::isnan(y)) << isa << ' ' << kind << ' ' << bad;
    }
}

TEST(softmax, threads_change_nothing) {
  const int64_t rows = 701, columns = 203;
  for (const int32_t kind : {SEPCONV_SOFTMAX, SEPCONV_LOG_SOFTMAX}) {
    const std::vector<float> x = rows_of<float>(rows * columns, 5);
    std::vector<float> first, first_up;
    for (const int32_t threads : {1, 2, 3, 7, 64, 0}) {
      std::vector<float> y = x, up = x;
      ASSERT_EQ(sepconv_activate_rows(kind, SEPCONV_FLOAT32, y.data(), rows, columns, threads), SEPCONV_OK);
      ASSERT_EQ(sepconv_derive_rows(kind, SEPCONV_FLOAT32, y.data(), up.data(), rows, columns, threads), SEPCONV_OK);
      if (first.empty()) first = y, first_up = up;
      EXPECT_TRUE(test::same(y, first) && test::same(up, first_up)) << threads;
    }
  }
}

TEST(softmax, storage_is_rounded_once) {
  for (const int32_t dtype : {SEPCONV_FLOAT16, SEPCONV_BFLOAT16})
    for (const int32_t kind : {SEPCONV_SOFTMAX, SEPCONV_LOG_SOFTMAX})
      for (const int64_t columns : {1, 5, 33, 5000}) {
        const int64_t rows = 40, count = rows * columns;
        std::vector<float> wide = rows_of<float>(count, 4), up;
        const std::size_t bytes = static_cast<std::size_t>(count) * 2;
        const guarded narrow(bytes, flush::back), narrow_up(bytes, flush::back);
        for (int64_t i = 0; i < count; ++i) {
          wide[i] = static_cast<float>(round_to(dtype, wide[i]));
          put(narrow.get(), dtype, i, wide[i]);
          put(narrow_up.get(), dtype, i, wide[i]);
        }
        up = wide;
        ASSERT_EQ(sepconv_activate_rows(kind, dtype, narrow.get(), rows, columns, 2), SEPCONV_OK);
        sepconv_activate_rows(kind, SEPCONV_FLOAT32, wide.data(), rows, columns, 1);
        for (int64_t i = 0; i < count; ++i) ASSERT_EQ(get(narrow.get(), dtype, i), wide[i] = static_cast<float>(round_to(dtype, wide[i])));
        ASSERT_EQ(sepconv_derive_rows(kind, dtype, narrow.get(), narrow_up.get(), rows, columns, 2), SEPCONV_OK);
        sepconv_derive_rows(kind, SEPCONV_FLOAT32, wide.data(), up.data(), rows, columns, 1);
        for (int64_t i = 0; i < count; ++i) ASSERT_EQ(get(narrow_up.get(), dtype, i), round_to(dtype, up[i]));
      }
}

TEST(softmax, arguments) {
  float x = 0;
  const auto refused = [](sepconv_status status, const char* text) {
    EXPECT_EQ(status, SEPCONV_INVALID_ARGUMENT);
    EXPECT_NE(std::string(sepconv_last_error()).find(text), std::string::npos) << sepconv_last_error();
  };
  refused(sepconv_activate_rows(2, 0, &x, 1, 1, 1), "`kind`");
  refused(sepconv_activate_rows(0, 4, &x, 1, 1, 1), "`dtype`");
  refused(sepconv_activate_rows(0, 0, &x, -1, 1, 1), "`rows` and `columns`");
  refused(sepconv_activate_rows(0, 0, &x, 1, 1, -1), "`num_threads`");
  refused(sepconv_activate_rows(0, 0, nullptr, 1, 1, 1), "`data`");
  refused(sepconv_activate_rows(0, 0, &x, int64_t{1} << 40, int64_t{1} << 40, 1), "`rows` is too large");
  refused(sepconv_derive_rows(0, 0, nullptr, &x, 1, 1, 1), "`output`");
  refused(sepconv_derive_rows(0, 0, &x, nullptr, 1, 1, 1), "`gradient`");
  EXPECT_EQ(sepconv_activate_rows(0, 0, nullptr, 0, 5, 1), SEPCONV_OK);
  EXPECT_EQ(sepconv_derive_rows(0, 0, nullptr, nullptr, 5, 0, 1), SEPCONV_OK);
}
