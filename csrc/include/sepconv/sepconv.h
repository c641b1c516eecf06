/* sepconv: depthwise-separable convolution on CPUs. The C interface, the only exported surface of the library.
 *
 * Version 0: unstable until said otherwise.
 *
 * Three handles with three lives:
 *   plan       geometry and schedule of one convolution; validates everything, holds no tensor; immutable, shared by threads
 *   pack       weights in the order that the kernels read; plans with an equal sepconv_plan_pack_key() share it; immutable
 *   workspace  scratch memory of one running call, sepconv_plan_workspace_size() bytes, aligned to 64 bytes
 * sepconv_run() only computes: it allocates nothing and locks nothing.
 *
 * Structs start with `size = sizeof(struct)`; bytes that an older caller does not know are taken as zero, and zero means the
 * default. Functions return SEPCONV_OK or an error whose text sepconv_last_error() gives for the calling thread.
 */
#ifndef SEPCONV_SEPCONV_H
#define SEPCONV_SEPCONV_H

#include <stddef.h>
#include <stdint.h>

#include "sepconv/export.h"
#include "sepconv/version.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SEPCONV_ABI_VERSION 0

typedef enum sepconv_status {
  SEPCONV_OK = 0,
  SEPCONV_INVALID_ARGUMENT = 1, /* the message names the field, what is allowed and what was received */
  SEPCONV_OUT_OF_MEMORY = 2,
  SEPCONV_UNSUPPORTED = 3, /* this machine or build lacks it (an instruction set) */
  SEPCONV_INTERNAL_ERROR = 4
} sepconv_status;

typedef enum sepconv_op {
  SEPCONV_SEPARABLE = 0, /* depthwise, then pointwise, in one pass */
  SEPCONV_DEPTHWISE = 1,
  SEPCONV_POINTWISE = 2 /* a 1x1 convolution; `kernel` and `multiplier` are 1 */
} sepconv_op;

/* The element type of input and output. Sums are float32, or float64 for SEPCONV_FLOAT64. */
typedef enum sepconv_dtype {
  SEPCONV_FLOAT32 = 0,
  SEPCONV_FLOAT64 = 1,
  SEPCONV_FLOAT16 = 2,
  SEPCONV_BFLOAT16 = 3
} sepconv_dtype;

/* What the pointwise half multiplies. Sums are of one type in any case. SEPCONV_DEPTHWISE has no such half. */
typedef enum sepconv_precision {
  SEPCONV_PRECISION_DEFAULT = 0, /* numbers of the type of sums */
  /* Depthwise rows and pointwise weights rounded to bfloat16, by pairs of k: sum = fma(even, even, fma(odd, odd, sum)), denormals zero.
   * VDPBF16PS where the processor has it, the same bits elsewhere. Not for SEPCONV_FLOAT64. Gradients are those of the default. */
  SEPCONV_PRECISION_BFLOAT16 = 1
} sepconv_precision;

typedef enum sepconv_layout {
  SEPCONV_CHANNELS_LAST = 0,  /* contiguous (batch, height, width, channels) */
  SEPCONV_CHANNELS_FIRST = 1, /* contiguous (batch, channels, height, width) */
  SEPCONV_STRIDED = 2         /* `input_strides` and `output_strides` say */
} sepconv_layout;

typedef enum sepconv_padding {
  SEPCONV_VALID = 0,
  SEPCONV_SAME = 1,    /* ceil(size / stride) outputs; an odd row or column of padding goes to the bottom or right */
  SEPCONV_EXPLICIT = 2 /* `pad_before` and `pad_after` say */
} sepconv_padding;

/* Elementwise functions. Parameters that a function takes are named in brackets, in the order of `params`. */
typedef enum sepconv_activation_kind {
  SEPCONV_LINEAR = 0,
  SEPCONV_RELU = 1, /* x < 0 ? 0 : x */
  SEPCONV_RELU6 = 2,
  SEPCONV_HARD_TANH = 3,
  SEPCONV_RELU_GENERAL = 4, /* [negative_slope, max_value, threshold]: x > t ? min(x, max) : slope * (x - t) */
  SEPCONV_LEAKY_RELU = 5,   /* [negative_slope] */
  SEPCONV_ELU = 6,          /* [alpha] */
  SEPCONV_CELU = 7,         /* [alpha] */
  SEPCONV_SELU = 8,
  SEPCONV_SOFTPLUS = 9,
  SEPCONV_SOFTSIGN = 10,
  SEPCONV_SQUAREPLUS = 11,  /* [b] */
  SEPCONV_SOFT_SHRINK = 12, /* [threshold] */
  SEPCONV_HARD_SHRINK = 13, /* [threshold] */
  SEPCONV_SPARSE_PLUS = 14,
  SEPCONV_SILU = 15,
  SEPCONV_GELU = 16, /* exact, by erf */
  SEPCONV_GELU_TANH = 17,
  SEPCONV_TANH = 18,
  SEPCONV_TANH_SHRINK = 19,
  SEPCONV_THRESHOLD = 20, /* [threshold, default_value] */
  SEPCONV_SIGMOID = 21,
  SEPCONV_SPARSE_SIGMOID = 22,
  SEPCONV_EXPONENTIAL = 23,
  SEPCONV_HARD_SIGMOID = 24,
  SEPCONV_HARD_SILU = 25,
  SEPCONV_MISH = 26,
  SEPCONV_LOG_SIGMOID = 27,
  SEPCONV_ACTIVATION_COUNT = 28
} sepconv_activation_kind;

/* Functions of whole rows. */
typedef enum sepconv_row_activation {
  SEPCONV_SOFTMAX = 0,    /* e^x / sum(e^x) */
  SEPCONV_LOG_SOFTMAX = 1 /* its logarithm */
} sepconv_row_activation;

typedef struct sepconv_activation {
  int32_t kind; /* sepconv_activation_kind */
  int32_t reserved;
  double params[3];
} sepconv_activation;

/* One convolution. Pairs are (height, width); quadruples are (batch, height, width, channels), whatever the layout.
 * A zero in `stride`, `dilation`, `kernel` or `multiplier` means 1. Strides of tensors count elements; those of the input may be
 * zero or negative. */
typedef struct sepconv_spec {
  size_t size;
  int32_t op;
  int32_t dtype;
  int32_t layout;
  int32_t padding;
  int32_t num_threads; /* 0: sepconv_default_threads() at the time of the plan */
  int32_t precision;   /* sepconv_precision */
  const char* isa; /* NULL or "": SEPCONV_ISA of the environment, else the best of this machine */
  int64_t input_shape[4];
  int64_t input_strides[4];
  int64_t output_strides[4];
  int64_t kernel[2];
  int64_t stride[2];
  int64_t dilation[2];
  int64_t pad_before[2];
  int64_t pad_after[2];
  int64_t multiplier;
  int64_t filters; /* not for SEPCONV_DEPTHWISE */
  sepconv_activation depthwise_activation; /* between the halves of SEPCONV_SEPARABLE */
  sepconv_activation activation;
} sepconv_spec;

/* Weights of one element type, C-contiguous but for kernels that are `strided`. NULL where the operator has none or the bias is absent. */
typedef struct sepconv_weights {
  size_t size;
  int32_t dtype;
  int32_t strided; /* 1: the kernels lie as the strides below say; 0: they are C-contiguous */
  const void* depthwise_kernel; /* (height, width, channels, multiplier) */
  const void* depthwise_bias;   /* (channels * multiplier), SEPCONV_SEPARABLE only */
  const void* pointwise_kernel; /* (channels * multiplier, filters) */
  const void* bias;             /* (filters), or (channels * multiplier) for SEPCONV_DEPTHWISE */
  int64_t depthwise_strides[4]; /* count elements, as all strides do */
  int64_t pointwise_strides[2];
} sepconv_weights;

/* What a plan chose. Strings live as long as the library. */
typedef struct sepconv_plan_info {
  size_t size;
  int64_t output_shape[4];
  const char* isa;
  const char* gather; /* "channels", "pixels" or "outputs": what the lanes of the depthwise pass run over */
  const char* lanes;  /* "filters" or "pixels": what the lanes of the multiply run over; "none" for SEPCONV_DEPTHWISE */
  const char* split;  /* "pixels" or "filters": what threads share out */
  int64_t tile_pixels;
  int64_t tile_count;
  int32_t kernel_rows;    /* rows of the multiply's micro-kernel; 0 for SEPCONV_DEPTHWISE */
  int32_t kernel_columns; /* columns of it */
  int32_t num_threads;
  int32_t reserved;
  double flops; /* 2 per multiply-add, border taps counted */
  double bytes; /* input + weights + output, each once */
  size_t workspace_size;
  const char* precision; /* what is multiplied: "float32", "float64" or "bfloat16"; the type of sums for SEPCONV_DEPTHWISE */
} sepconv_plan_info;

typedef struct sepconv_system_info {
  size_t size;
  const char* version;
  const char* compiler;
  const char* isa_compiled; /* comma-separated, best first */
  const char* isa_found;    /* those that this machine can run */
  const char* isa_active;   /* what a plan gets by default; "" where SEPCONV_ISA is not valid */
  const char* threading;    /* "openmp", "threads" or "serial" */
  int32_t num_threads;
  int32_t reserved;
  size_t l1d_size; /* bytes */
  size_t l2_size;
} sepconv_system_info;

/* Gradients of a convolution, by name; sums of these say which are wanted. */
typedef enum sepconv_gradient {
  SEPCONV_GRADIENT_INPUT = 1,
  SEPCONV_GRADIENT_DEPTHWISE_KERNEL = 2,
  SEPCONV_GRADIENT_DEPTHWISE_BIAS = 4,
  SEPCONV_GRADIENT_POINTWISE_KERNEL = 8,
  SEPCONV_GRADIENT_BIAS = 16,
  SEPCONV_GRADIENT_TRANSPOSED = 32 /* the pointwise kernel's is (filters, channels); with a multiplier of 1 */
} sepconv_gradient;

/* Where gradients go. Those of weights are C-contiguous, in the shapes of sepconv_weights and the type of sums; that of the input has
 * the input's type. NULL where a gradient isn't wanted. */
typedef struct sepconv_gradients {
  size_t size;
  void* input;
  void* depthwise_kernel;
  void* depthwise_bias;
  void* pointwise_kernel;
  void* bias;
} sepconv_gradients;

/* What the derivative of an activation is computed from. */
typedef enum sepconv_kept { SEPCONV_KEEP_NOTHING = 0, SEPCONV_KEEP_OUTPUT = 1, SEPCONV_KEEP_ARGUMENT = 2 } sepconv_kept;

typedef struct sepconv_plan sepconv_plan;
typedef struct sepconv_pack sepconv_pack;
typedef struct sepconv_vjp sepconv_vjp;

SEPCONV_API const char* sepconv_version(void);
SEPCONV_API int32_t sepconv_abi_version(void);
SEPCONV_API const char* sepconv_last_error(void);
SEPCONV_API sepconv_status sepconv_get_system_info(sepconv_system_info* info);
SEPCONV_API int32_t sepconv_default_threads(void);

SEPCONV_API sepconv_status sepconv_plan_create(const sepconv_spec* spec, sepconv_plan** plan);
SEPCONV_API void sepconv_plan_destroy(sepconv_plan* plan);
SEPCONV_API sepconv_status sepconv_plan_get_info(const sepconv_plan* plan, sepconv_plan_info* info);
SEPCONV_API int64_t sepconv_plan_pack_key(const sepconv_plan* plan);
SEPCONV_API size_t sepconv_plan_workspace_size(const sepconv_plan* plan);

SEPCONV_API sepconv_status sepconv_pack_create(const sepconv_plan* plan, const sepconv_weights* weights, sepconv_pack** pack);
SEPCONV_API void sepconv_pack_destroy(sepconv_pack* pack);

/* Computes output = convolution(input). The caller owns all memory; `input` and `output` point at element (0, 0, 0, 0) and must
 * not overlap. */
SEPCONV_API sepconv_status sepconv_run(const sepconv_plan* plan, const sepconv_pack* pack, const void* input, void* output,
                                       void* workspace);

/* The gradients of one convolution: a plan of its own, as immutable as the other. `wanted` is a sum of sepconv_gradient.
 * `gradient_strides` are those of the input's gradient, positive; NULL means those of the input. */
SEPCONV_API sepconv_status sepconv_vjp_create(const sepconv_spec* spec, int32_t wanted, const int64_t* gradient_strides,
                                              sepconv_vjp** vjp);
SEPCONV_API void sepconv_vjp_destroy(sepconv_vjp* vjp);
SEPCONV_API size_t sepconv_vjp_workspace_size(const sepconv_vjp* vjp);

/* Computes the gradients of sum(output * output_gradient). `weights` have the type of sums. `kept` is what sepconv_activation_keeps()
 * says of the activation: the output, or the convolution before its activation; NULL where it is nothing. `kept` and
 * `output_gradient` have the output's type and strides. Allocates nothing. */
SEPCONV_API sepconv_status sepconv_vjp_run(const sepconv_vjp* vjp, const sepconv_weights* weights, const void* input, const void* kept,
                                           const void* output_gradient, const sepconv_gradients* gradients, void* workspace);

/* data[i] = activation(data[i]); 16-bit types compute in float32. */
SEPCONV_API sepconv_status sepconv_activate(const sepconv_activation* activation, int32_t dtype, void* data, size_t count);

/* gradient[i] *= derivative of the activation, from `kept` as above (NULL for SEPCONV_LINEAR, which changes nothing). At a kink the
 * derivative is that of the flat or the lower side. */
SEPCONV_API sepconv_status sepconv_derive(const sepconv_activation* activation, int32_t dtype, const void* kept, void* gradient,
                                          size_t count);

/* A sepconv_row_activation of each of `rows` contiguous rows of `columns` values, in place; 16-bit types compute in float32. A row with NaN
 * or +infinity, or of -infinity alone, becomes NaN. num_threads as in sepconv_spec; no result depends on it. */
SEPCONV_API sepconv_status sepconv_activate_rows(int32_t kind, int32_t dtype, void* data, int64_t rows, int64_t columns,
                                                 int32_t num_threads);

/* The gradient of its argument, in place of that of its result, from the result. */
SEPCONV_API sepconv_status sepconv_derive_rows(int32_t kind, int32_t dtype, const void* output, void* gradient, int64_t rows,
                                               int64_t columns, int32_t num_threads);

/* target[c * rows + r] = source[r * columns + c] for matrices of float32 or float64 that don't overlap: kernels into the order of other
 * libraries. */
SEPCONV_API sepconv_status sepconv_transpose(int32_t dtype, const void* source, int64_t rows, int64_t columns, void* target);

/* A sepconv_kept, or -1 where the activation isn't known. */
SEPCONV_API int32_t sepconv_activation_keeps(const sepconv_activation* activation);

/* The oracle: nested loops in float64. All arrays are contiguous; input and output are float64 and channels_last. Slow. */
SEPCONV_API sepconv_status sepconv_reference(const sepconv_spec* spec, const sepconv_weights* weights, const double* input,
                                             double* output);

/* The oracle of gradients, likewise: those whose place in `gradients` isn't NULL, all contiguous float64. */
SEPCONV_API sepconv_status sepconv_reference_vjp(const sepconv_spec* spec, const sepconv_weights* weights, const double* input,
                                                 const double* output_gradient, const sepconv_gradients* gradients);

/* Memory from a bounded pool of 2 MiB-aligned blocks, so that large outputs do not pay for fresh pages at every call. Returns
 * NULL when there is no memory. sepconv_free(NULL) does nothing. */
SEPCONV_API void* sepconv_alloc(size_t size);
SEPCONV_API void sepconv_free(void* pointer);

/* Multiply-adds per second (times 2) that `num_threads` threads reach in registers: what 100 % means. Takes about 50 ms. */
SEPCONV_API sepconv_status sepconv_measure_fma_peak(int32_t num_threads, double* flops_per_second);

#ifdef __cplusplus
}
#endif

#endif
