// The guard of floating-point modes, and each entry that computes under it: whatever the caller has set is replaced and put back.
#include "runtime/float_modes.hpp"

#include <stdexcept>

#include "run.hpp"

#if defined(__x86_64__) || defined(__aarch64__)

using namespace test;

namespace {

#if defined(__x86_64__)
using modes_t = unsigned;
modes_t get_modes() { return _mm_getcsr(); }
void set_modes(modes_t modes) { _mm_setcsr(modes); }
constexpr modes_t defaults = 0x1f80;
// Flush results, flush operands, both; downwards, upwards, to zero; flags of past exceptions; all of it.
constexpr modes_t odd_modes[] = {0x9f80, 0x1fc0, 0x9fc0, 0x3f80, 0x5f80, 0x7f80, 0x1fbf, 0xffff};
constexpr modes_t upwards = 0x5f80, flushing = 0x9fc0;
#else
using modes_t = uint64_t;
modes_t get_modes() {
  modes_t modes;
  asm volatile("mrs %0, fpcr" : "=r"(modes)::"memory");
  return modes;
}
void set_modes(modes_t modes) { asm volatile("msr fpcr, %0" ::"r"(modes) : "memory"); }
constexpr modes_t defaults = 0;
// FZ; default NaN; the three other roundings; all of it.
constexpr modes_t odd_modes[] = {1 << 24, 1 << 25, 1 << 22, 2 << 22, 3 << 22, 15 << 22};
constexpr modes_t upwards = 1 << 22, flushing = 1 << 24;
#endif

// Puts back what was there when the test ends, however it ends.
struct restored {
  modes_t before = get_modes();
  ~restored() { set_modes(before); }
};

// Not folded by the compiler, nor moved away from between its neighbours.
double divide(double a, double b) {
  volatile double x = a, y = b;
  volatile double quotient = x / y;
  return quotient;
}

// What body() gives under `modes`, which it must leave as they are.
template <class F>
auto under(modes_t modes, F&& body) {
  const restored at_end;
  set_modes(modes);
  auto result = body();
  const modes_t after = get_modes();
  set_modes(at_end.before);
  EXPECT_EQ(after, modes) << "the caller's modes changed";
  return result;
}

constexpr double least_normal = 0x1p-1022;

}  // namespace

TEST(float_modes, the_guard_sets_defaults_and_restores) {
  for (modes_t modes : odd_modes)
    EXPECT_EQ(under(modes, [] {
                const sepconv::float_modes_guard guard;
                return get_modes();
              }),
              defaults)
        << std::hex << modes;
}

TEST(float_modes, arithmetic_within_is_the_default) {
  const double third = divide(1, 3);
  for (modes_t modes : odd_modes) {
    const std::array<double, 2> within = under(modes, [] {
      const sepconv::float_modes_guard guard;
      return std::array<double, 2>{divide(1, 3), divide(least_normal, 4)};
    });
    EXPECT_EQ(within[0], third) << std::hex << modes;
    EXPECT_EQ(within[1], 0x1p-1024) << std::hex << modes;
  }
  // The test means something: without the guard both differ.
  EXPECT_GT(under(upwards, [] {
              const double x = divide(1, 3);
              set_modes(upwards);  // flags
              return x;
            }),
            third);
  EXPECT_EQ(under(flushing, [] {
              const double x = divide(least_normal, 4);
              set_modes(flushing);
              return x;
            }),
            0);
}

TEST(float_modes, flags_raised_within_do_not_leak) {
  EXPECT_EQ(under(defaults, [] {
              const sepconv::float_modes_guard guard;
              return divide(1, 0);
            }),
            INFINITY);
}

TEST(float_modes, guards_nest) {
  EXPECT_EQ(under(flushing, [] {
              const sepconv::float_modes_guard outer;
              set_modes(upwards);
              {
                const sepconv::float_modes_guard inner;
                EXPECT_EQ(get_modes(), defaults);
              }
              return get_modes();
            }),
            upwards);
}

TEST(float_modes, an_exception_restores_too) {
  EXPECT_TRUE(under(flushing, [] {
    try {
      const sepconv::float_modes_guard guard;
      throw std::runtime_error("on the way");
    } catch (const std::runtime_error&) {
      return true;
    }
    return false;
  }));
}

TEST(float_modes, run_is_blind_to_them) {
  for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE})
    for (int32_t dtype : dtypes)
      for (int32_t threads : {1, 3}) {
        sepconv_spec spec = spec_of(op, {1, 16, 17, 19}, 33);
        spec.dtype = dtype;
        spec.num_threads = threads;
        spec.activation.kind = SEPCONV_SILU;
        tensors t = make_tensors(spec, kind::normal, 6);
        const sepconv::plan plan(spec);
        const weight_arrays weights(t, sum_dtype(dtype), flush::back);
        const sepconv::pack pack = plan.make_pack(weights.view);
        const quad in = {1, 16, 17, 19}, out = output_shape(spec);
        strided_array input(in, contiguous_strides(in, spec.layout), dtype, flush::back);
        input.set(t.input);
        guarded workspace(plan.workspace_size(), flush::back);
        const auto compute = [&](modes_t modes) {
          strided_array output(out, contiguous_strides(out, spec.layout), dtype, flush::back);
          EXPECT_EQ(under(modes, [&] {
                      return sepconv_run(plan.get(), pack.get(), input.origin(), output.origin(), workspace.get());
                    }),
                    SEPCONV_OK);
          return output.values();
        };
        const std::vector<double> expected = compute(defaults);
        for (modes_t modes : odd_modes)
          EXPECT_TRUE(same(compute(modes), expected)) << std::hex << modes << ' ' << describe(spec);
      }
}

// Refusals, too, and calls that have nothing to do.
TEST(float_modes, refusals_leave_them_alone) {
  const sepconv::plan plan(spec_of(SEPCONV_DEPTHWISE, {1, 6, 7, 5}));
  for (modes_t modes : {upwards, flushing}) {
    EXPECT_EQ(under(modes, [&] { return sepconv_run(plan.get(), nullptr, nullptr, nullptr, nullptr); }),
              SEPCONV_INVALID_ARGUMENT);
    const sepconv_activation a = {};
    EXPECT_EQ(under(modes, [&] { return sepconv_activate(&a, SEPCONV_FLOAT32, nullptr, 0); }), SEPCONV_OK);
  }
}

// Every storage type, over more than one of the pieces in which 16-bit types compute.
TEST(float_modes, activate_is_blind_to_them) {
  constexpr std::size_t count = 2500;
  for (int32_t dtype : dtypes) {
    generator r(static_cast<uint64_t>(dtype));
    const float_format f = format_of(dtype);
    const double least = std::ldexp(1, f.least_exponent - f.precision + 1);
    std::vector<double> x = values(r, int64_t{count}, kind::normal, 1, dtype);
    for (std::size_t i = 0; i < x.size(); i += 3) x[i] = least * static_cast<double>(r.between(-5, 5));  // denormals
    for (int32_t kind_of : {SEPCONV_LINEAR, SEPCONV_LEAKY_RELU, SEPCONV_SOFTSIGN, SEPCONV_TANH, SEPCONV_GELU}) {
      const sepconv_activation a = {kind_of, 0, {0.5, 0, 0}};
      const auto compute = [&](modes_t modes) {
        guarded data(count * size_of(dtype), flush::back);
        for (std::size_t i = 0; i < count; ++i) put(data.get(), dtype, static_cast<int64_t>(i), x[i]);
        EXPECT_EQ(under(modes, [&] { return sepconv_activate(&a, dtype, data.get(), count); }), SEPCONV_OK);
        EXPECT_TRUE(data.intact());
        std::vector<double> y;
        for (std::size_t i = 0; i < count; ++i) y.push_back(get(data.get(), dtype, static_cast<int64_t>(i)));
        return y;
      };
      const std::vector<double> expected = compute(defaults);
      if (kind_of == SEPCONV_LINEAR) {
        EXPECT_TRUE(same(expected, x)) << difference(expected, x);
      }
      for (modes_t modes : odd_modes) EXPECT_TRUE(same(compute(modes), expected)) << std::hex << modes << " kind " << kind_of;
    }
  }
}

#endif
