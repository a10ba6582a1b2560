#!/usr/bin/env bash
# Installs what is missing, builds, and runs the main job on the bundled model on 2 ranks.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
scripts/build.sh release fp8cal

root=()
[ "$(id -u)" -eq 0 ] && root=(--allow-run-as-root)
mkdir -p out
mpirun "${root[@]}" --oversubscribe -n 2 build/release/coordinator/fp8cal run jobs/demo/demo.ini
