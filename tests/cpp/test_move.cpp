// Copies that change layout or storage type: every length, step and type, nothing read or written beside.
#include "kernel_support.hpp"

using namespace test;

namespace {

void check_lines(const kernel_set& k, int32_t dtype, int64_t rows, int64_t count, int64_t step, flush side, generator& r) {
  const int64_t line = (count - 1) * std::abs(step) + 1, source_row = line + 2, target_row = count + 3;
  guarded x(bytes_of((rows - 1) * source_row + line, size_of(dtype)), side);
  guarded y(bytes_of((rows - 1) * target_row + count, size_of(sum_dtype(dtype))), side);
  fill_normal(x, dtype, r);
  const int64_t start = step < 0 ? line - 1 : 0;
  k.copy_lines(x.as<char>() + start * static_cast<int64_t>(size_of(dtype)), source_row, step, rows, count, y.get(), target_row);
  ASSERT_TRUE(y.intact());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < count; ++i)
      ASSERT_EQ(get(y.get(), sum_dtype(dtype), row * target_row + i), get(x.get(), dtype, row * source_row + start + i * step))
          << i << " of " << count << ", step " << step << ", row " << row;
}

struct tile {
  int64_t rows, columns, source_row, target_row, target_column;
};

void check_tile(sepconv::store_tile_fn store, int32_t from, int32_t to, const tile& t, flush side, generator& r) {
  guarded x(bytes_of((t.rows - 1) * t.source_row + t.columns, size_of(from)), side);
  const int64_t reach = (t.rows - 1) * t.target_row + (t.columns - 1) * t.target_column + 1;
  guarded y(bytes_of(reach, size_of(to)), side);
  fill_normal(x, from, r);
  store(x.get(), t.source_row, t.rows, t.columns, y.get(), t.target_row, t.target_column);
  ASSERT_TRUE(y.intact());
  std::vector<bool> written(static_cast<std::size_t>(reach));
  for (int64_t row = 0; row < t.rows; ++row)
    for (int64_t column = 0; column < t.columns; ++column) {
      const int64_t at = row * t.target_row + column * t.target_column;
      written[static_cast<std::size_t>(at)] = true;
      ASSERT_EQ(get(y.get(), to, at), round_to(to, get(x.get(), from, row * t.source_row + column)))
          << "row " << row << " of " << t.rows << ", column " << column << " of " << t.columns;
    }
  for (std::size_t i = 0; i < written.size() * size_of(to); ++i)
    ASSERT_TRUE(written[i / size_of(to)] || y.as<unsigned char>()[i] == guarded::pattern) << "wrote between rows";
}

void sweep(sepconv::store_tile_fn store, int32_t from, int32_t to, int64_t lanes) {
  generator r(37);
  for (int64_t rows : {1, 2, 5, 14, 16, 17})
    for (int64_t columns = 1; columns <= 3 * lanes + 1 && columns <= 50; ++columns) {
      const int64_t gap = r.between(0, 3);
      const tile across = {rows, columns, columns + gap, columns + r.between(0, 3), 1};
      const tile down = {rows, columns, columns + gap, 1, rows + r.between(0, 3)};  // transposed
      const tile planes = {rows, columns, columns + gap, 1, rows + 64};
      const tile apart = {rows, columns, columns + gap, columns * 2 + r.between(0, 3), 2};
      for (const tile& t : {across, down, planes, apart}) check_tile(store, from, to, t, columns % 2 ? flush::back : flush::front, r);
      if (testing::Test::HasFailure()) return;
    }
}

}  // namespace

TEST(move, copy_lines) {
  for_each_set([](const kernel_set& k, int32_t dtype) {
    generator r(31);
    for (int64_t count = 1; count <= 4 * k.lanes + 1; ++count)
      for (int64_t step : {1, 2, 3, 7, 0, -1, -2}) {
        check_lines(k, dtype, 1 + count % 3, count, step, count % 2 ? flush::back : flush::front, r);
        if (testing::Test::HasFailure()) return;
      }
  });
}

TEST(move, store_tile) {
  for_each_set([](const kernel_set& k, int32_t dtype) { sweep(k.store_tile, sum_dtype(dtype), dtype, k.lanes); });
}

TEST(move, move_tile) {
  for_each_set([](const kernel_set& k, int32_t dtype) { sweep(k.move_tile, sum_dtype(dtype), sum_dtype(dtype), k.lanes); });
}

TEST(move, nothing_for_empty_tiles) {
  for_each_set([](const kernel_set& k, int32_t) {
    k.copy_lines(nullptr, 0, 1, 1, 0, nullptr, 0);
    k.copy_lines(nullptr, 0, 2, 1, 0, nullptr, 0);
    k.copy_lines(nullptr, 0, 1, 0, 5, nullptr, 0);
    k.store_tile(nullptr, 0, 0, 5, nullptr, 0, 1);
    k.store_tile(nullptr, 0, 5, 0, nullptr, 0, 1);
    k.move_tile(nullptr, 0, 5, 0, nullptr, 0, 3);
  });
}
