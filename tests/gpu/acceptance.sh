#!/usr/bin/env bash
# What a GPU machine must show, in one run: tests/gpu/acceptance.sh PROGRAMS MODELS OUT [STAGE...]
#   PROGRAMS  folder with fp8cal and the cuda_* test programs
#   MODELS    folder with nano-llama and small-llama, each with golden.h5, and 8b.config.json
#   OUT       where results and logs go
# STAGES: kernels golden speed partitions (default: all but partitions, which needs several GPUs)
set -uo pipefail
programs=$1 models=$2 out=$3
shift 3
stages=${*:-kernels golden speed}
scratch=${TMPDIR:-/dev/shm}/fp8cal-acceptance
mkdir -p "$out" "$scratch"
root=()
[ "$(id -u)" -eq 0 ] && root=(--allow-run-as-root)

kernels() {
  for test in "$programs"/cuda_*_test; do
    echo "== $(basename "$test")"
    FP8CAL_REQUIRE_GPU=1 timeout 300 "$test" --gtest_color=no >"$out/$(basename "$test").log" 2>&1
    echo "exit $?"
    grep -E "FAILED|PASSED|TFLOP|GB/s|elements/s|worst|SKIPPED" "$out/$(basename "$test").log" | head -60
  done
}

# Results come back with OUT: tests/e2e/golden_bars.py compares them with golden.h5.
golden() {
  for model in nano-llama small-llama; do
    local folder=$models/$model
    "$programs/fp8cal" run --model.path "$folder" \
      --calibration.dataset "$folder/golden.h5:calibration_tokens" --calibration.samples 16 \
      --calibration.sequence_length 512 --evaluation.dataset "$folder/golden.h5:test_tokens" \
      --evaluation.windows 16 --runtime.backend cuda --output.result "$out/$model.h5" 2>&1 | tail -25
  done
}

tokens() {  # NAME COUNT: random ids
  python3 -c "import numpy as np; np.random.default_rng(1).integers(0, 128000, $2).astype('<u4').tofile('$scratch/$1.u32')"
}

job() {  # ranks, then options
  local ranks=$1
  shift
  mpirun "${root[@]}" --oversubscribe -q -n "$ranks" "$programs/fp8cal" run --model.path "$scratch/8b" \
    --calibration.dataset "$scratch/calibration.u32" --evaluation.dataset "$scratch/evaluation.u32" \
    --runtime.backend cuda --runtime.progress lines --output.result "$scratch/result.h5" "$@" 2>&1 |
    grep -E "info|digest|partition|fp8cal:|error"
}

make_8b() {
  [ -f "$scratch/8b/model.safetensors.index.json" ] && return
  tokens calibration $((256 * 2048))
  tokens evaluation $((141 * 2048))
  time mpirun "${root[@]}" --oversubscribe -q --bind-to none -n 4 "$programs/fp8cal" synth \
    --config "$models/8b.config.json" "$scratch/8b"
}

speed() {
  make_8b
  echo "== 8B shape, 256 x 2048"
  job 1 --calibration.samples 256 --runtime.microbatch 4
}

partitions() {
  make_8b
  local short=(--calibration.samples 16 --evaluation.windows 8)
  for microbatch in 1 8; do job 1 "${short[@]}" --runtime.microbatch $microbatch; done
  job 1 "${short[@]}" --runtime.device_memory 24GiB
  for ranks in 2 4; do
    for mode in tensor layers sequences; do
      echo "== $mode on $ranks"
      job $ranks "${short[@]}" --partition.mode $mode
    done
  done
}

for stage in $stages; do $stage; done
