#!/usr/bin/env bash
# Configures and builds one preset: scripts/build.sh [PRESET [TARGET...]], release by default.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
targets=()
[ $# -eq 0 ] || targets=(--target "$@")
cmake --build --preset "$preset" "${targets[@]}"
