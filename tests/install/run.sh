#!/usr/bin/env bash
# Installs the library, static and shared, and builds the consumers against it: by find_package, and by pkg-config where there is one.
# Usage: tests/install/run.sh [BUILD_DIRECTORY [OPTION...]], options of the library's CMake.
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$(mktemp -d)}

for shared in OFF ON; do
  library=$build/shared-$shared prefix=$build/prefix-$shared consumers=$build/consumers-$shared
  cmake -S "$source" -B "$library" -DBUILD_SHARED_LIBS=$shared -DSEPCONV_BUILD_PYTHON=OFF -DCMAKE_INSTALL_LIBDIR=lib "${@:2}"
  cmake --build "$library" --parallel "$(nproc)"
  cmake --install "$library" --prefix "$prefix"
  LD_LIBRARY_PATH=$prefix/lib "$source/tests/install/consumers.sh" "$consumers" -DCMAKE_PREFIX_PATH="$prefix"
  if command -v pkg-config >/dev/null; then
    flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs $([ $shared = OFF ] && echo --static) sepconv)
    # shellcheck disable=SC2086
    cc "$source/tests/install/c/main.c" $flags -o "$consumers/from_pkg_config"
    LD_LIBRARY_PATH=$prefix/lib "$consumers/from_pkg_config"
  fi
done
library=$prefix/lib/libsepconv.so

# Only the C interface is exported.
stray=$(nm -D --defined-only "$library" | awk '{print $3}' | grep -v '^sepconv_' || true)
if [ -n "$stray" ]; then
  echo "libsepconv.so exports more than sepconv_*:" "$stray" >&2
  exit 1
fi
[ "$(objdump -p "$library" | awk '/SONAME/ {print $2}')" = libsepconv.so.0 ]
