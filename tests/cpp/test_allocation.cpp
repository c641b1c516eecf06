// The n-th allocation fails, for each n until none does: a clean status, nothing leaked, and the library works afterwards. The linker
// sends the allocation functions that the library and this file call through here (`-Wl,--wrap` in CMakeLists.txt).
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/memory.hpp"
#include "vjp.hpp"

extern "C" {
void* __real_malloc(std::size_t size);
void __real_free(void* p);
void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
void* __real_mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset);
}

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> calls{0}, fails_at{0}, live{0};  // `live` counts what malloc, aligned_alloc and new gave and did not get back

bool fails() { return counting && ++calls == fails_at; }

}  // namespace

extern "C" {

void* __wrap_malloc(std::size_t size) {
  if (fails()) return nullptr;
  void* p = __real_malloc(size);
  live += p != nullptr;
  return p;
}

void __wrap_free(void* p) {
  live -= p != nullptr;
  __real_free(p);
}

void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  if (fails()) return nullptr;
  void* p = __real_aligned_alloc(alignment, size);
  live += p != nullptr;
  return p;
}

void* __wrap_mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) {
  return fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, file, offset);
}

}  // extern "C"

void* operator new(std::size_t size) {
  if (void* p = __wrap_malloc(size ? size : 1)) return p;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* p) noexcept { __wrap_free(p); }
void operator delete[](void* p) noexcept { __wrap_free(p); }
void operator delete(void* p, std::size_t) noexcept { __wrap_free(p); }
void operator delete[](void* p, std::size_t) noexcept { __wrap_free(p); }

using namespace test;

namespace {

// Calls `attempt` with the first, second, ... allocation failing, until it succeeds; what it made is then undone by `undo`.
// Returns how many allocations a success takes.
template <class Attempt, class Undo>
int64_t until_success(Attempt&& attempt, Undo&& undo) {
  for (int64_t n = 1; n < 1000; ++n) {
    const int64_t before = live;
    calls = 0;
    fails_at = n;
    counting = true;
    const sepconv_status status = attempt();
    counting = false;
    const int64_t made = calls;
    if (status == SEPCONV_OK) {
      EXPECT_LT(made, n) << "succeeded in spite of a failure";
      undo();
      EXPECT_EQ(live, before) << "leaked by success";
      return n - 1;
    }
    EXPECT_EQ(status, SEPCONV_OUT_OF_MEMORY) << sepconv_last_error() << ", allocation " << n;
    EXPECT_EQ(live, before) << "leaked by failure of allocation " << n;
  }
  ADD_FAILURE() << "never succeeded";
  return 0;
}

// Long enough messages that they do not fit into a string itself.
void warm_up_last_error() {
  sepconv_plan* plan;
  sepconv_spec spec = sepconv::make_spec();
  spec.input_shape[3] = 1;
  spec.isa = "an instruction set with a very long name, which the message repeats, so that its string has room for every other one";
  sepconv_plan_create(&spec, &plan);
}

// Sizes that pack into the heap and into mapped memory.
const sepconv_spec small = spec_of(SEPCONV_SEPARABLE, {1, 6, 7, 19}, 21);
const sepconv_spec large = spec_of(SEPCONV_SEPARABLE, {1, 6, 7, 400}, 700);

}  // namespace

// First in this file: in a process that has not used the pool, either.
TEST(allocation, memory_of_the_pool) {
  for (std::size_t size : {std::size_t{1000}, sepconv::pool_smallest + (std::size_t{7} << 20)}) {
    void* p = nullptr;
    const auto attempt = [&] {
      p = sepconv_alloc(size);
      return p ? SEPCONV_OK : SEPCONV_OUT_OF_MEMORY;
    };
    EXPECT_EQ(until_success(attempt, [&] { sepconv_free(p); }), 1);
  }
}

TEST(allocation, the_wrappers_see_the_library) {
  calls = 0;
  fails_at = 0;
  counting = true;
  void* p = sepconv_alloc(100);
  void* q = sepconv_alloc(sepconv::pool_smallest);
  counting = false;
  EXPECT_EQ(calls, 2);
  sepconv_free(p);
  sepconv_free(q);
}

TEST(allocation, plan_create) {
  warm_up_last_error();
  for (const sepconv_spec& spec : {small, large}) {
    sepconv_plan* plan = nullptr;
    EXPECT_GE(until_success([&] { return sepconv_plan_create(&spec, &plan); }, [&] { sepconv_plan_destroy(plan); }), 1);
  }
}

TEST(allocation, refusals_too) {
  warm_up_last_error();
  sepconv_spec spec = small;
  spec.isa = "no such instruction set";
  bool refused = false;
  for (int64_t n = 1; n < 100 && !refused; ++n) {
    sepconv_plan* plan = nullptr;
    const int64_t before = live;
    calls = 0;
    fails_at = n;
    counting = true;
    const sepconv_status status = sepconv_plan_create(&spec, &plan);
    counting = false;
    refused = calls < n;
    EXPECT_EQ(live, before);
    // Running out while wording the refusal may show as either.
    EXPECT_TRUE(status == SEPCONV_UNSUPPORTED || (!refused && status == SEPCONV_OUT_OF_MEMORY)) << status;
    EXPECT_EQ(plan, nullptr);
  }
  EXPECT_TRUE(refused);
}

TEST(allocation, pack_create) {
  warm_up_last_error();
  for (const sepconv_spec& spec : {small, large}) {
    const sepconv::plan plan(spec);
    const tensors t = make_tensors(spec, kind::integers, 3);
    const weight_arrays weights(t, SEPCONV_FLOAT32, flush::back);
    sepconv_pack* pack = nullptr;
    EXPECT_GE(until_success([&] { return sepconv_pack_create(plan.get(), &weights.view, &pack); },
                            [&] { sepconv_pack_destroy(pack); }),
              1);
    const exact_case c(spec, 4);  // still right
    EXPECT_TRUE(same(run(spec, c.t), c.expected));
  }
}

TEST(allocation, reference) {
  warm_up_last_error();
  const exact_case c(small, 4);
  const weight_arrays weights(c.t, SEPCONV_FLOAT64, flush::back);
  std::vector<double> out(c.expected.size());
  EXPECT_GE(until_success([&] { return sepconv_reference(&small, &weights.view, c.t.input.data(), out.data()); }, [] {}), 1);
  EXPECT_TRUE(same(out, c.expected));
}

// Every layout, role and type, activations that pass over tiles, several threads.
TEST(allocation, run_allocates_nothing) {
  // Starting threads allocates where each region starts its own.
  const bool starts_threads = std::string(sepconv::system_info().threading) == "threads";
  for (const std::string& isa : isas())
    for (int32_t dtype : dtypes)
      for (int32_t layout : {SEPCONV_CHANNELS_LAST, SEPCONV_CHANNELS_FIRST})
        for (int32_t op = 0; op < 3; ++op)
          for (int32_t threads : {1, 4}) {
            if (threads > 1 && starts_threads) continue;
            sepconv_spec spec = spec_of(static_cast<sepconv_op>(op), {1, 20, 20, 33}, 70);
            spec.isa = isa.c_str();
            spec.dtype = dtype;
            spec.layout = layout;
            spec.num_threads = threads;
            spec.activation.kind = SEPCONV_SILU;
            const sepconv::plan plan(spec);
            const tensors t = make_tensors(spec, kind::normal, 3);
            const weight_arrays weights(t, sum_dtype(dtype), flush::back);
            const sepconv::pack pack = plan.make_pack(weights.view);
            const quad in = {1, 20, 20, 33}, out = output_shape(spec);
            strided_array input(in, contiguous_strides(in, layout), dtype, flush::back);
            strided_array output(out, contiguous_strides(out, layout), dtype, flush::back);
            input.set(t.input);
            guarded workspace(plan.workspace_size(), flush::back);
            calls = 0;
            fails_at = 0;
            counting = true;
            sepconv_status status = SEPCONV_OK;
            for (int i = 0; i < 3 && status == SEPCONV_OK; ++i)
              status = sepconv_run(plan.get(), pack.get(), input.origin(), output.origin(), workspace.get());
            counting = false;
            EXPECT_EQ(status, SEPCONV_OK);
            EXPECT_EQ(calls, 0) << describe(spec);
          }
}

TEST(allocation, vjp_create) {
  warm_up_last_error();
  for (const sepconv_spec& spec : {small, large}) {
    sepconv_vjp* vjp = nullptr;
    EXPECT_GE(until_success([&] { return sepconv_vjp_create(&spec, 31, nullptr, &vjp); }, [&] { sepconv_vjp_destroy(vjp); }), 1);
  }
}

TEST(allocation, vjp_run_allocates_nothing) {
  const bool starts_threads = std::string(sepconv::system_info().threading) == "threads";
  for (int32_t dtype : dtypes)
    for (int32_t op = 0; op < 3; ++op)
      for (int32_t threads : {1, 4}) {
        if (threads > 1 && starts_threads) continue;
        sepconv_spec spec = spec_of(static_cast<sepconv_op>(op), {2, 20, 20, 33}, op == SEPCONV_DEPTHWISE ? 0 : 20);
        spec.dtype = dtype;
        spec.stride[0] = 2;
        spec.num_threads = threads;
        spec.activation.kind = SEPCONV_SILU;
        const int32_t wanted = every_gradient(op);
        const sepconv::vjp vjp(spec, wanted);
        const tensors t = make_tensors(spec, kind::integers, 3);
        const weight_arrays weights(t, sum_dtype(dtype), flush::back);
        const std::size_t most = 2 * 20 * 20 * 33 * 8;
        sepconv::buffer input(most), output(most), up(most), to_input(most), workspace(vjp.workspace_size());
        for (const sepconv::buffer* b : {&input, &output, &up}) std::memset(b->get(), 0, most);
        std::vector<sepconv::buffer> places;
        for (int i = 0; i < 4; ++i) places.emplace_back(most);
        sepconv_gradients to = sepconv::make_gradients();
        void** const pointers[] = {&to.depthwise_kernel, &to.depthwise_bias, &to.pointwise_kernel, &to.bias};
        to.input = to_input.get();
        for (std::size_t i = 0; i < 4; ++i) *pointers[i] = wanted >> (i + 1) & 1 ? places[i].get() : nullptr;
        const auto run = [&] {
          return sepconv_vjp_run(vjp.get(), &weights.view, input.get(), output.get(), up.get(), &to, workspace.get());
        };
        ASSERT_EQ(run(), SEPCONV_OK) << sepconv_last_error();  // the pool of threads starts
        calls = 0;
        fails_at = 0;
        counting = true;
        const sepconv_status status = run();
        counting = false;
        EXPECT_EQ(status, SEPCONV_OK);
        EXPECT_EQ(calls, 0) << describe(spec);
      }
}
