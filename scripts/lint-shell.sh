#!/usr/bin/env bash
# Runs shellcheck over every program, together with the files it sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t programs < <(git ls-files --cached --others --exclude-standard scripts e2e .ci |
    while read -r file; do
        if [[ -f $file ]] && head -n 1 "$file" | grep -qE '^#!.*\b(bash|sh)$'; then printf '%s\n' "$file"; fi
    done)
shellcheck --external-sources --check-sourced --source-path=SCRIPTDIR "${programs[@]}"
