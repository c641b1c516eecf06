"""Ways to break the library, each a text that is replaced by another, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`old` stands exactly once in `file`. `tests` are files of tests/python (with .py) or programs of tests/cpp, quickest first."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]


FAULTS = [
    # Kernels.
    Fault(
        "lane_off_by_one",
        "csrc/src/kernels/filter_channels.hpp",
        "Body::template run<false, V>(x, taps",
        "Body::template run<false, V>(x - 1, taps",
        ["test_filter_channels"],
    ),
    Fault(
        "pixels_beside_the_image",
        "csrc/src/kernels/filter_channels.hpp",
        "run = 1, look();",
        "look();",
        ["test_filter_channels"],
    ),
    Fault(
        "lost_tail",
        "csrc/src/kernels/filter_line.hpp",
        "for (; at < g.count; at += lanes<T>)",
        "for (; at + lanes<T> <= g.count; at += lanes<T>)",
        ["test_filter_line"],
    ),
    Fault(
        "last_vector_late",
        "csrc/src/kernels/move.hpp",
        "const int64_t last = count - all;",
        "const int64_t last = count / all * all - all;",
        ["test_move"],
    ),
    Fault(
        "even_before_odd",
        "csrc/src/kernels/pair_rows.hpp",
        "store(static_cast<float*>(target) + i * block + at, as_bfloat(shuffle<float, neighbours>(value, value)))",
        "store(static_cast<float*>(target) + i * block + at, as_bfloat(value))",
        ["test_pair_rows"],
    ),
    Fault(
        "reads_beyond_the_array",
        "csrc/src/kernels/filter_channels.hpp",
        "static_cast<const T*>(g.input) - reach;",
        "static_cast<const T*>(g.input) - reach + 1;",
        ["test_filter_channels"],
    ),
    Fault(
        "ragged_column_lost",
        "csrc/src/kernels/multiply.hpp",
        "store_some(to, load(last), n);",
        "store_some(to, load(last), n - 1);",
        ["test_multiply"],
    ),
    Fault(
        "odd_step_lost",
        "csrc/src/kernels/multiply.hpp",
        "steps >= together; steps -= together",
        "steps > 0; steps -= together",
        ["test_multiply"],
    ),
    Fault(
        "groups_over_one_another",
        "csrc/src/kernels/multiply.hpp",
        "first += Rows * output_row;",
        "",
        ["test_multiply", "test_run"],
    ),
    Fault(
        "biases_of_the_first_panel",
        "csrc/src/kernels/multiply.hpp",
        "if (BiasOfColumn) bias += Vectors * lanes<T>;",
        "",
        ["test_multiply", "test_run"],
    ),
    Fault(
        "pixels_of_the_first_panel",
        "csrc/src/kernels/multiply.hpp",
        "static_cast<const E*>(g.lanes) + panel * Vectors * lanes<T>",
        "static_cast<const E*>(g.lanes)",
        ["test_multiply", "test_run"],
    ),
    Fault(
        "uneven_panels",
        "csrc/src/op/multiply.cpp",
        "panel * t.kernels().pixels_rows * plan.steps",
        "panel * plan.rows * plan.steps",
        ["test_run"],
    ),
    Fault(
        "wrong_block_step",
        "csrc/src/kernels/multiply.hpp",
        "steps = g.last_block;",
        "",
        ["test_multiply"],
    ),
    Fault(
        "bfloat_ties_away",
        "csrc/src/simd/convert.hpp",
        "(u >> 16 & 1u) + 0x7fffu",
        "(u & 0u) + 0x8000u",
        ["test_simd", "test_move"],
    ),
    Fault(
        "relu_loses_nan",
        "csrc/src/simd/limits.hpp",
        "vec<float> at_least(vec<float> x, vec<float> limit) { return select<float>(limit > x, limit, x); }",
        "vec<float> at_least(vec<float> x, vec<float> limit) { return select<float>(x > limit, x, limit); }",
        ["test_simd", "test_nonfinite"],
    ),
    Fault(
        "phases_of_one_length",
        "csrc/src/kernels/filter_channels.hpp",
        "const int64_t size = whole + (phase < longer);",
        "const int64_t size = whole;",
        ["test_filter_channels", "test_run"],
    ),
    # Operators.
    Fault(
        "swapped_stride",
        "csrc/src/op/gather.cpp",
        "t.stride_height = g.stride[0];",
        "t.stride_height = g.stride[1];",
        ["test_separable_conv.py"],
    ),
    Fault(
        "wrong_phase",
        "csrc/src/op/gather_pixels.cpp",
        "const int64_t column = j * g_.dilation[1] / g_.stride[1];",
        "const int64_t column = j * g_.dilation[1] / g_.stride[0];",
        ["test_separable_conv.py"],
    ),
    Fault(
        "turned_multipliers_side_by_side",
        "csrc/src/op/gather_channels.cpp",
        "g.multiplies() ? 1 : g.multiplier;  // planes",
        "1;  // planes",
        ["test_depthwise_conv.py"],
    ),
    Fault(
        "strided_pixels_read_evenly",
        "csrc/src/plan/schedule.cpp",
        "const bool all = g.output[1] == g.input[1] && g.output[2] == g.input[2];",
        "const bool all = true;",
        ["test_ops.py"],
    ),
    Fault(
        "rows_joined_always",
        "csrc/src/op/gather.cpp",
        "g.output[1] == 1 || g.output_step[1] == g.output[2] * g.output_step[2]",
        "g.output[1] >= 1",
        ["test_separable_conv.py"],
    ),
    Fault(
        "wrong_activation",
        "csrc/src/op/run.cpp",
        "case SEPCONV_RELU6: return {0, 6, false};",
        "case SEPCONV_RELU6: return {0, infinity, false};",
        ["test_run", "test_activations.py"],
    ),
    Fault(
        "last_tile_lost",
        "csrc/src/op/run.cpp",
        "parallel_for(t.sched().tiles, t.sched().threads",
        "parallel_for(t.sched().tiles > 1 ? t.sched().tiles - 1 : 1, t.sched().threads",
        ["test_run"],
    ),
    Fault(
        "odd_channel_beside_rubbish",
        "csrc/src/kernels/pair_rows.hpp",
        "if (channels < block) value = first(value, channels - at);",
        "if (channels + 1 < block) value = first(value, channels + 1 - at);",
        ["test_pair_rows"],
    ),
    # Gradients.
    Fault(
        "rows_of_the_next_block",
        "csrc/src/kernels/reduce.hpp",
        "r / block_channels<T> * g.rows.block + r % block_channels<T>",
        "r",
        ["test_reduce"],
    ),
    Fault(
        "turned_the_wrong_way",
        "csrc/src/op/vjp_group.cpp",
        "a.output_row = g_.depth;",
        "a.output_row = g_.filters();",
        ["test_vjp"],
    ),
    Fault(
        "kink_has_a_slope",
        "csrc/src/kernels/reduce.hpp",
        "select<T>((x > lo) & ~(x >= hi), value, vec<T>{})",
        "select<T>((x >= lo) & ~(x >= hi), value, vec<T>{})",
        ["test_reduce", "test_golden.py"],
    ),
    Fault(
        "gradient_of_other_stride",
        "csrc/src/kernels/filter_gradient.hpp",
        "g.stride = a.stride_width;",
        "g.stride = a.stride_height;",
        ["test_filter_gradient", "test_golden.py"],
    ),
    Fault(
        "readers_above_forgotten",
        "csrc/src/plan/vjp.cpp",
        "out.needed = {std::min(r.first, out.own.first), std::max(r.last, out.own.last)};",
        "out.needed = {out.own.first, std::max(r.last, out.own.last)};",
        ["test_vjp"],
    ),
    Fault(
        "halo_counts_twice",
        "csrc/src/op/vjp_group.cpp",
        "if (!own || !v_.wants(SEPCONV_GRADIENT_BIAS)) return;",
        "if (!v_.wants(SEPCONV_GRADIENT_BIAS)) return;",
        ["test_vjp"],
    ),
    Fault(
        "second_slab_forgets",
        "csrc/src/op/vjp_group.cpp",
        "pointwise_gradient(m, from, to, started_ || i > 0);",
        "pointwise_gradient(m, from, to, i > 0);",
        ["test_vjp"],
    ),
    Fault(
        "last_part_lost",
        "csrc/src/op/vjp.cpp",
        "for (int64_t part = 1; part < v.parts; ++part)",
        "for (int64_t part = 1; part + 1 < v.parts; ++part)",
        ["test_vjp"],
    ),
    Fault(
        "last_chunk_lost",
        "csrc/src/op/vjp.cpp",
        "for (int64_t i = 1; i < v.mask_chunks; ++i)",
        "for (int64_t i = 1; i + 1 < v.mask_chunks; ++i)",
        ["test_vjp"],
    ),
    # Plans and packs.
    Fault(
        "same_pads_the_top",
        "csrc/src/plan/geometry.cpp",
        "covered > size ? (covered - size) / 2 : 0",
        "covered > size ? (covered - size + 1) / 2 : 0",
        ["test_geometry"],
    ),
    Fault(
        "unchecked_product",
        "csrc/src/plan/checked.hpp",
        "if (__builtin_mul_overflow(a, b, &out))",
        "if (__builtin_mul_overflow(a, b, &out) && false)",
        ["test_checked"],
    ),
    Fault(
        "dropped_bias",
        "csrc/src/pack/pack.cpp",
        "spread(u, u.weights.bias, 0, 1, u.filters,",
        "spread(u, u.weights.bias, 0, 1, u.filters - 1,",
        ["test_separable_conv.py"],
    ),
    Fault(
        "multiplier_inside_out",
        "csrc/src/pack/pack.cpp",
        "x + c0 * step + m * row + first",
        "x + c0 * step + (u.multiplier - 1 - m) * row + first",
        ["test_separable_conv.py"],
    ),
    Fault(
        "panel_of_other_width",
        "csrc/src/pack/pack.cpp",
        "panel * padded(wide) * u.channels",
        "panel * wide * u.channels",
        ["test_pack"],
    ),
    Fault(
        "callers_float_modes",
        "csrc/src/runtime/parallel.cpp",
        "    const float_modes_guard guard;\n",
        "",
        ["test_parallel", "test_nonfinite"],
    ),
    # Python.
    Fault(
        "stale_pack",
        "python/sepconv/_plans.py",
        "if packed is None or packed[0] is not state:",
        "if packed is None:",
        ["test_base.py"],
    ),
    Fault(
        "stale_pullback",
        "python/sepconv/_plans.py",
        "weights = tuple(None if w is None else w.astype(sums, copy=False) for w in self._arrange(state.arrays))",
        "weights = prepared.vjps.setdefault(-1, tuple(None if w is None else w.astype(sums) for w in self._arrange(state.arrays)))",
        ["test_vjp.py"],
    ),
    Fault(
        "same_rule_of_pytorch",
        "python/sepconv/_geometry.py",
        "return total // 2, total - total // 2",
        "return total - total // 2, total // 2",
        ["test_geometry.py"],
    ),
    Fault(
        "byte_order_ignored",
        "python/sepconv/_intake.py",
        '    if array.dtype != dtype:\n        if not autocast and array.dtype.newbyteorder("=") != dtype:',
        '    if array.dtype.newbyteorder("=") != dtype:\n        if not autocast:',
        ["test_arrays.py"],
    ),
    Fault(
        "overlap_accepted",
        "python/sepconv/_intake.py",
        "if isinstance(source, np.ndarray) and overlap(source, out):",
        "if source is out:",
        ["test_arrays.py"],
    ),
    Fault(
        "epsilon_outside_the_root",
        "python/sepconv/batch_norm.py",
        "np.sqrt(spread + float(epsilon))",
        "(np.sqrt(spread) + float(epsilon))",
        ["test_batch_norm.py"],
    ),
]
