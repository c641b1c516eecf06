// Every activation, on arrays: against the float64 reference, at every length, with the same bits on every instruction set and
// architecture.
#include "elementwise.hpp"
#include "op/reference.hpp"

namespace {

using test::activated;
using test::isas;

struct activation {
  const char* name;
  sepconv_activation is;
  // Roundings that may show beside those of the result: `cancels` counts those of x in T, `reference` those of 1 + |x| in the
  // reference, `exponent` those of the reference's exponent.
  double cancels, reference, exponent;
  uint64_t float_bits, double_bits;  // checksums of the results on fixed samples
};

const activation activations[] = {
    {"linear", {SEPCONV_LINEAR, 0, {}}, 0, 0, 0, 0x79262b8e5e6cda71, 0x7f6fa8132bf37de7},
    {"relu", {SEPCONV_RELU, 0, {}}, 0, 0, 0, 0x2e3a6902c5e6b7da, 0x025ff5233c55d584},
    {"relu6", {SEPCONV_RELU6, 0, {}}, 0, 0, 0, 0xb95ac4dd5d3f2928, 0xa200e33e8e9eeae8},
    {"hard_tanh", {SEPCONV_HARD_TANH, 0, {}}, 0, 0, 0, 0x4c25435098c71e40, 0x2ff8eefbe8af7a52},
    {"relu_general", {SEPCONV_RELU_GENERAL, 0, {0.2, 6, 0.5}}, 0, 0, 0, 0x7712d4f2be37230d, 0xffcc78af22a944f2},
    {"relu_general_unbounded", {SEPCONV_RELU_GENERAL, 0, {0, INFINITY, 1}}, 0, 0, 0, 0xac02361a7723d40f, 0x65986abb3ce06195},
    {"relu_general_crossed", {SEPCONV_RELU_GENERAL, 0, {0.1, 0.5, 3}}, 0, 0, 0, 0x6bca342cebed7edc, 0x641d2bfab8c4747f},
    {"relu_general_crossed_flat", {SEPCONV_RELU_GENERAL, 0, {0, 0.5, 1}}, 0, 0, 0, 0x9328bc0301737ff5, 0x3bc8d4ff85fe0965},
    {"leaky_relu", {SEPCONV_LEAKY_RELU, 0, {0.2}}, 0, 0, 0, 0xd34a34f024dafebe, 0xa12d3c00eef075c3},
    {"elu", {SEPCONV_ELU, 0, {1}}, 0, 0, 0, 0x12fea586cd3df61c, 0xcfdae7c607f159b5},
    {"celu", {SEPCONV_CELU, 0, {1.3}}, 0, 0, 0, 0xe670c5a3607bbc0c, 0x5cc4feee55b53951},
    {"celu_negative", {SEPCONV_CELU, 0, {-2}}, 0, 0, 0, 0xedb1f577e5e4fee3, 0x60fa12283d776b7f},
    {"selu", {SEPCONV_SELU, 0, {}}, 0, 0, 0, 0x3925c16f12994f62, 0x3c4aee3116f46b9a},
    {"softplus", {SEPCONV_SOFTPLUS, 0, {}}, 0, 0, 0, 0x0920159fcca57abe, 0x4bda8afa8bd27055},
    {"softsign", {SEPCONV_SOFTSIGN, 0, {}}, 0, 0, 0, 0xe39623ebb9935e6c, 0x946a88d54d72b207},
    {"squareplus", {SEPCONV_SQUAREPLUS, 0, {4}}, 0, 2, 0, 0xe014bd0623a12598, 0x023179cb93a30970},
    {"soft_shrink", {SEPCONV_SOFT_SHRINK, 0, {0.5}}, 0, 0, 0, 0xe77101f5eca4041c, 0x86ee7c42eb396125},
    {"hard_shrink", {SEPCONV_HARD_SHRINK, 0, {0.5}}, 0, 0, 0, 0xbf8b551b10017f58, 0x2e01cde22a7e274d},
    {"sparse_plus", {SEPCONV_SPARSE_PLUS, 0, {}}, 0, 0, 0, 0xeb524120e9201760, 0xfb9f35c08a070363},
    {"silu", {SEPCONV_SILU, 0, {}}, 0, 0, 0, 0xf3738056c23287ce, 0x22af6c635faa7624},
    {"gelu", {SEPCONV_GELU, 0, {}}, 0, 0, 2, 0x330ef33fef3ef000, 0x6358b62244f9e1ae},
    {"gelu_tanh", {SEPCONV_GELU_TANH, 0, {}}, 0, 0, 4, 0xc14190b195919c73, 0x1f1d1341a4840b6a},
    {"tanh", {SEPCONV_TANH, 0, {}}, 0, 0, 0, 0xac660666966b8144, 0x18838d03079eb4b0},
    {"tanh_shrink", {SEPCONV_TANH_SHRINK, 0, {}}, 2, 2, 0, 0x64db7248fa1764b4, 0x7fc45b6ff47cd082},
    {"threshold", {SEPCONV_THRESHOLD, 0, {0.5, 7}}, 0, 0, 0, 0x7ed7d112f81ce5a3, 0x595d0dcafc996c31},
    {"sigmoid", {SEPCONV_SIGMOID, 0, {}}, 0, 0, 0, 0xb16560e1f23fb091, 0x39734e0538439e42},
    {"sparse_sigmoid", {SEPCONV_SPARSE_SIGMOID, 0, {}}, 0, 0, 0, 0xa5327203efd44563, 0xdd8017f0df2723a0},
    {"exponential", {SEPCONV_EXPONENTIAL, 0, {}}, 0, 0, 0, 0x006c15e8046782dc, 0xc79d025ed9923454},
    {"hard_sigmoid", {SEPCONV_HARD_SIGMOID, 0, {}}, 0, 1, 0, 0x0baf148ec423255a, 0x6ef52ba347b2a0af},
    {"hard_silu", {SEPCONV_HARD_SILU, 0, {}}, 0, 4, 0, 0xc900fe360b375317, 0x3aa6fc67132ef4f1},
    {"mish", {SEPCONV_MISH, 0, {}}, 0, 0, 0, 0x55cda29d631e912a, 0x7e41531db319ccbb},
    {"log_sigmoid", {SEPCONV_LOG_SIGMOID, 0, {}}, 0, 0, 0, 0x2148719649ad4b46, 0xc43b338b561eb9fb},
};

void PrintTo(const activation& a, std::ostream* out) { *out << a.name; }

class activate : public testing::TestWithParam<activation> {};

// 4 ulp of the result, and what the activation's row grants.
template <class T>
double allowed(const activation& a, double x, double y) {
  const double unit = std::numeric_limits<double>::epsilon(), size = std::isinf(x) ? 0 : std::fabs(x);
  const double exponent = std::fmin(a.exponent * (size * size + size * size * size / 8), 1 / unit);
  return 4 * test::ulp(test::dtype_of<T>, y) + a.cancels * static_cast<double>(std::numeric_limits<T>::epsilon()) * size +
         a.reference * unit * (1 + size) + exponent * unit * std::fabs(y) +
         std::fmin(size, 1000) * std::numeric_limits<double>::denorm_min();  // the reference multiplies subnormal numbers
}

// Beside the last float, one side may have overflowed.
template <class T>
bool good(const activation& a, T x, T y, double expected) {
  const double got = static_cast<double>(y), stored = static_cast<double>(static_cast<T>(expected));
  if (std::isfinite(got) && std::isfinite(stored))
    return std::fabs(got - expected) <= allowed<T>(a, static_cast<double>(x), expected);
  const double largest = static_cast<double>(std::numeric_limits<T>::max()) * (1 - 1e-6);
  return test::same(got, stored) || (std::fabs(got) > largest && std::fabs(stored) > largest && (got > 0) == (stored > 0));
}

template <class T>
void expect_reference(const activation& a) {
  const std::vector<T> x = test::samples<T>(test::sample(60000), sizeof(T) == 4 ? 120 : 760);
  std::vector<double> expected;
  for (const T value : x) expected.push_back(sepconv::reference_activation(a.is, static_cast<double>(value)));
  for (const std::string& isa : isas()) {
    const std::vector<T> y = activated<T>(isa, a.is, x);
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(good(a, x[i], y[i], expected[i])) << isa << ": of " << testing::PrintToString(x[i]) << " is "
                                                    << testing::PrintToString(y[i]) << ", reference "
                                                    << testing::PrintToString(expected[i]);
  }
}

TEST_P(activate, float_matches_reference) { expect_reference<float>(GetParam()); }
TEST_P(activate, double_matches_reference) { expect_reference<double>(GetParam()); }

// Every length up to a few vectors gives the elements of a longer run, and touches nothing beside them.
template <class T>
void expect_any_length(const activation& a) {
  const std::vector<T> x = test::samples<T>(64, 8);
  for (const std::string& isa : isas()) {
    const sepconv::kernel_set& set = *sepconv::find_isa(isa.c_str()).sets[test::dtype_of<T>];
    const std::vector<T> whole = activated<T>(isa, a.is, x);
    for (std::size_t count = 0; count <= 4 * static_cast<std::size_t>(set.lanes) + 1; ++count)
      for (const test::flush side : {test::flush::front, test::flush::back}) {
        const test::guarded buffer(count * sizeof(T), side);
        T* data = buffer.as<T>();
        std::copy_n(x.begin(), count, data);
        set.activate(a.is.kind, a.is.params, data, 0, 1, static_cast<int64_t>(count));
        EXPECT_TRUE(buffer.intact()) << isa << ' ' << count;
        EXPECT_TRUE(test::same(std::vector<T>(data, data + count), std::vector<T>(whole.data(), whole.data() + count)))
            << isa << ' ' << count;
      }
  }
}

// Rows with gaps: each as if it were alone, and the gaps stay.
template <class T>
void expect_rows(const activation& a) {
  const std::vector<T> x = test::samples<T>(80, 8);
  for (const std::string& isa : isas()) {
    const sepconv::kernel_set& set = *sepconv::find_isa(isa.c_str()).sets[test::dtype_of<T>];
    for (const int64_t count : {1, 16, 19}) {
      std::vector<T> expected = x, y = x;
      for (std::size_t row = 0; row < 4; ++row)
        set.activate(a.is.kind, a.is.params, expected.data() + row * 20, 0, 1, count);
      set.activate(a.is.kind, a.is.params, y.data(), 20, 4, count);
      EXPECT_TRUE(test::same(y, expected)) << isa << ' ' << count;
    }
  }
}

TEST_P(activate, rows_of_float) { expect_rows<float>(GetParam()); }
TEST_P(activate, rows_of_double) { expect_rows<double>(GetParam()); }

TEST_P(activate, any_length_of_float) { expect_any_length<float>(GetParam()); }
TEST_P(activate, any_length_of_double) { expect_any_length<double>(GetParam()); }

// The literals hold every architecture to the same bits. They change with the formulas and never otherwise.
template <class T>
uint64_t bits(const std::string& isa, const activation& a) {
  std::vector<double> y;
  for (const T value : activated<T>(isa, a.is, test::samples<T>(3000, sizeof(T) == 4 ? 120 : 760)))
    y.push_back(static_cast<double>(value));
  return test::checksum(y);
}

TEST_P(activate, same_bits_everywhere) {
  const activation& a = GetParam();
  for (const std::string& isa : isas()) {
    EXPECT_EQ(bits<float>(isa, a), a.float_bits) << isa << " float";
    EXPECT_EQ(bits<double>(isa, a), a.double_bits) << isa << " double";
  }
}

template <class T>
void expect_same_bits(const activation& a) {
  const std::vector<T> x = test::samples<T>(test::sample(60000), sizeof(T) == 4 ? 120 : 760);
  const std::vector<T> first = activated<T>(isas().front(), a.is, x);
  for (const std::string& isa : isas()) EXPECT_TRUE(test::same(activated<T>(isa, a.is, x), first)) << isa;
}

TEST_P(activate, same_bits_on_this_machine) {
  expect_same_bits<float>(GetParam());
  expect_same_bits<double>(GetParam());
}

TEST_P(activate, nan_stays) {
  for (const std::string& isa : isas()) {
    EXPECT_TRUE(std::isnan(activated<float>(isa, GetParam().is, {NAN})[0])) << isa;
    EXPECT_TRUE(std::isnan(activated<double>(isa, GetParam().is, {NAN})[0])) << isa;
  }
}

INSTANTIATE_TEST_SUITE_P(all, activate, testing::ValuesIn(activations), [](const auto& info) { return info.param.name; });

TEST(activations, none_is_missing) {
  std::vector<int> seen(SEPCONV_ACTIVATION_COUNT);
  for (const activation& a : activations) ++seen[static_cast<std::size_t>(a.is.kind)];
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0);
}

}  // namespace
