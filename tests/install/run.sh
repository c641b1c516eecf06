#!/usr/bin/env bash
# Installs the library, static and shared, and builds the consumers against it: by find_package, and by pkg-config where there is one.
# Usage: tests/install/run.sh [BUILD_DIRECTORY]
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$(mktemp -d)}

for shared in OFF ON; do
  dir=$build/shared-$shared
  cmake -S "$source" -B "$dir/library" -DBUILD_SHARED_LIBS=$shared -DSEPCONV_BUILD_PYTHON=OFF -DCMAKE_INSTALL_LIBDIR=lib
  cmake --build "$dir/library" --parallel "$(nproc)"
  cmake --install "$dir/library" --prefix "$dir/prefix"
  LD_LIBRARY_PATH=$dir/prefix/lib "$source/tests/install/consumers.sh" "$dir/consumers" -DCMAKE_PREFIX_PATH="$dir/prefix"
  if command -v pkg-config >/dev/null; then
    flags=$(PKG_CONFIG_PATH=$dir/prefix/lib/pkgconfig pkg-config --cflags --libs $([ $shared = OFF ] && echo --static) sepconv)
    # shellcheck disable=SC2086
    cc "$source/tests/install/c/main.c" $flags -o "$dir/from_pkg_config"
    LD_LIBRARY_PATH=$dir/prefix/lib "$dir/from_pkg_config"
  fi
done

# Only the C interface is exported.
stray=$(nm -D --defined-only "$build/shared-ON/prefix/lib/libsepconv.so" | awk '{print $3}' | grep -v '^sepconv_' || true)
if [ -n "$stray" ]; then
  echo "libsepconv.so exports more than sepconv_*:" "$stray" >&2
  exit 1
fi
[ "$(objdump -p "$build/shared-ON/prefix/lib/libsepconv.so" | awk '/SONAME/ {print $2}')" = libsepconv.so.0 ]
