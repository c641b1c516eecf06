// The gather with lanes over pixels: one channel at a time, through phase planes. Any strides of the input will do.
#include <algorithm>
#include <cstring>

#include "op/task.hpp"
#include "plan/planes.hpp"

namespace sepconv {
namespace {

// The phase planes of a piece, in scratch. What is padding is zeroed once: every channel fills the same places.
template <class T>
class phase_planes {
 public:
  phase_planes(const task& t, const scratch& s, const piece& p)
      : t_(t), g_(t.geo()), data_(reinterpret_cast<T*>(s.planes)), offsets_(s.offsets) {
    const int64_t width = g_.output[2];
    row0_ = p.first / width;
    row1_ = (p.last - 1) / width + 1;
    column0_ = row1_ - row0_ == 1 ? p.first - row0_ * width : 0;
    column1_ = row1_ - row0_ == 1 ? p.last - row0_ * width : width;
    layout_ = make_planes(g_, row1_ - row0_, column1_ - column0_);
    const std::size_t size = static_cast<std::size_t>(layout_.elements() + 64 / static_cast<int64_t>(sizeof(T))) * sizeof(T);  // fits: checked in make_schedule
    std::memset(static_cast<void*>(data_), 0, size);
    for (int64_t i = 0; i < g_.kernel[0]; ++i)
      for (int64_t j = 0; j < g_.kernel[1]; ++j) {
        const int64_t row = layout_.shared ? i * g_.dilation[0] / g_.stride[0] : 0;
        const int64_t column = j * g_.dilation[1] / g_.stride[1];
        offsets_[i * g_.kernel[1] + j] =
            plane(i % layout_.row_planes, j % layout_.column_planes) + row * layout_.pitch + column;
      }
  }

  void fill(const char* channel) {
    const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g_.dtype));
    for (int64_t i = 0; i < layout_.row_planes; ++i) {
      const int64_t remainder = layout_.shared ? i * g_.dilation[0] % g_.stride[0] : i * g_.dilation[0];
      const span rows = inside(row0_, layout_.rows, 0, remainder);
      for (int64_t j = 0; j < layout_.column_planes; ++j) {
        const span columns = inside(column0_, layout_.pitch, 1, j * g_.dilation[1] % g_.stride[1]);
        if (columns.first == columns.last || rows.first == rows.last) continue;
        const ptrdiff_t from = (rows.start + rows.first * g_.stride[0]) * g_.input_step[1] +
                               (columns.start + columns.first * g_.stride[1]) * g_.input_step[2];
        t_.kernels().copy_lines(channel + from * element, g_.stride[0] * g_.input_step[1], g_.stride[1] * g_.input_step[2],
                                rows.last - rows.first, columns.last - columns.first,
                                data_ + plane(i, j) + rows.first * layout_.pitch + columns.first, layout_.pitch);
      }
    }
  }

  // What the filter of output pixel (row, column) reads from.
  const T* at(int64_t row, int64_t column) const { return data_ + (row - row0_) * layout_.pitch + column - column0_; }

  int64_t row0() const { return row0_; }
  int64_t row1() const { return row1_; }
  int64_t column0() const { return column0_; }
  int64_t pitch() const { return layout_.pitch; }

 private:
  struct span {
    int64_t first, last;  // of a plane's rows or columns, those inside the image
    int64_t start;        // input row or column of the plane's first
  };

  span inside(int64_t output, int64_t count, int axis, int64_t remainder) const {
    const int64_t stride = g_.stride[axis], size = g_.input[axis + 1];
    const int64_t start = output * stride + remainder - g_.pad_before[axis];
    const int64_t first = std::min(start >= 0 ? 0 : ceil_div(-start, stride), count);
    const int64_t last = std::min(size > start ? ceil_div(size - start, stride) : 0, count);
    return {first, std::max(first, last), start};
  }

  int64_t plane(int64_t i, int64_t j) const { return (i * layout_.column_planes + j) * layout_.rows * layout_.pitch; }

  const task& t_;
  const geometry& g_;
  T* data_;
  ptrdiff_t* offsets_;
  plane_layout layout_;
  int64_t row0_, row1_, column0_, column1_;
};

// Where the rows of one depthwise channel go: scratch, with all pixels next to one another, or the output.
template <class T>
struct row_target {
  T* first;        // of the piece's first pixel
  ptrdiff_t step;  // between rows
};

// The dense filter of this geometry that takes many rows at once, or null.
filter_plane_fn plane_filter(const task& t) {
  const geometry& g = t.geo();
  const bool dense = g.kernel[0] == g.kernel[1] && g.stride == pair{1, 1} && g.dilation == pair{1, 1};
  return dense && g.kernel[0] <= max_plane ? t.kernels().filter_plane[g.kernel[0]] : nullptr;
}

// One depthwise channel of a piece.
template <class T>
void filter_piece(const task& t, const scratch& s, const piece& p, const phase_planes<T>& planes, filter_plane_fn filter,
                  const filter_line_args& line, row_target<T> target) {
  const int64_t width = t.geo().output[2];
  const bool wide = !filter && t.sched().short_rows && planes.row1() - planes.row0() > 1;
  if (wide) {
    // All rows in one run, at the pitch of the planes; what lies between rows is computed for nothing and left behind.
    filter_line_args a = line;
    a.input = planes.at(planes.row0(), planes.column0());
    a.output = s.wide;
    a.count = (planes.row1() - planes.row0() - 1) * planes.pitch() + width;
    t.kernels().filter_line(&a);
  }
  for (int64_t pixel = p.first; pixel < p.last;) {  // the rest of a row, whole rows, the beginning of one
    const int64_t row = pixel / width, column = pixel - row * width;
    const int64_t count = std::min(width - column, p.last - pixel);
    const int64_t rows = count == width ? (p.last - pixel) / width : 1;
    T* to = target.first + (row - planes.row0()) * target.step + column -
            (row > planes.row0() ? p.first - planes.row0() * width : column);
    if (filter) {
      const filter_plane_args a = {planes.at(row, column), planes.pitch(), line.weights, line.bias, line.lo, line.hi, to,
                                   target.step, rows, count};
      filter(&a);
    } else if (wide) {
      t.kernels().move_tile(reinterpret_cast<const T*>(s.wide) + (row - planes.row0()) * planes.pitch() + column, planes.pitch(),
                            rows, count, to, target.step, 1);
    } else {
      filter_line_args a = line;
      a.count = count;
      for (int64_t r = 0; r < rows; ++r) {
        a.input = planes.at(row + r, column);
        a.output = to + r * target.step;
        t.kernels().filter_line(&a);
      }
    }
    pixel += rows * count;
  }
}

}  // namespace

template <class T>
void gather_pixels(const task& t, const scratch& s, const piece& p, int64_t c0, int64_t c1) {
  const geometry& g = t.geo();
  const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(g.dtype));
  const filter_plane_fn filter = plane_filter(t);
  phase_planes<T> planes(t, s, p);
  filter_line_args a = {};
  a.offsets = s.offsets;
  a.taps = g.taps;
  a.lo = t.depthwise.lo;
  a.hi = t.depthwise.hi;
  for (int64_t c = c0; c < c1; ++c) {
    planes.fill(t.input + (p.image * g.input_step[0] + c * g.input_step[3]) * element);
    for (int64_t m = 0; m < g.multiplier; ++m) {
      const int64_t k = m * g.channels() + c;
      a.weights = static_cast<const T*>(t.pack->planar) + k * g.taps;
      a.bias = static_cast<double>(static_cast<const T*>(t.pack->planar_bias)[k]);
      const int64_t plane = g.multiplies() ? k : c * g.multiplier + m;  // in the order of weights, or of the output
      row_target<T> target = {reinterpret_cast<T*>(s.rows) + plane * t.sched().pitch + p.at, g.output[2]};
      if (t.sched().direct)
        target = {reinterpret_cast<T*>(t.output) + place(g, p.image * g.image_pixels + p.first).offset +
                      (c * g.multiplier + m) * g.output_step[3],
                  g.output_step[1]};
      filter_piece<T>(t, s, p, planes, filter, a, target);
    }
  }
}

template void gather_pixels<float>(const task&, const scratch&, const piece&, int64_t, int64_t);
template void gather_pixels<double>(const task&, const scratch&, const piece&, int64_t, int64_t);

}  // namespace sepconv
