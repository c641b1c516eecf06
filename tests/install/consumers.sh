#!/usr/bin/env bash
# Builds and runs the consumers, in C and in C++, each a project of its own.
# Usage: tests/install/consumers.sh BUILD_DIRECTORY OPTION..., where the options tell CMake where sepconv is.
set -euo pipefail
source=$(cd "$(dirname "$0")" && pwd)

for language in c cpp; do
  cmake -S "$source/$language" -B "$1/$language" "${@:2}" >/dev/null
  cmake --build "$1/$language"
  ctest --test-dir "$1/$language" --output-on-failure
done
