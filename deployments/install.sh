#!/bin/sh
# Make .venv and install Lectern from the lock file, llama.cpp built for this CPU. `make` calls it;
# it may be called again at any time. PYTHON names another interpreter (3.11 or later).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=.venv

say() { printf '\n==> %s\n' "$*"; }
fail() { printf '\ninstall: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python here: install Python 3.11 or later, or set PYTHON."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: install Python 3.11 or later, or set PYTHON."
command -v c++ >/dev/null ||
    fail "no C++ compiler: on Debian or Ubuntu 'apt-get install build-essential cmake', on macOS 'xcode-select --install'."

# gcc before 13 drops the stores of the AMX tile configuration (they look dead to it), and
# llama.cpp then dies with SIGILL at its first matrix product. These passes are the ones to blame.
amx_workaround() {
    grep -qs amx_tile /proc/cpuinfo || return 0
    c++ --version | grep -qi clang && return 0
    [ "$(c++ -dumpversion | cut -d. -f1)" -lt 13 ] || return 0
    flags='-fno-tree-dse -fno-dse -fno-tree-sra -fno-store-merging'
    printf '%s' "-DCMAKE_C_FLAGS='$flags' -DCMAKE_CXX_FLAGS='$flags'"
}

if [ ! -x "$venv/bin/python" ]; then
    say "Making $venv"
    "$python" -m venv "$venv" ||
        { rm -rf "$venv"; fail "python can't make a virtual environment: on Debian or Ubuntu 'apt-get install python3-venv'."; }
fi
pip="$venv/bin/python -m pip --disable-pip-version-check"
llama=$(sed -n 's/^\(llama-cpp-python==[^ ]*\).*/\1/p' requirements.lock)

say "Installing the packages of requirements.lock"
awk '/^[^ #]/ { keep = !/^llama-cpp-python==/ } keep' requirements.lock >"$venv/packages.lock"
$pip install --quiet --require-hashes --no-deps -r "$venv/packages.lock"

# Built apart, and past pip's cache: a wheel in the cache may have been built with other flags.
# Built anew when the version or the flags change, so that CMAKE_ARGS can add a GPU later on;
# without CMAKE_ARGS, the last ones hold.
given=${CMAKE_ARGS-$(cat "$venv/.cmake-args" 2>/dev/null || true)}
printf '%s' "$given" >"$venv/.cmake-args"
slim="-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE='$PWD/deployments/llama.cpp.cmake'"
export CMAKE_ARGS="$slim $given $(amx_workaround)"
cores=$("$python" -c 'import os; print(os.cpu_count())')
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$cores}"
if [ "$(cat "$venv/.llama-build" 2>/dev/null)" != "$llama $CMAKE_ARGS" ]; then
    say "Building $llama for this machine: about 3 minutes on two cores"
    awk '/^[^ #]/ { keep = /^llama-cpp-python==/ } keep' requirements.lock >"$venv/llama.lock"
    $pip install --no-cache-dir --force-reinstall --require-hashes --no-deps -r "$venv/llama.lock"
    "$venv/bin/python" - data/models/lectern-demo-q8_0.gguf <<'END' ||
import sys
from llama_cpp import Llama
Llama(sys.argv[1], n_ctx=64, verbose=False)("Hello", max_tokens=1)
END
        fail "llama.cpp does not run as it was built. Try again with CMAKE_ARGS=-DGGML_NATIVE=OFF."
    printf '%s' "$llama $CMAKE_ARGS" >"$venv/.llama-build"
fi

$pip install --quiet --no-deps --editable .
say "Installed. '$venv/bin/lectern --help' says what it can do."
