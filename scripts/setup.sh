#!/usr/bin/env bash
# Installs what is missing of the packages that fp8cal builds, runs and is tested with, on Debian 12
# or Ubuntu 24.04, as root or through sudo. Quick and silent where nothing is missing. Arguments are
# further packages.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config git ca-certificates
  libopenmpi-dev openmpi-bin libhdf5-dev libboost-program-options-dev libspdlog-dev libfmt-dev
  nlohmann-json3-dev libpcre2-dev libssl-dev
  libgtest-dev libgmock-dev libbenchmark-dev libopenblas-dev python3 python3-h5py python3-numpy
  "$@"
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: need root or sudo to install: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "Installing ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null
