#!/usr/bin/env bash
# Builds the optional package @tensorflow/tfjs-node from package registries alone, for machines
# that cannot reach the hosts its own installer downloads from: the package from npm, the C library
# of TensorFlow out of a Python wheel, and between them the binding, compiled here.
#
# Needs g++ with its linker, and Python 3 with pip (of any version; nothing of TensorFlow's Python
# runs). Downloads 210 MB, leaves 460 MB in node_modules, takes half a minute, and nothing at all
# where the package already loads. QUANTBENCH_WITHOUT_TFJS_NODE=1 says that its absence is meant.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${QUANTBENCH_WITHOUT_TFJS_NODE:-}" ]; then
  echo "tfjs-node is left out, as QUANTBENCH_WITHOUT_TFJS_NODE says"
  exit 0
fi

fail() {
  echo "cannot build tfjs-node: $1; to go on without it, set QUANTBENCH_WITHOUT_TFJS_NODE=1" >&2
  exit 1
}

# Prints the versions if the package loads and computes.
load() {
  TF_CPP_MIN_LOG_LEVEL=1 node -e '
    const tf = require("@tensorflow/tfjs-node");
    const [sum] = tf.sum([1, 2, 4]).dataSync();
    if (sum !== 7) throw new Error(`1 + 2 + 4 is ${sum}`);
    console.log(`tfjs-node ${tf.version["tfjs-node"]} on TensorFlow ${tf.backend().binding.TF_Version}`);
  '
}
if load 2>/dev/null; then exit 0; fi

# TensorFlow 2.15.1 is the newest that tfjs-node 4.22.0 was seen to work with. The second wheel
# has the same files; nobody has tried it yet.
case "$(uname -s) $(uname -m)" in
  "Linux x86_64")
    wheel=tensorflow-cpu==2.15.1
    platform=manylinux2014_x86_64
    hash=54660c074d7241a503e81edfd9f5ef5af88f64051b72e2945f26318c790f2d26
    ;;
  "Linux aarch64")
    wheel=tensorflow-cpu-aws==2.15.1
    platform=manylinux2014_aarch64
    hash=d4c3a3a9363bf42999adedbbd514e3a133be2d62f61fee9cfa46aaefb087c09e
    ;;
  *) fail "no wheel is known that has TensorFlow's C library for $(uname -sm)" ;;
esac
for tool in g++ strip python3; do
  command -v "$tool" >/dev/null || fail "it needs $tool"
done
python3 -m pip --version >/dev/null 2>&1 || fail "it needs pip (python3 -m pip)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# npm leaves an optional package out when its installer fails. The lock file has its hash.
if ! [ -e node_modules/@tensorflow/tfjs-node/package.json ] || ! [ -e node_modules/node-api-headers ]; then
  echo "adding the package without running its installer"
  npm install --no-save --ignore-scripts --no-audit --no-fund || fail "npm could not install it"
fi
package=node_modules/@tensorflow/tfjs-node
headers=node_modules/node-api-headers/include

echo "downloading TensorFlow's library ($wheel)"
echo "$wheel --hash=sha256:$hash" >"$work/requirements.txt"
python3 -m pip download --quiet --require-hashes --no-deps --only-binary=:all: \
  --python-version 311 --platform "$platform" --dest "$work" --requirement "$work/requirements.txt" ||
  fail "pip could not download $wheel with sha256 $hash"

python3 - "$work" <<'PYTHON'
import glob, re, sys, zipfile

[work] = sys.argv[1:]
[wheel] = glob.glob(f"{work}/*.whl")
wanted = re.compile(
    r"tensorflow/libtensorflow_(cc|framework)\.so\.2$"
    r"|tensorflow/include/(tensorflow/c|tensorflow/core/platform|tsl)/.*\.h$"
    r"|\w+\.libs/"  # libraries that the wheel brings for its own
)
with zipfile.ZipFile(wheel) as archive:
    for name in filter(wanted.match, archive.namelist()):
        archive.extract(name, f"{work}/wheel")
PYTHON

echo "compiling the binding"
rm -rf "$package/deps" "$package/lib"
mkdir -p "$package/deps/lib"
binding=$(node -p 'require("@mapbox/node-pre-gyp").find(require.resolve("@tensorflow/tfjs-node/package.json"))')
mkdir -p "$(dirname "$binding")"
# The headers stay behind; a quarter of the library is symbols that nothing needs.
for library in cc framework; do
  strip --strip-unneeded -o "$package/deps/lib/libtensorflow_$library.so.2" \
    "$work/wheel/tensorflow/libtensorflow_$library.so.2"
done
for libraries in "$work"/wheel/*.libs; do
  if [ -d "$libraries" ]; then cp -r "$libraries" "$package/deps/"; fi
done
g++ -std=c++17 -O2 -fPIC -shared -DNAPI_VERSION=8 \
  -I"$package/.." -I"$work/wheel/tensorflow/include" -I"$headers" \
  "$package"/binding/*.cc -o "$binding" \
  -L"$package/deps/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
  -Wl,-rpath,'$ORIGIN/../../deps/lib' || fail "the binding does not compile"

load || fail "what was built does not load"
