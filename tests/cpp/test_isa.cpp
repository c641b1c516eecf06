// Which instruction set runs. Nothing in this file but children of fork() asks for the default, because it is read once.
#include "runtime/isa.hpp"

#include <sys/wait.h>

#include "plan/error.hpp"
#include "runtime/cpu.hpp"
#include "support.hpp"

using namespace test;

namespace {

// What a child process with SEPCONV_ISA=value answers: a name, or the message of the error.
std::string default_with(const char* value) {
  int pipe_ends[2];
  if (pipe(pipe_ends)) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    std::string answer;
    if (value)
      setenv("SEPCONV_ISA", value, 1);
    else
      unsetenv("SEPCONV_ISA");
    try {
      answer = sepconv::find_isa(nullptr).isa;
      setenv("SEPCONV_ISA", "nonsense", 1);  // read once: too late
      if (answer != sepconv::find_isa("").isa) answer = "changed";
    } catch (const sepconv::error& e) {
      answer = std::string(e.status() == SEPCONV_UNSUPPORTED ? "unsupported: " : "wrong status: ") + e.what();
    }
    if (write(pipe_ends[1], answer.data(), answer.size()) < 0) _exit(1);
    _exit(0);
  }
  close(pipe_ends[1]);
  std::string out;
  char buffer[512];
  for (ssize_t n; (n = read(pipe_ends[0], buffer, sizeof(buffer))) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  close(pipe_ends[0]);
  waitpid(child, nullptr, 0);
  return out;
}

}  // namespace

TEST(isa, best_first_and_the_baseline_always) {
  ASSERT_FALSE(isas().empty());
  EXPECT_EQ(isas().back(), "scalar");
  EXPECT_EQ(default_with(nullptr), isas()[0]);
  EXPECT_EQ(default_with(""), isas()[0]);
}

TEST(isa, every_name_finds_its_table) {
  std::vector<int> indices;
  for (const std::string& name : isas()) {
    const sepconv::kernel_table& table = sepconv::find_isa(name.c_str());
    EXPECT_EQ(name, table.isa);
    for (const sepconv::kernel_set* set : table.sets) EXPECT_NE(set, nullptr);
    EXPECT_NE(table.pairs, nullptr);
    indices.push_back(sepconv::isa_index(table));
    EXPECT_EQ(default_with(name.c_str()), name);
  }
  std::sort(indices.begin(), indices.end());
  EXPECT_EQ(std::unique(indices.begin(), indices.end()), indices.end());
}

TEST(isa, unknown_names_are_refused) {
  for (const char* name : {"sse", "AVX2", "avx512 ", "best"}) {
    try {
      sepconv::find_isa(name);
      ADD_FAILURE() << name;
    } catch (const sepconv::error& e) {
      EXPECT_EQ(e.status(), SEPCONV_UNSUPPORTED);
      const std::string message = e.what();
      EXPECT_NE(message.find("`isa`"), std::string::npos) << message;
      EXPECT_NE(message.find(sepconv::isa_names(true)), std::string::npos) << message;
      EXPECT_NE(message.find(std::string("Received: \"") + name + "\""), std::string::npos) << message;
    }
    const std::string answer = default_with(name);
    EXPECT_EQ(answer.rfind("unsupported: `SEPCONV_ISA`", 0), 0u) << answer;
    EXPECT_NE(answer.find(std::string("Received: \"") + name + "\""), std::string::npos) << answer;
  }
}

TEST(isa, what_runs_is_what_was_built) {
  const std::string built = sepconv::isa_names(false);
  for (const std::string& name : isas()) EXPECT_NE(("," + built + ",").find("," + name + ","), std::string::npos);
}

// An instruction set that adds an instruction shares all kernels but those that use it.
TEST(isa, avx512_bf16_is_avx512_with_other_pairs) {
  for (const std::string& name : isas()) {
    if (name != "avx512_bf16") continue;
    const sepconv::kernel_table &table = sepconv::find_isa("avx512_bf16"), &base = sepconv::find_isa("avx512");
    for (int i = 0; i < 4; ++i) EXPECT_EQ(table.sets[i], base.sets[i]);
    EXPECT_NE(table.pairs, base.pairs);
    // Whichever multiplies pairs faster is the default.
    EXPECT_EQ(isas()[0], sepconv::get_cpu_features() & sepconv::cpu_amx ? "avx512" : "avx512_bf16");
  }
}

TEST(isa, names_agree_with_the_features) {
  const unsigned features = sepconv::get_cpu_features();
  const bool avx2 = std::count(isas().begin(), isas().end(), "avx2"), avx512 = std::count(isas().begin(), isas().end(), "avx512");
  const unsigned needs = sepconv::cpu_avx2 | sepconv::cpu_fma | sepconv::cpu_f16c;
#if defined(__x86_64__)
  EXPECT_EQ(avx2, (features & needs) == needs);
  EXPECT_EQ(avx512, (features & (needs | sepconv::cpu_avx512)) == (needs | sepconv::cpu_avx512));
  EXPECT_EQ(std::count(isas().begin(), isas().end(), "avx512_bf16"), avx512 && (features & sepconv::cpu_bf16));
#else
  EXPECT_EQ(features & needs, 0u);
  EXPECT_FALSE(avx2 || avx512);
#endif
}
