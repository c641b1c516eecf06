// Which instruction set's kernels run: a short table, best first.
#pragma once

#include <string>

#include "kernels/kernel_types.hpp"

namespace sepconv {

// By name; NULL or "" means SEPCONV_ISA of the environment, else the best that this machine runs. Throws `error` when the name is unknown
// or the machine lacks it. The environment is read for good by the first call for a plan.
const kernel_table& find_isa(const char* name, bool plan = true);

int isa_index(const kernel_table& table);

// Comma-separated names, best first: all of this build, or those that this machine runs.
std::string isa_names(bool usable_only);

}  // namespace sepconv
