// The C interface: the only place where an exception becomes a status.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <numeric>
#include <string>

#include "op/reference.hpp"
#include "op/reference_vjp.hpp"
#include "op/softmax.hpp"
#include "op/task.hpp"
#include "op/vjp_task.hpp"
#include "pack/pack.hpp"
#include "plan/error.hpp"
#include "plan/plan.hpp"
#include "plan/vjp.hpp"
#include "runtime/cpu.hpp"
#include "runtime/float_modes.hpp"
#include "runtime/isa.hpp"
#include "runtime/memory.hpp"
#include "runtime/parallel.hpp"
#include "sepconv/sepconv.h"

using namespace sepconv;

namespace {

thread_local std::string last_error;

sepconv_status fail(sepconv_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

template <class F>
sepconv_status guarded(F&& body) noexcept {
  try {
    body();
    return SEPCONV_OK;
  } catch (const sepconv::error& e) {
    return fail(e.status(), e.what());
  } catch (const std::bad_alloc&) {
    return fail(SEPCONV_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(SEPCONV_INTERNAL_ERROR, e.what());
  } catch (...) {
    return fail(SEPCONV_INTERNAL_ERROR, "unknown exception");
  }
}

// A struct as this library knows it: what an older caller does not have is zero; what a newer one has must be zero.
template <class S>
S read(const S* given, const char* name) {
  if (!given) invalid(std::string("`") + name + "` must not be NULL. Received: NULL");
  if (given->size < sizeof(std::size_t))
    invalid(std::string("`") + name + "->size` must be sizeof(sepconv_" + name + "). Received: " + std::to_string(given->size));
  S own = {};
  std::memcpy(static_cast<void*>(&own), given, std::min(given->size, sizeof(S)));
  const char* tail = reinterpret_cast<const char*>(given);
  for (std::size_t i = sizeof(S); i < given->size; ++i)
    if (tail[i]) invalid(std::string("`") + name + "` must have zeros where this version of the library knows no field. Received: " +
                         std::to_string(tail[i]) + " at byte " + std::to_string(sizeof(S) + i));
  return own;
}

// Fills as much of a caller's struct as it has room for.
template <class S>
void write(const S& own, S* given, const char* name) {
  if (!given) invalid(std::string("`") + name + "` must not be NULL. Received: NULL");
  const std::size_t size = given->size;
  if (size < sizeof(std::size_t)) invalid(std::string("`") + name + "->size` must be set. Received: " + std::to_string(size));
  std::memcpy(static_cast<void*>(given), &own, std::min(size, sizeof(S)));
  given->size = size;
}

template <class P>
void require(P* pointer, const char* name) {
  if (!pointer) invalid(std::string("`") + name + "` must not be NULL. Received: NULL");
}

void require_aligned(const void* workspace) {
  if (const std::uintptr_t beyond = reinterpret_cast<std::uintptr_t>(workspace) % 64)
    invalid("`workspace` must be aligned to 64 bytes. Received: " + std::to_string(beyond) + " bytes beyond");
}

void require_dtype(int32_t dtype) {
  if (dtype < 0 || dtype > SEPCONV_BFLOAT16) invalid("`dtype` must be one of 0 to 3. Received: " + std::to_string(dtype));
}

void require_counts(int64_t rows, int64_t columns) {
  if (rows < 0 || columns < 0)
    invalid("`rows` and `columns` must not be negative. Received: " + std::to_string(rows) + ", " + std::to_string(columns));
}

void require_elementwise(const sepconv_activation* activation, int32_t dtype) {
  require(activation, "activation");
  require_dtype(dtype);
  if (activation->kind < 0 || activation->kind >= SEPCONV_ACTIVATION_COUNT)
    invalid("`activation` must be one of 0 to " + std::to_string(SEPCONV_ACTIVATION_COUNT - 1) +
            ". Received: " + std::to_string(activation->kind));
}

// Whether there are any values.
bool require_rows(int32_t kind, int32_t dtype, int64_t rows, int64_t columns, int32_t num_threads) {
  if (kind != SEPCONV_SOFTMAX && kind != SEPCONV_LOG_SOFTMAX)
    invalid("`kind` must be 0 (softmax) or 1 (log_softmax). Received: " + std::to_string(kind));
  require_dtype(dtype);
  require_counts(rows, columns);
  if (num_threads < 0) invalid("`num_threads` must not be negative. Received: " + std::to_string(num_threads));
  return rows > 0 && columns > 0;
}

// An array exactly where one is wanted.
void require_wanted(const void* pointer, bool wanted, const char* name) {
  if ((pointer != nullptr) != wanted)
    invalid(std::string("`") + name + "` must be " + (wanted ? "an array here" : "NULL here") + ". Received: " +
            (pointer ? "an array" : "NULL"));
}

void require_contiguous(const sepconv_weights& weights) {
  if (weights.strided) invalid("`strided` of the weights must be 0 here. Received: " + std::to_string(weights.strided));
}

}  // namespace

const char* sepconv_version(void) { return SEPCONV_VERSION; }

int32_t sepconv_abi_version(void) { return SEPCONV_ABI_VERSION; }

const char* sepconv_last_error(void) { return last_error.c_str(); }

int32_t sepconv_default_threads(void) { return default_threads(); }

sepconv_status sepconv_get_system_info(sepconv_system_info* info) {
  return guarded([&] {
    static const std::string compiled = isa_names(false), found = isa_names(true);
    sepconv_system_info own = {};
    own.version = SEPCONV_VERSION;
#if defined(__clang__)
    own.compiler = "clang " __clang_version__;
#else
    own.compiler = "gcc " __VERSION__;
#endif
    own.isa_compiled = compiled.c_str();
    own.isa_found = found.c_str();
    try {
      own.isa_active = find_isa(nullptr, false).isa;
    } catch (const sepconv::error&) {
      own.isa_active = "";
    }
    own.threading = threading_name();
    own.num_threads = default_threads();
    own.l1d_size = get_cache_sizes().l1d;
    own.l2_size = get_cache_sizes().l2;
    write(own, info, "info");
  });
}

sepconv_status sepconv_plan_create(const sepconv_spec* spec, sepconv_plan** plan) {
  return guarded([&] {
    require(plan, "plan");
    *plan = nullptr;
    *plan = new sepconv_plan(make_plan(read(spec, "spec")));
  });
}

void sepconv_plan_destroy(sepconv_plan* plan) { delete plan; }

sepconv_status sepconv_plan_get_info(const sepconv_plan* plan, sepconv_plan_info* info) {
  return guarded([&] {
    require(plan, "plan");
    const schedule& s = plan->schedule;
    sepconv_plan_info own = {};
    std::copy(plan->geometry.output.begin(), plan->geometry.output.end(), own.output_shape);
    own.isa = plan->table->isa;
    own.gather = s.gather == gather_lanes::channels ? "channels" : s.gather == gather_lanes::pixels ? "pixels" : "outputs";
    own.lanes = s.multiply == multiply_lanes::none ? "none" : s.multiply == multiply_lanes::filters ? "filters" : "pixels";
    own.split = s.threads_split == split::filters ? "filters" : "pixels";
    own.tile_pixels = s.tile_pixels;
    own.tile_count = s.tiles;
    if (plan->geometry.multiplies()) {
      own.kernel_rows = static_cast<int32_t>(s.rows);
      own.kernel_columns = static_cast<int32_t>(s.columns);
    }
    own.num_threads = s.threads;
    own.flops = flops(plan->geometry);
    own.bytes = bytes(plan->geometry);
    own.workspace_size = workspace_size(s);
    own.precision = plan->geometry.pairs ? "bfloat16" : plan->geometry.dtype == SEPCONV_FLOAT64 ? "float64" : "float32";
    write(own, info, "info");
  });
}

int64_t sepconv_plan_pack_key(const sepconv_plan* plan) { return plan ? pack_key(*plan) : -1; }

size_t sepconv_plan_workspace_size(const sepconv_plan* plan) { return plan ? workspace_size(plan->schedule) : 0; }

sepconv_status sepconv_pack_create(const sepconv_plan* plan, const sepconv_weights* weights, sepconv_pack** pack) {
  return guarded([&] {
    require(plan, "plan");
    require(pack, "pack");
    *pack = nullptr;
    *pack = make_pack(*plan, read(weights, "weights"));
  });
}

void sepconv_pack_destroy(sepconv_pack* pack) { destroy_pack(pack); }

sepconv_status sepconv_run(const sepconv_plan* plan, const sepconv_pack* pack, const void* input, void* output, void* workspace) {
  return guarded([&] {
    require(plan, "plan");
    require(pack, "pack");
    const geometry& g = plan->geometry;
    if (g.pixels > 0) {
      require(input, "input");
      require(output, "output");
      if (workspace_size(plan->schedule) > 0) require(workspace, "workspace");
    }
    require_aligned(workspace);
    if (pack->key != pack_key(*plan) || pack->channels != g.channels() || pack->multiplier != g.multiplier ||
        pack->filters != g.filters() || pack->taps != g.taps)
      invalid("`pack` was made for another plan: operator, type, precision, instruction set, lane role and channel counts must agree. Received: " +
              std::to_string(pack->channels) + " channels, " + std::to_string(pack->multiplier) + " filters of each, " +
              std::to_string(pack->taps) + " taps, " + std::to_string(pack->filters) + " filters");
    run(*plan, *pack, input, output, workspace);
  });
}

sepconv_status sepconv_activate(const sepconv_activation* activation, int32_t dtype, void* data, size_t count) {
  return guarded([&] {
    require_elementwise(activation, dtype);
    if (count == 0) return;
    require(data, "data");
    const kernel_set& k = *find_isa(nullptr).sets[dtype];
    const float_modes_guard modes;
    if (stores_sums(dtype)) return k.activate(activation->kind, activation->params, data, 0, 1, static_cast<int64_t>(count));
    constexpr std::size_t piece = 1024;
    alignas(64) float wide[piece];
    uint16_t* narrow = static_cast<uint16_t*>(data);
    for (std::size_t at = 0; at < count; at += piece) {
      const std::size_t n = std::min(piece, count - at);
      k.copy_lines(narrow + at, 0, 1, 1, static_cast<int64_t>(n), wide, 0);
      k.activate(activation->kind, activation->params, wide, 0, 1, static_cast<int64_t>(n));
      k.store_tile(wide, 0, 1, static_cast<int64_t>(n), narrow + at, 0, 1);
    }
  });
}

sepconv_status sepconv_derive(const sepconv_activation* activation, int32_t dtype, const void* kept, void* gradient, size_t count) {
  return guarded([&] {
    require_elementwise(activation, dtype);
    if (count == 0 || activation->kind == SEPCONV_LINEAR) return;
    require(kept, "kept");
    require(gradient, "gradient");
    const kernel_set& k = *find_isa(nullptr).sets[dtype];
    const float_modes_guard modes;
    if (stores_sums(dtype))
      return k.derive(activation->kind, activation->params, kept, gradient, count);
    constexpr std::size_t piece = 1024;
    alignas(64) float of[piece], wide[piece];
    const uint16_t* from = static_cast<const uint16_t*>(kept);
    uint16_t* narrow = static_cast<uint16_t*>(gradient);
    for (std::size_t at = 0; at < count; at += piece) {
      const std::size_t n = std::min(piece, count - at);
      k.copy_lines(from + at, 0, 1, 1, static_cast<int64_t>(n), of, 0);
      k.copy_lines(narrow + at, 0, 1, 1, static_cast<int64_t>(n), wide, 0);
      k.derive(activation->kind, activation->params, of, wide, n);
      k.store_tile(wide, 0, 1, static_cast<int64_t>(n), narrow + at, 0, 1);
    }
  });
}

sepconv_status sepconv_activate_rows(int32_t kind, int32_t dtype, void* data, int64_t rows, int64_t columns, int32_t num_threads) {
  return guarded([&] {
    if (!require_rows(kind, dtype, rows, columns, num_threads)) return;
    require(data, "data");
    activate_rows(kind, dtype, data, rows, columns, num_threads);
  });
}

sepconv_status sepconv_derive_rows(int32_t kind, int32_t dtype, const void* output, void* gradient, int64_t rows, int64_t columns,
                                   int32_t num_threads) {
  return guarded([&] {
    if (!require_rows(kind, dtype, rows, columns, num_threads)) return;
    require(output, "output");
    require(gradient, "gradient");
    derive_rows(kind, dtype, output, gradient, rows, columns, num_threads);
  });
}

sepconv_status sepconv_transpose(int32_t dtype, const void* source, int64_t rows, int64_t columns, void* target) {
  return guarded([&] {
    if (!stores_sums(dtype))
      invalid("`dtype` must be 0 (float32) or 1 (float64) here. Received: " + std::to_string(dtype));
    require_counts(rows, columns);
    if (rows == 0 || columns == 0) return;
    require(source, "source");
    require(target, "target");
    const kernel_set& kernels = *find_isa(nullptr).sets[dtype];
    const ptrdiff_t element = static_cast<ptrdiff_t>(element_size(static_cast<sepconv_dtype>(dtype)));
    constexpr int64_t side = 64;  // rows of a tile, which may lie a page apart: what is written of one stays near
    for (int64_t r = 0; r < rows; r += side)
      for (int64_t c = 0; c < columns; c += side)
        kernels.move_tile(static_cast<const char*>(source) + (r * columns + c) * element, columns, std::min(side, rows - r),
                          std::min(side, columns - c), static_cast<char*>(target) + (c * rows + r) * element, 1, rows);
  });
}

int32_t sepconv_activation_keeps(const sepconv_activation* activation) {
  if (!activation || activation->kind < 0 || activation->kind >= SEPCONV_ACTIVATION_COUNT) return -1;
  return static_cast<int32_t>(source_of(*activation));
}

sepconv_status sepconv_vjp_create(const sepconv_spec* spec, int32_t wanted, const int64_t* gradient_strides, sepconv_vjp** vjp) {
  return guarded([&] {
    require(vjp, "vjp");
    *vjp = nullptr;
    *vjp = new sepconv_vjp(make_vjp(read(spec, "spec"), wanted, gradient_strides));
  });
}

void sepconv_vjp_destroy(sepconv_vjp* vjp) { delete vjp; }

size_t sepconv_vjp_workspace_size(const sepconv_vjp* vjp) { return vjp ? vjp->workspace_size : 0; }

sepconv_status sepconv_vjp_run(const sepconv_vjp* vjp, const sepconv_weights* weights, const void* input, const void* kept,
                               const void* output_gradient, const sepconv_gradients* gradients, void* workspace) {
  return guarded([&] {
    require(vjp, "vjp");
    const geometry& g = vjp->geometry;
    const sepconv_weights w = with_strides(read(weights, "weights"), g);
    const sepconv_gradients to = read(gradients, "gradients");
    const sepconv_dtype sums = sum_dtype(g.dtype);
    if (w.dtype != sums)
      invalid("`dtype` of the weights must be that of sums, " + std::to_string(sums) + ". Received: " + std::to_string(w.dtype));
    require_wanted(w.depthwise_kernel, g.op != SEPCONV_POINTWISE, "depthwise_kernel");
    require_wanted(w.pointwise_kernel, g.op != SEPCONV_DEPTHWISE, "pointwise_kernel");
    if (w.depthwise_bias) require_wanted(w.depthwise_bias, g.op == SEPCONV_SEPARABLE, "depthwise_bias");
    const auto wants = [&](int32_t what) { return vjp->wants(what); };
    if (g.pixels > 0) {
      require_wanted(to.input, wants(SEPCONV_GRADIENT_INPUT), "gradients->input");
      require(input, "input");
      require(output_gradient, "output_gradient");
      if (vjp->last != derivative_source::none) require(kept, "kept");
      require(workspace, "workspace");
    }
    require_wanted(to.depthwise_kernel, wants(SEPCONV_GRADIENT_DEPTHWISE_KERNEL), "gradients->depthwise_kernel");
    require_wanted(to.depthwise_bias, wants(SEPCONV_GRADIENT_DEPTHWISE_BIAS), "gradients->depthwise_bias");
    require_wanted(to.pointwise_kernel, wants(SEPCONV_GRADIENT_POINTWISE_KERNEL), "gradients->pointwise_kernel");
    require_wanted(to.bias, wants(SEPCONV_GRADIENT_BIAS), "gradients->bias");
    require_aligned(workspace);
    run_vjp({vjp, &w, static_cast<const char*>(input), static_cast<const char*>(kept), static_cast<const char*>(output_gradient), to,
             static_cast<char*>(workspace)});
  });
}

sepconv_status sepconv_reference_vjp(const sepconv_spec* spec, const sepconv_weights* weights, const double* input,
                                     const double* output_gradient, const sepconv_gradients* gradients) {
  return guarded([&] {
    const geometry g = make_geometry(read(spec, "spec"));
    const sepconv_weights w = read(weights, "weights");
    require_contiguous(w);
    const sepconv_gradients to = read(gradients, "gradients");
    if (g.op != SEPCONV_POINTWISE) require(w.depthwise_kernel, "depthwise_kernel");
    if (g.op != SEPCONV_DEPTHWISE) require(w.pointwise_kernel, "pointwise_kernel");
    if (g.pixels > 0) {
      require(input, "input");
      require(output_gradient, "output_gradient");
    }
    reference_vjp(g, w, input, output_gradient, to);
  });
}

sepconv_status sepconv_reference(const sepconv_spec* spec, const sepconv_weights* weights, const double* input, double* output) {
  return guarded([&] {
    const geometry g = make_geometry(read(spec, "spec"));
    const sepconv_weights w = read(weights, "weights");
    require_contiguous(w);
    if (g.pixels == 0) return;
    require(input, "input");
    require(output, "output");
    if (g.op != SEPCONV_POINTWISE) require(w.depthwise_kernel, "depthwise_kernel");
    if (g.op != SEPCONV_DEPTHWISE) require(w.pointwise_kernel, "pointwise_kernel");
    reference(g, w, input, output);
  });
}

void* sepconv_alloc(size_t size) { return pool_alloc(size); }

void sepconv_free(void* pointer) { pool_free(pointer); }

sepconv_status sepconv_measure_fma_peak(int32_t num_threads, double* flops_per_second) {
  return guarded([&] {
    require(flops_per_second, "flops_per_second");
    if (num_threads < 1) invalid("`num_threads` must be at least 1. Received: " + std::to_string(num_threads));
    const fma_loop_fn loop = find_isa(nullptr).fma_loop;
    using clock = std::chrono::steady_clock;
    // The best rate of each thread, by its own clock: on a busy machine a region waits for a thread that others keep from running.
    double best[256] = {};
    const int32_t threads = std::min<int32_t>(num_threads, 256);
    int64_t rounds = 100000;
    for (int repeat = 0; repeat < 8; ++repeat) {
      const auto start = clock::now();
      parallel_for(threads, threads, [&](int64_t i, int32_t) {
        const auto begin = clock::now();
        const double done = loop(rounds);
        best[i] = std::max(best[i], 2 * done / std::chrono::duration<double>(clock::now() - begin).count());
      });
      if (std::chrono::duration<double>(clock::now() - start).count() < 4e-3) rounds *= 2;
    }
    *flops_per_second = std::accumulate(best, best + threads, 0.0);
  });
}
