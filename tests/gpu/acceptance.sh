#!/usr/bin/env bash
# What GPUs must show, in one run: tests/gpu/acceptance.sh PROGRAMS MODELS OUT STAGE...
#   PROGRAMS  folder with fp8cal and the cuda_* and nccl_* test programs
#   MODELS    folder with small-llama (config, shards), small-calibration.u32 and small-evaluation.u32
#             (the golden file's calibration_tokens and first 16 windows of test_tokens) and
#             8b.config.json
#   OUT       where results and logs go
# STAGES  kernels  every kernel against the CPU, and its speed
#         golden   small-llama: OUT/small-llama.h5 is for tests/e2e/golden_bars.py
#         small    one digest for small-llama in every partition on up to 4 GPUs
#         8b       the same for a synthetic model of the 8B shape, 16 sequences
#         speed    the 8B shape, 256 x 2048 tokens, on every number of GPUs there is up to 4
set -uo pipefail
programs=$1 models=$2 out=$3
shift 3
scratch=${TMPDIR:-/dev/shm}/fp8cal-acceptance
mkdir -p "$out" "$scratch"
gpus=$(nvidia-smi -L | wc -l)
root=()
[ "$(id -u)" -eq 0 ] && root=(--allow-run-as-root)

kernels() {
  for test in "$programs"/cuda_*_test; do
    local log
    log=$out/$(basename "$test").log
    FP8CAL_REQUIRE_GPU=1 timeout 300 "$test" --gtest_color=no >"$log" 2>&1
    echo "== $(basename "$test"): exit $?"
    grep -E "FAILED|PASSED|TFLOP|GB/s|elements/s|SKIPPED" "$log" | head -60
  done
  for ranks in 2 4; do
    [ "$gpus" -ge $ranks ] && [ -x "$programs/nccl_tests" ] || continue
    FP8CAL_REQUIRE_GPU=1 mpirun "${root[@]}" -q --bind-to none -n $ranks "$programs/nccl_tests" \
      >"$out/nccl-$ranks.log" 2>&1
    echo "== nccl_tests on $ranks: exit $?"
  done
}

# job RANKS MODEL CALIBRATION EVALUATION [OPTION...]: prints what matters.
job() {
  local ranks=$1 model=$2 calibration=$3 evaluation=$4
  shift 4
  echo "-- $ranks ranks, $*"
  timeout 400 mpirun "${root[@]}" -q --oversubscribe --bind-to none -n "$ranks" "$programs/fp8cal" run \
    --model.path "$model" --calibration.dataset "$calibration" --evaluation.dataset "$evaluation" \
    --runtime.backend cuda --runtime.progress lines --output.result "$scratch/result.h5" "$@" 2>&1 |
    grep -E "tokens/s, .* s$|layers, .* s$|digest|^partition|fp8cal:|rror"
}

every_partition() {  # MODEL CALIBRATION EVALUATION [OPTION...]
  job 1 "$@" --runtime.microbatch 1
  job 1 "$@" --runtime.microbatch 8
  job 1 "$@" --runtime.device_memory 24GiB
  for ranks in 2 4; do
    [ "$gpus" -ge $ranks ] || continue
    for mode in tensor layers sequences; do
      [ "$mode" = layers ] && [ $ranks = 4 ] && [[ $1 == *small* ]] && continue  # 5 layers
      [ "$mode" = layers ] && [ $ranks = 2 ] && [[ $1 == *small* ]] && continue
      job $ranks "$@" --partition.mode $mode --runtime.microbatch 2
    done
  done
}

small_job=(--calibration.samples 16 --calibration.sequence_length 512 --evaluation.windows 16)

golden() {
  job 1 "$models/small-llama" "$models/small-calibration.u32" "$models/small-evaluation.u32" \
    "${small_job[@]}" --runtime.microbatch 4 && cp "$scratch/result.h5" "$out/small-llama.h5"
}

small() {
  every_partition "$models/small-llama" "$models/small-calibration.u32" \
    "$models/small-evaluation.u32" "${small_job[@]}"
}

make_8b() {
  [ -f "$scratch/8b/model.safetensors.index.json" ] && return
  for set in calibration:256 evaluation:141; do
    python3 -c "import numpy as np; np.random.default_rng(1).integers(0, 128000, ${set#*:} * 2048).astype('<u4').tofile('$scratch/${set%:*}.u32')"
  done
  mpirun "${root[@]}" -q --oversubscribe --bind-to none -n 4 "$programs/fp8cal" synth \
    --config "$models/8b.config.json" "$scratch/8b"
}

8b() {
  make_8b
  every_partition "$scratch/8b" "$scratch/calibration.u32" "$scratch/evaluation.u32" \
    --calibration.samples 16 --evaluation.windows 8
}

speed() {
  make_8b
  for ranks in 1 2 4; do
    [ "$gpus" -ge $ranks ] || continue
    for mode in sequences layers tensor; do
      [ $ranks = 1 ] && [ $mode != sequences ] && continue
      job $ranks "$scratch/8b" "$scratch/calibration.u32" "$scratch/evaluation.u32" \
        --runtime.microbatch 4 --partition.mode $mode
    done
  done
}

for stage in "$@"; do
  echo "==== $stage"
  $stage
done
