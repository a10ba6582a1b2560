#!/usr/bin/env bash
# Installs what the tests of reports open pages with, on Debian 12 or Ubuntu 24.04, as root or through
# sudo. Quick and silent where nothing is missing.
set -euo pipefail
exec "$(dirname "$0")/setup.sh" chromium tidy
