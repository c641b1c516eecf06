#include "runtime/isa.hpp"

#include <atomic>
#include <cstdlib>

#include "plan/error.hpp"
#include "runtime/cpu.hpp"

namespace sepconv {

#if defined(SEPCONV_HAVE_AVX512_BF16)
extern const kernel_table kernels_avx512_bf16;
#endif
#if defined(SEPCONV_HAVE_AVX512)
extern const kernel_table kernels_avx512;
#endif
#if defined(SEPCONV_HAVE_AVX2)
extern const kernel_table kernels_avx2;
#endif
#if defined(SEPCONV_HAVE_NEON)
extern const kernel_table kernels_neon;
#endif
extern const kernel_table kernels_scalar;

namespace {

constexpr unsigned avx2 = cpu_avx2 | cpu_fma | cpu_f16c, avx512 = avx2 | cpu_avx512, bf16 = avx512 | cpu_bf16;

struct row {
  const kernel_table* table;
  unsigned needs, lacks;  // cpu_feature
};

// Processors with AMX issue VDPBF16PS once in two cycles: half of the products of multiply-adds, which they had better use. So it stands
// in one of two places.
const row rows[] = {
#if defined(SEPCONV_HAVE_AVX512_BF16)
    {&kernels_avx512_bf16, bf16, cpu_amx},
#endif
#if defined(SEPCONV_HAVE_AVX512)
    {&kernels_avx512, avx512, 0},
#endif
#if defined(SEPCONV_HAVE_AVX512_BF16)
    {&kernels_avx512_bf16, bf16 | cpu_amx, 0},
#endif
#if defined(SEPCONV_HAVE_AVX2)
    {&kernels_avx2, avx2, 0},
#endif
#if defined(SEPCONV_HAVE_NEON)
    {&kernels_neon, 0, 0},
#endif
    {&kernels_scalar, 0, 0},
};

bool usable(const row& r) { return (get_cpu_features() & (r.needs | r.lacks)) == r.needs; }

std::string from_environment() {
  const char* value = std::getenv("SEPCONV_ISA");
  return value ? value : "";
}

std::atomic<bool> chosen{false};

// What the first plan found in the environment.
const std::string& choice() {
  static const std::string name = from_environment();
  chosen = true;
  return name;
}

}  // namespace

const kernel_table& find_isa(const char* name, bool plan) {
  const bool asked = name && *name;
  const std::string wanted = asked ? name : plan || chosen ? choice() : from_environment();
  bool known = false;
  for (const row& r : rows) {
    known = known || wanted == r.table->isa;
    if (usable(r) && (wanted.empty() || wanted == r.table->isa)) return *r.table;
  }
  const std::string source = std::string("`") + (asked ? "isa" : "SEPCONV_ISA") + "`", received = ". Received: \"" + wanted + "\"";
  if (known)
    throw error(SEPCONV_UNSUPPORTED, source + " names an instruction set that this machine lacks. Allowed: " + isa_names(true) + received);
  throw error(SEPCONV_UNSUPPORTED, source + " must be one of " + isa_names(true) + received);
}

int isa_index(const kernel_table& table) {
  int index = 0;
  while (rows[index].table != &table) ++index;
  return index;
}

std::string isa_names(bool usable_only) {
  std::string names;
  for (const row& r : rows)
    if (usable_only ? usable(r) : &r - rows == isa_index(*r.table)) names += (names.empty() ? "" : ",") + std::string(r.table->isa);
  return names;
}

}  // namespace sepconv
