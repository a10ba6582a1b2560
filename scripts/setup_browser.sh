#!/usr/bin/env bash
# Installs what the tests of reports open and check pages with, on Debian 12, as root or through sudo;
# Ubuntu packages no Chromium. Quick and silent where nothing is missing.
set -euo pipefail
exec "$(dirname "$0")/setup.sh" chromium tidy
