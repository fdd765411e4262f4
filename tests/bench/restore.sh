#!/usr/bin/env bash
# How long `nightvault restore` takes beside the server's own client with the same dump, already extracted, on this machine.
#
#   tests/bench/restore.sh postgres|mariadb [MIB] [ROUNDS] [JOBS…]     default: 1024 MiB, 3 rounds, jobs 1, 2 and 4
#
# Starts a private server with the settings that it ships with (fsync on), fills large tables and a small one with indexes
# and foreign keys, backs them up to a local folder, and restores in turns. Prints the median of each and its ratio to
# the client, the memory of each restore, what one table out of the backup reads, and whether the engine's own dumps of
# original and copy differ. No test: figures need a quiet machine. Build first: cargo build --release -p nightvault.
set -euo pipefail

usage() { sed -n '4p' "${BASH_SOURCE[0]}" >&2; exit 2; }
engine=${1:-} mib=${2:-1024} rounds=${3:-3}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case $engine in postgres | mariadb) ;; *) usage ;; esac
shift $(($# < 3 ? $# : 3))
jobs=("$@")
[ ${#jobs[@]} -gt 0 ] || jobs=(1 2 4)
nightvault=${NIGHTVAULT:-$here/../../target/release/nightvault}
[ -x "$nightvault" ] || { echo "build it first: cargo build --release -p nightvault" >&2; exit 2; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/nightvault-bench.XXXXXX")
chmod 755 "$scratch"
port=$((20000 + RANDOM % 10000))
large=(visits letters invoices notes)
stop_server() { :; }
trap 'stop_server; rm -rf "$scratch"' EXIT

# Each engine says how to start and stop it, to fill `clinic`, to empty `copy`, to load a dump by its client, to dump.
# shellcheck source=tests/bench/postgres.sh
. "$here/$engine.sh"

start_server
fill
export AWS_EC2_METADATA_DISABLED=true BACKUP_NAME=bench BACKUP_DISK=local BACKUP_LOCAL_PATH="$scratch/vault"
export BACKUP_ARCHIVE_PASSWORD=a-password-for-figures-alone-0123456789
mkdir "$scratch/vault" "$scratch/out"
DATABASE_URL=$(url clinic) "$nightvault" run -q >/dev/null
"$nightvault" extract latest --to "$scratch/out" -q >/dev/null
dump=$(find "$scratch/out" -name '*.sql')
printf 'dump %s bytes, archive %s bytes, %s processors, %s\n' "$(stat -c %s "$dump")" \
  "$(du -sb "$scratch/vault" | cut -f1)" "$(nproc)" "$(server_version)"

timed() { # NAME COMMAND…
  local name=$1 begun ended
  shift
  empty_copy
  begun=$(date +%s%N)
  "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; exit 1; }
  ended=$(date +%s%N)
  echo $(((ended - begun) / 1000000)) >>"$scratch/times.$name"
}
restore() { # JOBS
  local measure=()
  [ ! -x /usr/bin/time ] || measure=(/usr/bin/time -a -o "$scratch/memory.$1" -f %M)
  "${measure[@]}" "$nightvault" restore latest --to "$(url copy)" --jobs "$1" -q
}
cat "$dump" >/dev/null
for _ in $(seq "$rounds"); do
  timed client load_by_client "$dump"
  for n in "${jobs[@]}"; do timed "jobs-$n" restore "$n"; done
done

median() { sort -n "$scratch/times.$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
base=$(median client)
printf '%-26s %6d ms  (%s)\n' "$client_name" "$base" "$(tr '\n' ' ' <"$scratch/times.client")"
for n in "${jobs[@]}"; do
  took=$(median "jobs-$n")
  memory=$([ -f "$scratch/memory.$n" ] && sort -n "$scratch/memory.$n" | tail -1 || echo 0)
  printf 'nightvault --jobs %-8s %6d ms  ratio %s, %d MiB  (%s)\n' "$n" "$took" \
    "$(awk -v a="$took" -v b="$base" 'BEGIN { printf "%.2f", a / b }')" "$((memory / 1024))" "$(tr '\n' ' ' <"$scratch/times.jobs-$n")"
done

for database in clinic copy; do dump_of "$database" >"$scratch/dump.$database"; done
cmp "$scratch/dump.clinic" "$scratch/dump.copy"
printf 'no difference between the dumps of original and copy\n'

for table in wards visits; do
  empty_copy
  arguments=(--table "$table")
  [ "$table" = wards ] || arguments+=(--with-parents)
  "$nightvault" restore latest --to "$(url copy)" "${arguments[@]}" -q --json >"$scratch/said"
  printf 'table %s out of it: %s bytes read\n' "$table" "$(sed -n 's/.*"bytes_read": *\([0-9]*\).*/\1/p' "$scratch/said")"
done
