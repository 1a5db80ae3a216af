#!/usr/bin/env bash
# Runs test files as another x86 processor would: test/emulated.sh Haswell test/a.test.ts ...
# By default what depends on the processor's 8-bit kernels, as a Haswell: AVX2 but no VNNI, so that they saturate.
#
# Every process that a test starts is emulated, too. /proc/cpuinfo still names the features of this machine, so that
# what probes is tested, and what reads features is not. Needs qemu-user (Debian: apt install qemu-user-static).
set -euo pipefail
cd "$(dirname "$0")/.."

cpu=${1:-Haswell}
files=("${@:2}")
if [ ${#files[@]} -eq 0 ]; then
  files=(test/pipelines/deploy/{preciseKernels,saturation,inspect}.test.ts test/pipelines/export/integers.test.ts)
fi
if ! qemu=$(command -v qemu-x86_64-static || command -v qemu-x86_64); then
  echo "there is no qemu-x86_64-static: apt install qemu-user-static" >&2
  exit 1
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cat >"$directory/node" <<END
#!/bin/sh
exec "$qemu" -cpu "$cpu" "$(node -p process.execPath)" "\$@"
END
chmod +x "$directory/node"
echo "process.execPath = '$directory/node';" >"$directory/children.cjs"
export NODE_OPTIONS="--require $directory/children.cjs"
# It warns in every process of what it does not emulate, which these processors do not need.
"$directory/node" node_modules/vitest/vitest.mjs run --config test/vitest.config.ts "${files[@]}" \
  2> >(grep --line-buffered -v "TCG doesn't support requested feature" >&2)
