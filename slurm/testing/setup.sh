#!/usr/bin/env bash
# Installs Slurm and munge for cluster.sh, on Debian 12 or Ubuntu 24.04, as root or through sudo. Quick
# and silent where nothing is missing.
set -euo pipefail
exec "$(dirname "$0")/../../scripts/setup.sh" slurm-wlm munge shellcheck
