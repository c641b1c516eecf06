/* A C consumer: a 3x3 box filter of ones over a 4x4 image of ones, channels_last, one channel. */
#include <stdio.h>
#include <stdlib.h>
#include <sepconv/sepconv.h>

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, sepconv_last_error());
  return 1;
}

int main(void) {
  float input[16], kernel[9], output[16];
  /* How many of the 9 taps lie inside the image. */
  static const float expected[16] = {4, 6, 6, 4, 6, 9, 9, 6, 6, 9, 9, 6, 4, 6, 6, 4};
  sepconv_spec spec = {0};
  sepconv_weights weights = {0};
  sepconv_plan* plan = NULL;
  sepconv_pack* pack = NULL;
  void* workspace;
  int i;
  for (i = 0; i < 16; ++i) input[i] = 1;
  for (i = 0; i < 9; ++i) kernel[i] = 1;
  spec.size = sizeof(spec);
  spec.op = SEPCONV_DEPTHWISE;
  spec.padding = SEPCONV_SAME;
  spec.input_shape[0] = spec.input_shape[3] = 1;
  spec.input_shape[1] = spec.input_shape[2] = 4;
  spec.kernel[0] = spec.kernel[1] = 3;
  weights.size = sizeof(weights);
  weights.depthwise_kernel = kernel;
  if (sepconv_plan_create(&spec, &plan) != SEPCONV_OK) return fail("plan");
  if (sepconv_pack_create(plan, &weights, &pack) != SEPCONV_OK) return fail("pack");
  workspace = sepconv_alloc(sepconv_plan_workspace_size(plan) + 1);
  if (sepconv_run(plan, pack, input, output, workspace) != SEPCONV_OK) return fail("run");
  for (i = 0; i < 16; ++i)
    if (output[i] != expected[i]) {
      fprintf(stderr, "output[%d] is %g instead of %g\n", i, output[i], expected[i]);
      return 1;
    }
  sepconv_free(workspace);
  sepconv_pack_destroy(pack);
  sepconv_plan_destroy(plan);
  printf("sepconv %s from C: right\n", sepconv_version());
  return 0;
}
