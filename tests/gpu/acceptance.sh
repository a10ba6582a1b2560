#!/usr/bin/env bash
# What GPUs must show: tests/gpu/acceptance.sh PROGRAMS MODELS OUT STAGE...
#   PROGRAMS  folder with fp8cal and the cuda_* and nccl_* test programs
#   MODELS    folder with small-llama (config, shards), small-calibration.u32 and small-evaluation.u32
#             (the golden file's calibration_tokens and first 16 windows of test_tokens), the same of
#             nano-llama, 8b.config.json and 70b.config.json, and hf_calibrate.py (the yardstick)
#   OUT       where results and logs go
# tests/gpu/acceptance_bars.py judges what it prints.
# STAGES  kernels    every kernel against the CPU, and its speed
#         sanitize   the kernel tests under compute-sanitizer, but for the largest sizes
#         golden     OUT/nano-llama.h5 and OUT/small-llama.h5 are for tests/e2e/golden_bars.py
#         small      one digest for small-llama in every partition on up to 4 GPUs
#         recipes    the same with every recipe and kind of keys and values, on one and two GPUs
#         checkpoint of the 8B shape: written by the job and by 'export' on the host, read back, and
#                    loaded by transformers (with compressed-tensors, where it is installed)
#         compare    what comparing with BF16 adds to the evaluation of the 8B shape
#         resume     of the 8B shape: what saving progress costs; stopped, and gone on from there
#         host       of the 8B shape: host memory that a job takes, against what 'submit' asks for
#         study      of the 8B shape: a study of 8 results against jobs of their own
#         tolerances small-llama by cpu and by cuda: an audit with and without tolerances
#         8b         the same for a synthetic model of the 8B shape, 16 sequences
#         yardstick  the 8B shape through Hugging Face transformers
#         speed      the 8B shape, 256 x 2048 tokens, on one GPU and on all of them
#         wide       8 layers of the 70B shape by tensor, against one GPU
#         70b        one digest for the 70B shape by tensor, sequences and streamed through one GPU
#         faults     tests/e2e/test_faults.py on up to 4 GPUs; needs PROGRAMS/faulty_io.so
#         profile    small-llama decoded token by token against whole windows; of the 8B shape: time to
#                    first token and per output token, and transformers' 'generate'
#         70b-whole  the 70B shape on 4 GPUs: 256 x 2048 tokens calibrated, 141 x 2048 evaluated
set -uo pipefail
programs=$1 models=$2 out=$3
shift 3
scratch=${TMPDIR:-/dev/shm}/fp8cal-acceptance
mkdir -p "$out" "$scratch"
gpus=$(nvidia-smi -L | wc -l)
mpi=(mpirun -q --oversubscribe --bind-to none)
[ "$(id -u)" -eq 0 ] && mpi+=(--allow-run-as-root)
if [ -d "$models/small-llama" ] && [ -f "$models/small-evaluation.u32" ]; then
  export FP8CAL_DECODER_MODEL=$models/small-llama FP8CAL_DECODER_TOKENS=$models/small-evaluation.u32
fi

# As many at once as there are GPUs: each program gets one of its own.
on_every_gpu() {  # COMMAND...: called with the name of a test program
  local gpu=0 test
  for test in "$programs"/cuda_*_test; do
    CUDA_VISIBLE_DEVICES=$gpu FP8CAL_REQUIRE_GPU=1 "$@" "$test" &
    gpu=$(((gpu + 1) % gpus))
    [ $gpu -eq 0 ] && wait
  done
  wait
}

run_test() {
  local log
  log=$out/$(basename "$1").log
  timeout 300 "$1" --gtest_color=no >"$log" 2>&1
  echo "== $(basename "$1"): exit $?"
  grep -E "FAILED|PASSED|SKIPPED|^decoding token by token:" "$log" | head -20
}

kernels() {
  on_every_gpu run_test
  for ranks in 2 4; do
    if [ "$gpus" -lt $ranks ] || [ ! -x "$programs/nccl_tests" ]; then continue; fi
    FP8CAL_REQUIRE_GPU=1 "${mpi[@]}" -n $ranks "$programs/nccl_tests" >"$out/nccl-$ranks.log" 2>&1
    echo "== nccl_tests on $ranks: exit $?"
  done
}

check_test() {
  local tool log
  # Calls that are to fail, such as an allocation beyond all memory, are no errors.
  for tool in "memcheck --report-api-errors no" racecheck; do
    log=$out/${tool%% *}-$(basename "$1").log
    # shellcheck disable=SC2086  # several words
    timeout 300 compute-sanitizer --tool $tool --error-exitcode 9 "$1" \
      --gtest_filter='-*Speed*:*Large*:*Long*:*Slices*:*Agree*' >"$log" 2>&1
    echo "== ${tool%% *} $(basename "$1"): exit $?, $(tail -n 1 "$log")"
  done
}

sanitize() { on_every_gpu check_test; }

# The most memory in use on any GPU while a command runs.
watch_memory() {
  "$@" &
  local job=$! most=0 used
  while kill -0 $job 2>/dev/null; do
    used=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | sort -n | tail -n 1)
    [ "$used" -gt "$most" ] && most=$used
    sleep 0.3
  done
  echo "nvidia-smi: at most $most MiB in use"
}

# job RANKS MODEL CALIBRATION EVALUATION [OPTION...]: prints what matters.
job() {
  local ranks=$1 model=$2 calibration=$3 evaluation=$4
  shift 4
  echo "-- $ranks ranks, $*"
  timeout 400 "${mpi[@]}" -n "$ranks" "$programs/fp8cal" run \
    --model.path "$model" --calibration.dataset "$calibration" --evaluation.dataset "$evaluation" \
    --runtime.backend "${backend:-cuda}" --runtime.progress "${progress:-none}" \
    --output.result "$scratch/result.h5" "$@" 2>&1 |
    grep -E "tokens/s, .* s$|layers, .* s$|digest|^partition|going on|fp8cal:|rror"
}

# bench NAME RANKS MODEL [OPTION...]: prints the stages; everything goes to OUT/bench-NAME.txt.
bench() {
  local name=$1 ranks=$2 model=$3
  shift 3
  echo "-- bench $name: $ranks ranks, $*"
  timeout 400 "${mpi[@]}" -n "$ranks" "$programs/fp8cal" bench --model.path "$model" \
    --calibration.dataset "$scratch/calibration.u32" \
    --evaluation.dataset "$scratch/evaluation.u32" \
    --runtime.backend cuda --runtime.progress none "$@" >"$out/bench-$name.txt" 2>&1
  sed -n '/^partition/p; /^stage/,/^$/p; s/^fp8cal: /&/p' "$out/bench-$name.txt"
}

every_partition() {  # MODEL CALIBRATION EVALUATION [OPTION...]
  job 1 "$@" --runtime.microbatch 1
  job 1 "$@" --runtime.microbatch 8
  job 1 "$@" --runtime.device_memory 24GiB
  for ranks in 2 4; do
    [ "$gpus" -ge $ranks ] || continue
    for mode in tensor layers sequences; do
      [ "$mode" = layers ] && [[ $1 == *small* ]] && continue  # its 5 layers cannot be shared out
      job $ranks "$@" --partition.mode $mode --runtime.microbatch 2
    done
  done
}

small_job=(--calibration.samples 16 --calibration.sequence_length 512 --evaluation.windows 16)

golden() {
  for model in nano small; do
    [ -d "$models/$model-llama" ] || continue
    job 1 "$models/$model-llama" "$models/$model-calibration.u32" \
      "$models/$model-evaluation.u32" "${small_job[@]}" --runtime.microbatch 4 &&
      cp "$scratch/result.h5" "$out/$model-llama.h5"
  done
}

small() {
  every_partition "$models/small-llama" "$models/small-calibration.u32" \
    "$models/small-evaluation.u32" "${small_job[@]}"
}

recipes() {
  local all=("$models/small-llama" "$models/small-calibration.u32" "$models/small-evaluation.u32"
    --calibration.samples 16 --calibration.sequence_length 512 --evaluation.windows 8
    --scales.recipe "fp8-static,fp8-channel,fp8-dynamic,fp8-weight-only"
    --scales.kv "none,e4m3,e5m2-head")
  job 1 "${all[@]}"
  job 1 "${all[@]}" --runtime.microbatch 1
  job 1 "${all[@]}" --runtime.device_memory 1100MiB
  [ "$gpus" -ge 2 ] || return
  job 2 "${all[@]}" --partition.mode tensor
  job 2 "${all[@]}" --partition.mode sequences
}

make_model() {  # NAME CONFIG
  [ -f "$scratch/$1/model.safetensors.index.json" ] && return
  for set in calibration:256 evaluation:141; do
    python3 -c "import numpy as np; np.random.default_rng(${set#*:}).integers(0, 128000, ${set#*:} * 2048).astype('<u4').tofile('$scratch/${set%:*}.u32')"
  done
  time "${mpi[@]}" -n 4 "$programs/fp8cal" synth --config "$2" "$scratch/$1"
}

make_8b() { make_model 8b "$models/8b.config.json"; }

8b() {
  make_8b
  every_partition "$scratch/8b" "$scratch/calibration.u32" "$scratch/evaluation.u32" \
    --calibration.samples 16 --evaluation.windows 8
}

checkpoint() {
  make_8b
  local recipe=fp8-static-kv-e4m3 made=$scratch/8b-fp8 again=$scratch/8b-fp8-host
  rm -rf "$made" "$again"
  job 1 "$scratch/8b" "$scratch/calibration.u32" "$scratch/evaluation.u32" --calibration.samples 16 \
    --evaluation.windows 8 --scales.recipe fp8-static --scales.kv none,e4m3 \
    --output.checkpoint "$made" --output.checkpoint_recipe $recipe
  cp "$scratch/result.h5" "$scratch/made.h5"
  time CUDA_VISIBLE_DEVICES='' "$programs/fp8cal" export "$scratch/made.h5" \
    --model "$scratch/8b" --out "$again" --recipe $recipe
  cmp "$made/model-00002-of-00005.safetensors" "$again/model-00002-of-00005.safetensors"
  echo "== one file by the job and by the host: exit $?"
  job 1 "$made" none "$scratch/evaluation.u32" --evaluation.windows 8
  python3 - "$scratch" $recipe <<'EOF'
import sys, h5py
nll = [h5py.File(f"{sys.argv[1]}/{name}.h5")[f"perplexity/{sys.argv[2]}/nll"][:].tobytes()
       for name in ("made", "result")]
sys.exit(nll[0] != nll[1])
EOF
  echo "== NLLs of the checkpoint read back: exit $?"
  python3 -c "import compressed_tensors" 2>/dev/null || return
  env -u LD_LIBRARY_PATH python3 "$(dirname "$0")/../independent/read_on_gpu.py" "$made" \
    --result "$scratch/made.h5" --recipe $recipe 2>"$out/read_on_gpu.log"
  echo "== transformers on the checkpoint: exit $?"
}

compare() {
  make_8b
  for answer in no yes; do
    bench "compare-$answer" 1 "$scratch/8b" --calibration.samples 32 --evaluation.windows 48 \
      --scales.kv none,e4m3 --scales.recipe "fp8-static,fp8-dynamic,fp8-weight-only" \
      --evaluation.compare $answer
  done
}

yardstick() {
  make_8b
  env -u LD_LIBRARY_PATH python3 "$models/hf_calibrate.py" "$scratch/8b" 2>&1 | tail -n 1
}

speed() {
  make_8b
  progress=lines watch_memory job 1 "$scratch/8b" "$scratch/calibration.u32" \
    "$scratch/evaluation.u32"
  bench 8b-1 1 "$scratch/8b" --evaluation.compare no
  [ "$gpus" -gt 1 ] || return
  for mode in sequences layers tensor; do
    bench "8b-$gpus-$mode" "$gpus" "$scratch/8b" --partition.mode $mode \
      --scales.recipe fp8-static --evaluation.windows 48
  done
}

wide() {
  sed 's/"num_hidden_layers": *80/"num_hidden_layers": 8/' "$models/70b.config.json" \
    >"$scratch/wide.config.json"
  make_model wide "$scratch/wide.config.json"
  local less=(--calibration.samples 128 --scales.recipe fp8-static --evaluation.windows 32)
  bench wide-1 1 "$scratch/wide" "${less[@]}"
  bench "wide-$gpus" "$gpus" "$scratch/wide" --partition.mode tensor "${less[@]}"
  rm -r "$scratch/wide"
}

make_70b() {
  rm -rf "$scratch/8b"
  make_model 70b "$models/70b.config.json"
}

70b() {
  make_70b
  local all=("$scratch/70b" "$scratch/calibration.u32" "$scratch/evaluation.u32"
    --calibration.samples 4 --evaluation.windows 4 --scales.recipe fp8-static)
  job 4 "${all[@]}" --partition.mode tensor
  job 4 "${all[@]}" --partition.mode sequences
  watch_memory job 1 "${all[@]}" --runtime.device_memory 24GiB
}

70b-whole() {
  make_70b
  progress=lines watch_memory job 4 "$scratch/70b" "$scratch/calibration.u32" \
    "$scratch/evaluation.u32" --scales.recipe fp8-static
  bench 70b 4 "$scratch/70b" --scales.recipe fp8-static --evaluation.windows 16
}

# What saving progress costs at the 8B shape, and that a run goes on from it in other partitions.
resume() {
  make_8b
  local all=("$scratch/8b" "$scratch/calibration.u32" "$scratch/evaluation.u32")
  local saved=(--runtime.checkpoint "$scratch/progress") gone_on=$gpus
  job 1 "${all[@]}"
  cp "$scratch/result.h5" "$out/8b-plain.h5"
  for interval in 60 5; do
    job 1 "${all[@]}" "${saved[@]}" --runtime.checkpoint_interval $interval
    "$programs/fp8cal" audit "$out/8b-plain.h5" "$scratch/result.h5" --json >"$out/audit-$interval.json"
    echo "== audit of the run that saved every $interval s: exit $?"
    python3 - "$out/audit-$interval.json" <<'PYTHON'
import json, sys
runs = {one["key"]: one["b"] for one in json.load(open(sys.argv[1]))["runs"]}
print("saves", runs.get("progress_saves"), "seconds", runs.get("progress_seconds"))
PYTHON
  done
  for seconds in 6 12 18; do
    timeout --preserve-status -s USR1 $seconds "$programs/fp8cal" run --model.path "$scratch/8b" \
      --calibration.dataset "$scratch/calibration.u32" \
      --evaluation.dataset "$scratch/evaluation.u32" --runtime.backend cuda \
      --runtime.progress none --output.result "$scratch/stopped.h5" "${saved[@]}"
    echo "== asked to stop after $seconds s: exit $?"
    ls -l "$scratch/progress"
    progress=lines job "$gone_on" "${all[@]}" "${saved[@]}"
    gone_on=1
  done
}

# watch_host COMMAND...: the host memory that it takes which the system cannot take back, and the most
# that one rank had resident.
watch_host() {
  local job before least resident now
  available() { awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo; }
  before=$(available) least=$before resident=0
  "$@" &
  job=$!
  while kill -0 $job 2>/dev/null; do
    now=$(available)
    [ "$now" -lt "$least" ] && least=$now
    now=$(cat /proc/[0-9]*/status 2>/dev/null | awk '/^Name:/ {ours = $2 == "fp8cal"}
      /^VmHWM:/ && ours && $2 > most {most = $2} END {print int(most / 1024)}')
    [ "$now" -gt "$resident" ] && resident=$now
    sleep 0.1
  done
  echo "host memory: $((before - least)) MiB taken, $resident MiB resident in a rank"
}

host() {
  make_8b
  : >"$scratch/job.ini"
  for memory in 127GiB 24GiB 12GiB; do
    for ranks in 1 $([ "$gpus" -gt 1 ] && echo "$gpus"); do
      local more=(--runtime.device_memory "$memory" --scales.recipe "fp8-static,fp8-dynamic")
      "$programs/fp8cal" submit "$scratch/job.ini" --dry-run --gpus-per-node "$ranks" \
        --model.path "$scratch/8b" --calibration.dataset "$scratch/calibration.u32" \
        --evaluation.dataset "$scratch/evaluation.u32" --runtime.backend cuda \
        --output.result "$scratch/result.h5" "${more[@]}" 2>&1 >/dev/null | grep "host memory"
      watch_host job "$ranks" "$scratch/8b" "$scratch/calibration.u32" \
        "$scratch/evaluation.u32" "${more[@]}"
    done
  done
}

# What a study saves, and that its results are those of jobs of their own.
study() {
  make_8b
  rm -rf "$scratch/study.json" "$scratch/study.json.results"
  printf '[model]\npath = %s\n[calibration]\ndataset = %s\nseed = 1, 2\nsamples = 32, 128\n' \
    "$scratch/8b" "$scratch/calibration.u32" >"$scratch/study.ini"
  printf '[scales]\npolicy = amax, percentile:99.99\n[evaluation]\ndataset = %s\nwindows = 48\n' \
    "$scratch/evaluation.u32" >>"$scratch/study.ini"
  printf '[runtime]\nbackend = cuda\nprogress = none\n[output]\nresult = %s\n' \
    "$scratch/study.json" >>"$scratch/study.ini"
  time "${mpi[@]}" -n "$gpus" "$programs/fp8cal" study "$scratch/study.ini" --csv "$out/study"
  echo "== study: exit $?"
  for seed in 1 2; do
    for policy in amax percentile:99.99; do
      job 1 "$scratch/8b" "$scratch/calibration.u32" "$scratch/evaluation.u32" \
        --calibration.samples 128 --calibration.seed $seed --scales.policy $policy \
        --evaluation.windows 48
      "$programs/fp8cal" audit "$scratch/result.h5" \
        "$scratch/study.json.results/calibration-seed$seed-n128-${policy/:/-}.h5"
      echo "== audit of the study's and the job's: exit $?"
    done
  done
}

# What another backend changes: within the tolerances of docs/audit.md, and not nothing.
tolerances() {
  local all=("$models/small-llama" "$models/small-calibration.u32" "$models/small-evaluation.u32"
    "${small_job[@]}")
  job 1 "${all[@]}"
  cp "$scratch/result.h5" "$out/small-cuda.h5"
  backend=cpu job 1 "${all[@]}"
  cp "$scratch/result.h5" "$out/small-cpu.h5"
  "$programs/fp8cal" audit "$out/small-cpu.h5" "$out/small-cuda.h5" --tolerance-scale 2^-6 \
    --tolerance-ppl 0.05
  echo "== audit of cpu and cuda with tolerances: exit $?"
  "$programs/fp8cal" audit "$out/small-cpu.h5" "$out/small-cuda.h5"
  [ $? -eq 4 ]
  echo "== audit of cpu and cuda without finds a difference: exit $?"
}

# A job that calibrates for some seconds, of so many sequences that it warns: the tests wait for that.
faults() {
  local tokens=$scratch/many.u32
  python3 -c "import numpy as np; np.random.default_rng(1).integers(0, 1000, 520 * 128)\
    .astype('<u4').tofile('$tokens')"
  FP8CAL_PROGRAM=$programs/fp8cal FP8CAL_FAULTY_IO=$programs/faulty_io.so FP8CAL_DATA=$models \
    FP8CAL_FAULT_RANKS=$((gpus < 4 ? gpus : 4)) FP8CAL_FAULT_STREAMED=1100MiB \
    FP8CAL_FAULT_RUNS="${FP8CAL_FAULT_RUNS:-60}" \
    FP8CAL_FAULT_KEYS="--runtime.backend cuda --runtime.deadline 10 \
      --model.path $models/small-llama --calibration.dataset $tokens \
      --calibration.samples 520 --calibration.sequence_length 128 \
      --evaluation.dataset $models/small-evaluation.u32" \
    TMPDIR=$scratch timeout 1200 python3 -B "$(dirname "$0")/../e2e/test_faults.py" 2>&1
}

# profile_8b NAME [OPTION...]: prints its JSON, one line, and keeps it as OUT/profile-NAME.json.
profile_8b() {
  local name=$1
  shift
  echo "-- profile $name: $*"
  timeout 600 "$programs/fp8cal" profile --model.path "$scratch/8b" --runtime.backend cuda --json \
    "$@" >"$out/profile-$name.json" 2>"$out/profile-$name.log"
  echo "== profile $name: exit $?"
  grep '^fp8cal: ' "$out/profile-$name.log"
  cat "$out/profile-$name.json"
}

# A cache of 32 sequences of 32768 tokens takes 128 GiB in BF16: it fits beside FP8 weights alone.
profile() {
  FP8CAL_REQUIRE_GPU=1 run_test "$programs/cuda_decoder_test"
  make_8b
  profile_8b passes --variants bf16,fp8-static,fp8-dynamic,fp8-weight-only --kv bf16,e4m3 \
    --prompts 128,512,2048,8192 --decode-batches 1,8,32,128 --contexts 2048
  profile_8b long --variants bf16,fp8-static --kv bf16 --prompts 32768,131072 \
    --decode-batches 1 --contexts 32768
  profile_8b cache --variants fp8-static --kv bf16,e4m3 --prompts 128 --decode-batches 32 \
    --contexts 32768 --runtime.device_memory 138GiB
  env -u LD_LIBRARY_PATH timeout 300 python3 "$(dirname "$0")/hf_generate.py" "$scratch/8b" \
    2>"$out/hf_generate.log" | tail -n 1
}

for stage in "$@"; do
  echo "==== $stage"
  $stage
done
