#!/usr/bin/env bash
# Installs what is missing, builds, and runs the whole test suite. Arguments go to ctest (-R NAME, ...).
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
scripts/build.sh release
ctest --preset release "$@"
