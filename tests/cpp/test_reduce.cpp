// Sums over pixels: every tail against one chain a sum, to the bit.
#include "kernel_support.hpp"

using namespace test;

TEST(reduce, outer_products_of_every_tail) {
  for_each_sum_type([](const kernel_set& k, auto zero) {
    using T = decltype(zero);
    constexpr int64_t block = block_channels<T>;
    generator r(3);
    for (int64_t columns = 1; columns <= 4 * block + 1; ++columns) {
      const int64_t rows = 1 + columns % (2 * block), pixels = r.between(0, 20), pitch = pixels + 1, line = columns + 3;
      const int64_t row_blocks = 2, blocks = (columns + block - 1) / block;
      const bool swapped = columns % 3 == 0;  // pixels outside blocks
      const flush side = columns % 2 ? flush::front : flush::back;
      guarded a(bytes_of(row_blocks * pitch * block, sizeof(T)), side), b(bytes_of(blocks * pitch * block, sizeof(T)), side);
      const auto in_blocks = [&](const guarded& x) { return sepconv::blocked_pixels{x.get(), pitch * block, block}; };
      const auto in_pixels = [&](const guarded& x, int64_t all) { return sepconv::blocked_pixels{x.get(), block, all * block}; };
      const sepconv::blocked_pixels of_rows = swapped ? in_blocks(a) : in_pixels(a, row_blocks);
      const sepconv::blocked_pixels of_columns = swapped ? in_pixels(b, blocks) : in_blocks(b);
      const auto value = [&](const sepconv::blocked_pixels& x, int64_t p, int64_t i) {
        return static_cast<const T*>(x.data)[i / block * x.block + p * x.pixel + i % block];
      };
      guarded y(bytes_of((rows - 1) * line + columns, sizeof(T)), side);
      fill_normal(a, dtype_of<T>, r);
      fill_normal(b, dtype_of<T>, r);
      for (const bool add : {false, true}) {
        std::vector<T> before(y.as<T>(), y.as<T>() + y.size() / sizeof(T));
        const sepconv::outer_args args = {of_rows, of_columns, pixels, rows, columns, add, y.get(), line};
        k.outer(&args);
        ASSERT_TRUE(y.intact());
        for (int64_t i = 0; i < static_cast<int64_t>(before.size()); ++i) {
          const int64_t row = i / line, column = i % line;
          T sum = 0;
          for (int64_t p = 0; p < pixels && column < columns; ++p)
            sum = std::fma(value(of_rows, p, row), value(of_columns, p, column), sum);
          const T old = before[static_cast<std::size_t>(i)];
          ASSERT_TRUE(same(y.as<T>()[i], column < columns ? (add ? old + sum : sum) : old)) << rows << 'x' << columns << " at " << i;
        }
      }
    }
  });
}

TEST(reduce, masks_of_every_tail_with_bounds_and_without) {
  for_each_set([](const kernel_set& k, int32_t dtype) {
    const auto check = [&](auto zero) {
      using T = decltype(zero);
      constexpr int64_t block = block_channels<T>;
      generator r(6);
      for (int64_t channels = 1; channels <= 8 * block + 1; ++channels) {
        const int64_t pixels = channels % 5, step = channels + channels % 3, blocks = (channels + block - 1) / block;
        const bool interleaved = channels % 2, bounded = channels % 4 < 2;
        const double hi = channels % 3 ? 0.5 : static_cast<double>(NAN);
        const int64_t output_pixel = interleaved ? blocks * block : block, output_block = interleaved ? block : (pixels + 1) * block;
        const int64_t outputs = pixels ? (pixels - 1) * output_pixel + (blocks - 1) * output_block + block : 0;
        const std::size_t size = bytes_of(pixels ? (pixels - 1) * step + channels : 0, size_of(dtype));
        guarded d(size, flush::back), of(size, flush::front), y(bytes_of(outputs, sizeof(T)), flush::back);
        guarded sums(bytes_of(blocks * block, sizeof(T)), flush::front);
        fill_normal(d, dtype, r);
        fill_normal(of, dtype, r);
        for (int64_t c = 0; c < blocks * block; ++c) sums.as<T>()[c] = static_cast<T>(c);
        std::fill_n(y.as<T>(), outputs, T(7));
        const sepconv::mask_args a = {d.get(), bounded ? of.get() : nullptr, step, pixels, channels, -0.25, hi, y.get(), output_block,
                                      output_pixel, sums.get()};
        k.mask(&a);
        ASSERT_TRUE(y.intact() && sums.intact());
        for (int64_t c = 0; c < blocks * block; ++c) {
          T sum = static_cast<T>(c);
          for (int64_t p = 0; p < pixels; ++p) {
            const double x = c < channels ? get(of.get(), dtype, p * step + c) : 0;
            const bool passes = c < channels && (!bounded || (x > -0.25 && !(x >= hi)));
            const T wanted = passes ? static_cast<T>(get(d.get(), dtype, p * step + c)) : T(0);
            sum += wanted;
            ASSERT_EQ(y.as<T>()[p * output_pixel + c / block * output_block + c % block], wanted) << channels << " at " << p << ',' << c;
          }
          ASSERT_EQ(sums.as<T>()[c], sum) << channels << " at " << c;
        }
      }
    };
    if (dtype == SEPCONV_FLOAT64)
      check(double{});
    else
      check(float{});
  });
}

TEST(reduce, sums_of_pixels) {
  for_each_sum_type([](const kernel_set& k, auto zero) {
    using T = decltype(zero);
    generator r(4);
    for (int64_t pixels = 0; pixels < 9; ++pixels) {
      const int64_t count = (1 + pixels) * k.lanes, step = count + 2;
      guarded x(bytes_of(std::max<int64_t>(pixels * step - 2, 0), sizeof(T)), flush::back), y(bytes_of(count, sizeof(T)), flush::back);
      fill_normal(x, dtype_of<T>, r);
      k.sum_pixels(x.get(), step, pixels, count, y.get());
      ASSERT_TRUE(y.intact());
      for (int64_t c = 0; c < count; ++c) {
        T sum = 0;
        for (int64_t p = 0; p < pixels; ++p) sum += x.as<T>()[p * step + c];
        ASSERT_EQ(y.as<T>()[c], sum);
      }
    }
  });
}

TEST(reduce, accumulates_any_length) {
  for_each_sum_type([](const kernel_set& k, auto zero) {
    using T = decltype(zero);
    generator r(5);
    for (int64_t count = 0; count <= 3 * k.lanes + 1; ++count)
      for (const flush side : {flush::front, flush::back}) {
        guarded x(bytes_of(count, sizeof(T)), side), y(bytes_of(count, sizeof(T)), side);
        fill_normal(x, dtype_of<T>, r);
        for (int64_t i = 0; i < count; ++i) y.as<T>()[i] = static_cast<T>(i);
        k.accumulate(x.get(), count, y.get());
        ASSERT_TRUE(y.intact());
        for (int64_t i = 0; i < count; ++i) ASSERT_EQ(y.as<T>()[i], static_cast<T>(i) + x.as<T>()[i]);
      }
  });
}
