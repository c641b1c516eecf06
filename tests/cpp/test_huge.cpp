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

// Two places of one row, or column, read by taps that lie together or far apart: around 0, 2^31 and 2^32. In float32, since 16-bit
// storage would be widened whole, with all that lies between the outputs of a tile.
TEST(huge, rows_and_columns_beyond_two_to_the_32) {
  struct window {
    int64_t taps, stride, dilation, size;
  };
  for (const window& w : {window{9, limit, 1, 2 * limit + 8}, window{2, limit + 7, limit + 3, 2 * limit + 10}})
    for (int axis : {0, 1})
      for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST}) {  // lanes over channels, over pixels
        quad shape = {1, 1, 1, 2}, out = shape;
        shape[1 + axis] = w.size;
        sepconv_spec spec = spec_of(SEPCONV_DEPTHWISE, shape);
        spec.layout = layout;
        spec.kernel[1 - axis] = 1;
        spec.kernel[axis] = w.taps;
        spec.stride[axis] = w.stride;
        spec.dilation[axis] = w.dilation;
        spec.padding = SEPCONV_EXPLICIT;
        spec.pad_before[axis] = 1;
        out[1 + axis] = (w.size + 1 - (w.taps - 1) * w.dilation - 1) / w.stride + 1;
        ASSERT_EQ(output_shape(spec), out);
        const vast input(static_cast<std::size_t>(w.size) * 2 * 4);
        const quad stride = contiguous_strides(shape, layout);
        const auto x = [](int64_t i, int64_t c) { return static_cast<double>(1 + i % 7 + 8 * c); };
        tensors t;
        for (int64_t k = 0; k < 2 * w.taps; ++k) t.depthwise.push_back(static_cast<double>(1 + k));
        std::vector<int64_t> at;
        std::vector<double> wanted;
        for_each_element(out, contiguous_strides(out, layout), [&](int64_t i, int64_t place) {
          double sum = 0;
          for (int64_t tap = 0; tap < w.taps; ++tap) {
            const int64_t from = i / 2 * w.stride + tap * w.dilation - 1;
            if (from < 0 || from >= w.size) continue;
            put(input.get(), spec.dtype, from * stride[1 + axis] + i % 2 * stride[3], x(from, i % 2));
            sum += x(from, i % 2) * static_cast<double>(1 + 2 * tap + i % 2);
          }
          at.push_back(place);
          wanted.push_back(sum);
        });
        for (const std::string& isa : isas()) {
          spec.isa = isa.c_str();
          const std::vector<double> got = run_in(input, vast(64), spec, t, at);
          EXPECT_TRUE(same(got, wanted)) << describe(spec) << ": " << difference(got, wanted);
        }
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

// Nothing is counted up to a stride.
TEST(huge, a_stride_far_beyond_a_dilated_image) {
  sepconv_spec spec = spec_of(SEPCONV_SEPARABLE, {1, 9, 9, 20}, 4);
  spec.kernel[0] = spec.kernel[1] = 3;
  spec.stride[0] = spec.stride[1] = int64_t{1} << 40;
  spec.dilation[0] = spec.dilation[1] = 3;
  const tensors t = make_tensors(spec, kind::integers, 1);
  const std::vector<double> wanted = reference(spec, t);
  for (const std::string& isa : isas()) EXPECT_TRUE(same(run_on(isa, spec, t), wanted)) << isa;
}

// Few elements, far apart: images and rows, then columns, then channels, whose steps each leave 32 bits.
TEST(huge, strides_beyond_two_to_the_31) {
  struct place {
    quad shape, from, to;
    int64_t filters;
  };
  const quad square = {2, 2, 2, 2}, line = {1, 1, 9, 2}, image = {1, 15, 15, 2};
  const quad channels_near = {4 * limit + 9, 2 * limit + 7, limit + 5, 1};
  const quad pixels_near = {4 * limit + 9, 2 * limit + 7, 1, limit + 5};
  const quad apart = {4 * limit + 9, 2 * limit + 7, 3, limit + 5};
  const quad planes = {0, 15, 1, limit + 5}, pixels = {0, 30, 2, 1};
  const place places[] = {{square, channels_near, channels_near, 2}, {square, channels_near, pixels_near, 2},
                          {square, pixels_near, channels_near, 2},   {square, pixels_near, pixels_near, 2},
                          {square, apart, apart, 2},                 {line, channels_near, channels_near, 2},
                          {image, planes, planes, 10},               {image, pixels, planes, 10}};
  const std::size_t size = static_cast<std::size_t>(10 * (limit + 5)) * 4;
  const vast input(size), output(size);  // once for all: an emulator takes its time to map them
  for (const place& p : places)
    for (sepconv_op op : {SEPCONV_SEPARABLE, SEPCONV_DEPTHWISE, SEPCONV_POINTWISE})
      for (int32_t dtype : {SEPCONV_FLOAT32, SEPCONV_FLOAT16}) {
        sepconv_spec spec = spec_of(op, p.shape, op == SEPCONV_DEPTHWISE ? 0 : p.filters);
        spec.dtype = dtype;
        spec.padding = SEPCONV_SAME;
        const exact_case c(spec, 3);
        const quad out = output_shape(spec);
        spec.layout = SEPCONV_STRIDED;
        std::copy(p.from.begin(), p.from.end(), spec.input_strides);
        std::copy(p.to.begin(), p.to.end(), spec.output_strides);
        for_each_element(p.shape, p.from, [&](int64_t i, int64_t at) {
          put(input.get(), dtype, at, c.t.input[static_cast<std::size_t>(i)]);
        });
        for (const std::string& isa : isas()) {
          spec.isa = isa.c_str();
          std::vector<int64_t> outputs;
          for_each_element(out, p.to, [&](int64_t, int64_t at) {
            put(output.get(), dtype, at, -1e4);
            outputs.push_back(at);
          });
          const std::vector<double> got = run_in(input, output, spec, c.t, outputs);
          EXPECT_TRUE(same(got, c.expected)) << describe(spec) << ": " << difference(got, c.expected);
        }
      }
}
