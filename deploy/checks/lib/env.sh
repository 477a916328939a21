# Sourced by the checks: where things are, and how a result is told.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
LIB=$ROOT/deploy/checks/lib
# Everything that the checks make lies here and nowhere else.
WORK=${CHECKS_DIR:-$ROOT/target/checks}
mkdir -p "$WORK"
cd "$ROOT"

ok() { printf 'ok    %s\n' "$*"; }
fail() { printf 'FAIL  %s\n' "$*" >&2; exit 1; }

# Exit 77 is "skipped", as in automake; `all` prints it with the reason.
skip() { printf 'skip  %s\n' "$*"; exit 77; }

need() {
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed (see docs/operations.md, Checks)"; done
}

# `passes NAME COMMAND...` and `is_caught NAME COMMAND...`: the command has to succeed, or to fail.
passes() {
    local name=$1; shift
    "$@" >"$WORK/last.log" 2>&1 || { cat "$WORK/last.log" >&2; fail "$name"; }
    ok "$name"
}
is_caught() {
    local name=$1; shift
    if "$@" >"$WORK/last.log" 2>&1; then cat "$WORK/last.log" >&2; fail "not caught: $name"; fi
    ok "caught: $name"
}

# A Python with requirements.txt, made once.
checks_python() {
    [ -x "$WORK/venv/bin/python" ] && [ "$WORK/venv/made" -nt "$ROOT/deploy/checks/requirements.txt" ] && return
    python3 -m venv "$WORK/venv" || skip "python3 has no venv module (Debian: python3-venv)"
    "$WORK/venv/bin/pip" -q --disable-pip-version-check install -r "$ROOT/deploy/checks/requirements.txt"
    touch "$WORK/venv/made"
}
python() { "$WORK/venv/bin/python" "$@"; }

# `built VARIABLE PACKAGE PROGRAM`: the variable holds a program, the one it named already or what cargo builds.
built() {
    [ -n "${!1:-}" ] && return
    command -v cargo >/dev/null || skip "set $1 to a binary, or install cargo"
    cargo build --quiet --release -p "$2"
    printf -v "$1" '%s' "${CARGO_TARGET_DIR:-target}/release/$3"
}
binary() { built SPADEWORK spadework-service spadework; }
trainer() { built TRAINER spadework-training spadework-train; }
