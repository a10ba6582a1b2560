#!/usr/bin/env bash
# bash bind.sh PROGRAM [ARGUMENT...]: runs it as one rank of several on this host, bound to its share
# of the cores near its GPU, so that its memory is near as well. Ranks take the host's GPUs in turn.
# Without GPUs, each gets its share of all cores; where there are fewer cores than ranks, all of them.
set -u
export CUDA_DEVICE_ORDER=PCI_BUS_ID # that of nvidia-smi
sys=${FP8CAL_SYS:-/sys}
rank=${OMPI_COMM_WORLD_LOCAL_RANK:-${SLURM_LOCALID:-0}}
ranks=${OMPI_COMM_WORLD_LOCAL_SIZE:-${SLURM_NTASKS_PER_NODE:-1}}

# "0-2,8" as "0 1 2 8".
numbers_of() {
  local part
  for part in ${1//,/ }; do
    seq -s ' ' "${part%-*}" "${part#*-}"
  done
}

# A line a GPU that the job may use: the cores near it as the kernel lists them, or nothing.
cores_near_gpus() {
  local gpus gpu bus
  command -v nvidia-smi >/dev/null || return
  gpus=${CUDA_VISIBLE_DEVICES:-$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)}
  for gpu in ${gpus//,/ }; do
    bus=$(nvidia-smi -i "$gpu" --query-gpu=pci.bus_id --format=csv,noheader 2>/dev/null)
    bus=${bus,,}
    cat "$sys/bus/pci/devices/${bus#0000}/local_cpulist" 2>/dev/null || echo
  done
}

# The share of `rank` of the cores $1 (as "0-2,8"), as the one numbered $2 of $3 that share them:
# whole cores with all of their threads.
share_of() {
  local cpu core cores=() threads=() wanted
  declare -A cpus_of=()
  for cpu in $(numbers_of "$1"); do
    [[ " $allowed " = *" $cpu "* ]] || continue
    core=$(cat "$sys/devices/system/cpu/cpu$cpu/topology/thread_siblings_list" 2>/dev/null)
    core=${core:-$cpu}
    [ -n "${cpus_of[$core]:-}" ] || cores+=("$core")
    cpus_of[$core]+=" $cpu"
  done
  [ ${#cores[@]} -ge "$3" ] || return
  for wanted in "${cores[@]:${#cores[@]} * $2 / $3:${#cores[@]} * ($2 + 1) / $3 - ${#cores[@]} * $2 / $3}"; do
    # shellcheck disable=SC2206  # several numbers
    threads+=(${cpus_of[$wanted]})
  done
  (IFS=, && echo "${threads[*]}")
}

allowed=$(numbers_of "$(taskset -cp $$ | sed 's/.*: //')")
allowed=${allowed//$'\n'/ }
mapfile -t near < <(cores_near_gpus)
if [ ${#near[@]} -gt 0 ]; then
  mine=${near[rank % ${#near[@]}]}
else
  near=("${allowed// /,}")
  mine=${near[0]}
fi
# Ranks whose GPUs are near the same cores share them.
before=0 sharing=0
for ((other = 0; other < ranks; ++other)); do
  [ "${near[other % ${#near[@]}]}" = "$mine" ] || continue
  [ $other -ge "$rank" ] || before=$((before + 1))
  sharing=$((sharing + 1))
done
cpus=$(share_of "$mine" $before $sharing)
[ -z "$cpus" ] || exec taskset -c "$cpus" "$@"
exec "$@"
