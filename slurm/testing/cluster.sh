#!/usr/bin/env bash
# A Slurm cluster for tests on this machine alone, of Debian's slurm-wlm and munge:
#   cluster.sh start FOLDER             3 nodes, n1 to n3, of 4 cores, 12000 MB and 2 GPUs each (as far as
#                                       Slurm knows), on loopback ports; prints the path for SLURM_CONF
#   cluster.sh stop FOLDER              ends all of it
#   cluster.sh kill-daemon FOLDER NODE  kills a node's slurmd; what it runs goes on
#   cluster.sh crash FOLDER NODE        kills all that runs on a node
#   cluster.sh start-node FOLDER NODE   after either
# Configuration, keys, spools, logs and sockets lie in FOLDER, whose path must hold no blanks and be
# short (a socket's path has 107 characters at most); nothing outside of it is touched.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
command=$1
folder=$(realpath -m "$2")
nodes=(n1 n2 n3)
export SLURM_CONF=$folder/slurm.conf

fail() {
  echo "cluster.sh: $*" >&2
  exit 1
}

# Free ports in a row.
free_ports() {  # COUNT
  python3 - "$1" <<'PYTHON'
import random, socket, sys
count = int(sys.argv[1])
while True:
    first = random.randrange(20000, 32000)
    opened = []
    try:
        for port in range(first, first + count):
            opened.append(socket.socket())
            opened[-1].bind(("127.0.0.1", port))
        break
    except OSError:
        pass
    finally:
        for one in opened:
            one.close()
print(first)
PYTHON
}

write_configuration() {
  local user host first
  user=$(id -un)
  host=$(hostname -s)
  first=$(free_ports $((1 + ${#nodes[@]})))
  cat >"$SLURM_CONF" <<CONF
ClusterName=fp8caltest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$first
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,sched_interval=2
SlurmdParameters=config_overrides
SlurmctldParameters=idle_on_node_suspend
MpiDefault=none
ReturnToService=2
SlurmdTimeout=6
KillWait=8
GresTypes=gpu
NodeName=n[1-${#nodes[@]}] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((first + 1))-$((first + ${#nodes[@]}))] CPUs=4 RealMemory=12000 Gres=gpu:2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=30 GraceTime=10 State=UP
PartitionName=one Nodes=n1 MaxTime=5 State=UP
PartitionName=urgent Nodes=ALL MaxTime=5 PriorityTier=10 State=UP
CONF
  touch "$folder/gpu0" "$folder/gpu1"  # Slurm 22.05 takes no GPUs without a device's file
  echo "NodeName=n[1-${#nodes[@]}] Name=gpu File=$folder/gpu[0-1]" >"$folder/gres.conf"
}

start_munge() {
  # Of at least 32 bytes, for its owner alone.
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
    --seed-file="$folder/munged.seed" || fail "munged does not start: $(tail -n 1 "$folder/munged.log")"
}

start_node() { slurmd -N "$1" -f "$SLURM_CONF" || fail "slurmd of $1 does not start"; }

# What a node runs: its daemon, and the processes of jobs with their slurmstepd.
crash() {
  local node=$1 process parent
  end "slurmd-$node" KILL
  (grep -lsz "^SLURMD_NODENAME=$node\$" /proc/[0-9]*/environ || true) | cut -d/ -f3 |
    while read -r process; do
      grep -qsz "^SLURM_CONF=$SLURM_CONF\$" "/proc/$process/environ" || continue
      parent=$(awk '/^PPid:/ {print $2}' "/proc/$process/status" 2>/dev/null) || continue
      [[ $(cat "/proc/$parent/comm" 2>/dev/null) != slurmstepd ]] || kill -s KILL "$parent" || true
      kill -s KILL "$process" 2>/dev/null || true
    done
}

# A daemon's process, from its file.
process_of() { cat "$folder/$1.pid" 2>/dev/null; }

end() {  # DAEMON [SIGNAL]
  local process
  process=$(process_of "$1") || return 0
  kill -s "${2:-TERM}" "$process" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$process" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -s KILL "$process" 2>/dev/null || true
}

start() {
  local program
  for program in munged slurmctld slurmd; do
    command -v $program >/dev/null || fail "$program is not installed: slurm/testing/setup.sh"
  done
  [ ${#folder} -le 90 ] || fail "path of more than 90 characters: $folder"
  [[ $folder != *[[:space:]]* ]] || fail "path with blanks: $folder"
  mkdir -p "$folder/state"
  chmod 755 "$folder"
  write_configuration
  start_munge
  slurmctld -f "$SLURM_CONF" || fail "slurmctld does not start: $(tail -n 1 "$folder/slurmctld.log")"
  for node in "${nodes[@]}"; do
    mkdir -p "$folder/spool-$node"
    start_node "$node"
  done
  for _ in $(seq 150); do
    [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | sort -u | wc -l)" -eq ${#nodes[@]} ] &&
      echo "$SLURM_CONF" && return
    sleep 0.2
  done
  fail "the nodes are not ready after 30 s: $(grep -h error: "$folder"/slurm*.log | tail -n 1)"
}

stop() {
  timeout 5 scancel --user="$(id -un)" 2>/dev/null || true
  for _ in $(seq 60); do  # jobs that end leave no processes behind
    [ -n "$(timeout 5 squeue -h 2>/dev/null)" ] || break
    sleep 0.2
  done
  for node in "${nodes[@]}"; do end "slurmd-$node"; done
  end slurmctld
  end munged
}

case $command in
  start) start ;;
  stop) stop ;;
  kill-daemon) end "slurmd-$3" KILL ;;
  crash) crash "$3" ;;
  start-node) start_node "$3" ;;
  *) fail "'$command': expected start, stop, kill-daemon, crash or start-node" ;;
esac
