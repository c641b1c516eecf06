// Sums over pixels: every tail against one chain a sum, to the bit.
#include "kernel_support.hpp"

using namespace test;

TEST(reduce, outer_products_of_every_tail) {
  for_each_sum_type([](const kernel_set& k, auto zero) {
    using T = decltype(zero);
    constexpr int64_t block = block_channels<T>;
    generator r(3);
    for (int64_t columns = 1; columns <= 4 * block + 1; ++columns) {
      const int64_t rows = 1 + columns % (2 * block), pixels = r.between(0, 20), width = 2 * block, pitch = pixels + 1;
      const int64_t blocks = (columns + block - 1) / block, line = columns + 3;
      const flush side = columns % 2 ? flush::front : flush::back;
      guarded a(bytes_of(pixels * width, sizeof(T)), side), b(bytes_of(blocks * pitch * block, sizeof(T)), side);
      guarded y(bytes_of((rows - 1) * line + columns, sizeof(T)), side);
      fill_normal(a, dtype_of<T>, r);
      fill_normal(b, dtype_of<T>, r);
      for (const bool add : {false, true}) {
        std::vector<T> before(y.as<T>(), y.as<T>() + y.size() / sizeof(T));
        const sepconv::outer_args args = {a.get(), width, b.get(), pitch * block, pixels, rows, columns, add, y.get(), line};
        k.outer(&args);
        ASSERT_TRUE(y.intact());
        for (int64_t i = 0; i < static_cast<int64_t>(before.size()); ++i) {
          const int64_t row = i / line, column = i % line;
          T sum = 0;
          for (int64_t p = 0; p < pixels && column < columns; ++p)
            sum = std::fma(a.as<T>()[p * width + row], b.as<T>()[(column / block * pitch + p) * block + column % block], sum);
          const T old = before[static_cast<std::size_t>(i)];
          ASSERT_TRUE(same(y.as<T>()[i], column < columns ? (add ? old + sum : sum) : old)) << rows << 'x' << columns << " at " << i;
        }
      }
    }
  });
}

TEST(reduce, sums_of_pixels) {
  for_each_sum_type([](const kernel_set& k, auto zero) {
    using T = decltype(zero);
    generator r(4);
    for (int64_t pixels = 0; pixels < 9; ++pixels) {
      const int64_t count = 3 * k.lanes, step = count + 2;
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
