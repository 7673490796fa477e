#!/bin/sh
# Everything that must hold before a commit. Each step says its name; the first that fails ends it.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
step() { printf '== %s\n' "$*"; }
step "format"
"$bin/ruff" format --check --quiet .
step "lint"
"$bin/ruff" check --quiet .
step "types"
"$bin/mypy"
step "import contracts"
"$bin/lint-imports" --no-logo

step "house rules"
grep -rnE --include='*.py' 'in_transaction' openlxd_core openlxd_tui openlxd_api | grep -v '^openlxd_core/storage/' &&
    { echo "Error: transactions go through openlxd_core.storage.transaction alone." >&2; exit 1; }
grep -rnE --include='*.py' 'ops\.(AlterField|RemoveField)\(' openlxd_core/storage/migrations &&
    { echo "Error: these lose constraints and child rows in SQLite; use the safe operations." >&2; exit 1; }
[ -z "$(git ls-files keys | grep -vE '^keys/(README\.md|\.gitignore)$')" ] ||
    { echo "Error: keys/ holds README.md and .gitignore, never a secret." >&2; exit 1; }

if command -v systemd-analyze >/dev/null; then
    step "systemd units"
    scripts/check-units.sh
else
    step "systemd units: skipped, there is no systemd-analyze"
fi

step "quick tests"
"$bin/python" -m pytest -q -n auto --dist loadfile -m "not live and not slow" --ignore=tests/browser
