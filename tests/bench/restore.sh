#!/usr/bin/env bash
# How long `nightvault restore` takes beside psql of the same dump, already extracted, on this machine: PostgreSQL.
#
#   tests/bench/restore.sh [MIB] [ROUNDS] [JOBS…]     default: 1024 MiB, 3 rounds, jobs 1 and 4
#
# Starts a private server with the settings that PostgreSQL ships (fsync on), makes one large table and some small ones
# with an index and foreign keys, backs them up to a local folder, and restores in turns. Prints the median of each and its ratio to
# psql, the memory of each restore, and what one small table out of the backup reads. No test: figures need a quiet
# machine. Build first: cargo build --release -p nightvault.
set -euo pipefail

mib=${1:-1024} rounds=${2:-3}
shift $(($# < 2 ? $# : 2))
jobs=("$@")
[ ${#jobs[@]} -gt 0 ] || jobs=(1 4)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
nightvault=${NIGHTVAULT:-$root/target/release/nightvault}
[ -x "$nightvault" ] || { echo "build it first: cargo build --release -p nightvault" >&2; exit 2; }
bin=$(pg_config --bindir 2>/dev/null || true)
[ -x "$bin/initdb" ] || bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1)

scratch=$(mktemp -d "${TMPDIR:-/tmp}/nightvault-bench.XXXXXX")
as=()
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  chmod 755 "$scratch"
fi
mkdir "$scratch/server"
[ "$(id -u)" != 0 ] || chown postgres "$scratch/server"
port=$((20000 + RANDOM % 20000))
"${as[@]}" "$bin/initdb" -D "$scratch/server/data" -U postgres -A trust --encoding=UTF8 --locale=C.UTF-8 >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$scratch/server/data" -w -l "$scratch/server/log" \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$scratch/server" start >/dev/null
trap '"${as[@]}" "$bin/pg_ctl" -D "$scratch/server/data" -m immediate stop >/dev/null || true; rm -rf "$scratch"' EXIT
sql() { "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres "$@"; }

# About 207 bytes of dump for each row.
sql -d postgres -c "CREATE DATABASE clinic TEMPLATE template0"
sql -d clinic <<SQL
CREATE TABLE wards (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO wards SELECT i, 'ward ' || i FROM generate_series(1, 100) i;
CREATE TABLE visits (id bigserial PRIMARY KEY, ward int NOT NULL REFERENCES wards, seen timestamptz, code text, note text);
INSERT INTO visits (ward, seen, code, note)
  SELECT 1 + i % 100, timestamptz '2024-01-01' + i * interval '1 minute', 'C' || (i::bigint * 7919) % 100003,
         md5(i::text) || ' came back for the ' || i % 17 || 'th time and was told to rest; ' || md5((i + 1)::text) || md5((i * 3)::text)
  FROM generate_series(1, $mib * 1024 * 1024 / 207) i;
CREATE INDEX visits_code ON visits (code);
SQL

export AWS_EC2_METADATA_DISABLED=true BACKUP_NAME=bench BACKUP_DISK=local BACKUP_LOCAL_PATH="$scratch/vault"
export BACKUP_ARCHIVE_PASSWORD=a-password-for-figures-alone-0123456789
url="postgres://postgres@127.0.0.1:$port"
mkdir "$scratch/vault" "$scratch/out"
DATABASE_URL="$url/clinic?sslmode=disable" "$nightvault" run -q >/dev/null
"$nightvault" extract latest --to "$scratch/out" -q >/dev/null
dump=$(find "$scratch/out" -name '*.sql')
printf 'dump %s bytes, archive %s bytes, %s processors, %s\n' "$(stat -c %s "$dump")" \
  "$(du -sb "$scratch/vault" | cut -f1)" "$(nproc)" "$("$bin/postgres" --version)"

fresh() {
  sql -d postgres -c "DROP DATABASE IF EXISTS copy" -c "CREATE DATABASE copy TEMPLATE template0" -c "CHECKPOINT" 2>/dev/null
}
timed() { # NAME COMMAND…
  local name=$1 begun ended
  shift
  fresh
  begun=$(date +%s%N)
  "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; exit 1; }
  ended=$(date +%s%N)
  echo $(((ended - begun) / 1000000)) >>"$scratch/times.$name"
}
restore() { # JOBS
  if [ -x /usr/bin/time ]; then
    /usr/bin/time -a -o "$scratch/memory.$1" -f %M "$nightvault" restore latest --to "$url/copy?sslmode=disable" --jobs "$1" -q
  else
    "$nightvault" restore latest --to "$url/copy?sslmode=disable" --jobs "$1" -q
  fi
}
cat "$dump" >/dev/null
for _ in $(seq "$rounds"); do
  timed psql sql -d copy --single-transaction -f "$dump"
  for n in "${jobs[@]}"; do timed "jobs-$n" restore "$n"; done
done

median() { sort -n "$scratch/times.$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
base=$(median psql)
printf 'psql --single-transaction  %6d ms  (%s)\n' "$base" "$(tr '\n' ' ' <"$scratch/times.psql")"
for n in "${jobs[@]}"; do
  took=$(median "jobs-$n")
  memory=$([ -f "$scratch/memory.$n" ] && sort -n "$scratch/memory.$n" | tail -1 || echo 0)
  printf 'nightvault --jobs %-8s %6d ms  ratio %s, %d MiB  (%s)\n' "$n" "$took" \
    "$(awk -v a="$took" -v b="$base" 'BEGIN { printf "%.2f", a / b }')" "$((memory / 1024))" "$(tr '\n' ' ' <"$scratch/times.jobs-$n")"
done

for table in wards visits; do
  fresh
  arguments=(--table "$table")
  [ "$table" = wards ] || arguments+=(--with-parents)
  "$nightvault" restore latest --to "$url/copy?sslmode=disable" "${arguments[@]}" -q --json >"$scratch/said"
  printf 'table %s out of it: %s bytes read\n' "$table" "$(sed -n 's/.*"bytes_read": *\([0-9]*\).*/\1/p' "$scratch/said")"
done
