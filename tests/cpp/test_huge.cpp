// More than 2^31 elements: address space that costs no memory until it is touched, and the outputs around every place where 32 bits end.
#include <sys/mman.h>

#include "run.hpp"

using namespace test;

namespace {

// Zeros, of which only pages that are written take memory.
class vast {
 public:
  explicit vast(std::size_t size) : size_(size) {
    data_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~vast() { munmap(data_, size_); }
  vast(const vast&) = delete;
  vast& operator=(const vast&) = delete;
  void* get() const { return data_; }

 private:
  std::size_t size_;
  void* data_;
};

constexpr int64_t limit = int64_t{1} << 31;

std::vector<double> run_in(const vast& input, const vast& output, const sepconv_spec& spec, const tensors& t, const std::vector<int64_t>& at) {
  const sepconv::plan plan(spec);
  const weight_arrays weights(t, SEPCONV_FLOAT32, flush::back);
  const sepconv::pack pack = plan.make_pack(weights.view);
  guarded workspace(plan.workspace_size(), flush::back);
  plan.run(pack, input.get(), output.get(), workspace.get());
  std::vector<double> out;
  for (int64_t i : at) out.push_back(get(output.get(), spec.dtype, i));
  return out;
}

}  // namespace

// One row of 2^31 + 8 elements, windows of nine at its beginning, its middle, across 2^31 and at its end.
TEST(huge, input_beyond_two_to_the_31) {
  for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
    for (const std::string& isa : isas()) {
      sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, {1, 1, limit + 8, 1});
      spec.isa = isa.c_str();
      spec.dtype = SEPCONV_FLOAT16;
      spec.layout = layout;
      spec.kernel[0] = 1;
      spec.kernel[1] = 9;
      spec.stride[1] = limit / 2;
      spec.padding = SEPCONV_EXPLICIT;
      spec.pad_before[1] = 1;  // windows begin at -1, 2^30 - 1, 2^31 - 1
      const vast input(static_cast<std::size_t>(limit + 8) * 2), output(64);
      tensors t;
      t.depthwise = {1, 2, 3, 4, 5, 6, 7, 8, 9};
      for (int64_t i : {int64_t{0}, limit / 2 - 1, limit / 2, limit - 1, limit, limit + 7}) put(input.get(), spec.dtype, i, static_cast<double>(1 + i % 7));
      ASSERT_EQ(output_shape(spec), (quad{1, 1, 3, 1}));
      const auto x = [](int64_t i) { return static_cast<double>(1 + i % 7); };
      const std::vector<double> got = run_in(input, output, spec, t, {0, 1, 2});
      EXPECT_EQ(got[0], 2 * x(0));
      EXPECT_EQ(got[1], 1 * x(limit / 2 - 1) + 2 * x(limit / 2));
      EXPECT_EQ(got[2], 1 * x(limit - 1) + 2 * x(limit) + 9 * x(limit + 7));
    }
}

// Four images of 2^30 elements: rows, columns and images far apart, in both layouts, and a fused run.
TEST(huge, images_beyond_two_to_the_32) {
  for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST}) {
    const int64_t side = 1 << 14, channels = 4;
    sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {4, side, side, channels}, 3);
    spec.layout = layout;
    spec.kernel[0] = spec.kernel[1] = 2;
    spec.stride[0] = spec.stride[1] = side - 2;
    const int64_t elements = 4 * side * side * channels;
    ASSERT_GE(elements, 2 * limit);
    const vast input(static_cast<std::size_t>(elements) * 4), output(4096);
    const quad stride = contiguous_strides({4, side, side, channels}, layout);
    tensors t;
    t.depthwise.assign(4 * static_cast<std::size_t>(channels), 1);
    for (int64_t k = 0; k < channels; ++k)
      for (int f = 0; f < 3; ++f) t.pointwise.push_back(static_cast<double>((k + 1) * (f + 1)));
    const quad out = output_shape(spec);
    ASSERT_EQ(out, (quad{4, 2, 2, 3}));
    std::vector<double> wanted;
    std::vector<int64_t> at;
    for_each_element(out, contiguous_strides(out, layout), [&](int64_t, int64_t offset) { at.push_back(offset); });
    for (int64_t n = 0; n < 4; ++n)
      for (int64_t corner = 0; corner < 4; ++corner) {
        double sum = 0;
        for (int64_t c = 0; c < channels; ++c) {  // one element in each window
          const int64_t h = corner / 2 * (side - 2) + 1, w = corner % 2 * (side - 2);
          const double x = static_cast<double>(1 + n + 4 * corner + 16 * c);
          put(input.get(), SEPCONV_FLOAT32, n * stride[0] + h * stride[1] + w * stride[2] + c * stride[3], x);
          sum += x * static_cast<double>(c + 1);
        }
        for (int f = 0; f < 3; ++f) wanted.push_back(sum * (f + 1));
      }
    const std::vector<double> got = run_in(input, output, spec, t, at);
    EXPECT_TRUE(same(got, wanted)) << difference(got, wanted);
  }
}

// Few outputs, far apart.
TEST(huge, output_strides_beyond_two_to_the_31) {
  for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE}) {
    sepconv_spec spec = spec_of(op, {2, 2, 2, 2}, 2);
    spec.padding = SEPCONV_SAME;
    const exact_case c(spec, 3);
    spec.layout = SEPCONV_STRIDED;
    const quad in = contiguous_strides({2, 2, 2, 2}, SEPCONV_CHANNELS_LAST);
    std::copy(in.begin(), in.end(), spec.input_strides);
    const quad far = {limit + 5, 3, limit / 2 + 1, 1};
    std::copy(far.begin(), far.end(), spec.output_strides);
    const vast input(4096), output(static_cast<std::size_t>(limit + limit / 2 + 16) * 4);
    for (std::size_t i = 0; i < c.t.input.size(); ++i) put(input.get(), SEPCONV_FLOAT32, static_cast<int64_t>(i), c.t.input[i]);
    std::vector<int64_t> at;
    for_each_element({2, 2, 2, 2}, far, [&](int64_t, int64_t offset) { at.push_back(offset); });
    const std::vector<double> got = run_in(input, output, spec, c.t, at);
    EXPECT_TRUE(same(got, c.expected)) << difference(got, c.expected);
  }
}
