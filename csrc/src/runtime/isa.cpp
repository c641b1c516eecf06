#include "runtime/isa.hpp"

#include <atomic>
#include <cstdlib>

#include "plan/error.hpp"
#include "runtime/cpu.hpp"

namespace sepconv {

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

struct row {
  const kernel_table* table;
  unsigned needs;  // cpu_feature
};

const row rows[] = {
#if defined(SEPCONV_HAVE_AVX512)
    {&kernels_avx512, cpu_avx512 | cpu_avx2 | cpu_fma | cpu_f16c},
#endif
#if defined(SEPCONV_HAVE_AVX2)
    {&kernels_avx2, cpu_avx2 | cpu_fma | cpu_f16c},
#endif
#if defined(SEPCONV_HAVE_NEON)
    {&kernels_neon, 0},
#endif
    {&kernels_scalar, 0},
};

bool usable(const row& r) { return (get_cpu_features() & r.needs) == r.needs; }

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
  for (const row& r : rows)
    if (wanted.empty() ? usable(r) : wanted == r.table->isa) {
      if (usable(r)) return *r.table;
      throw error(SEPCONV_UNSUPPORTED, std::string("`") + (asked ? "isa" : "SEPCONV_ISA") + "` names an instruction set that this "
                  "machine lacks. Allowed: " + isa_names(true) + ". Received: \"" + wanted + "\"");
    }
  throw error(SEPCONV_UNSUPPORTED, std::string("`") + (asked ? "isa" : "SEPCONV_ISA") + "` must be one of " + isa_names(true) +
              ". Received: \"" + wanted + "\"");
}

int isa_index(const kernel_table& table) {
  int index = 0;
  while (rows[index].table != &table) ++index;
  return index;
}

std::string isa_names(bool usable_only) {
  std::string names;
  for (const row& r : rows)
    if (!usable_only || usable(r)) names += (names.empty() ? "" : ",") + std::string(r.table->isa);
  return names;
}

}  // namespace sepconv
