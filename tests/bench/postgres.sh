# shellcheck shell=bash
# PostgreSQL for restore.sh, which sets scratch, port and mib.

client_name="psql --single-transaction"
bin=$(pg_config --bindir 2>/dev/null || true)
[ -x "$bin/initdb" ] || bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1)
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=postgres --regid=postgres --clear-groups)

start_server() {
  mkdir "$scratch/server"
  [ "$(id -u)" != 0 ] || chown postgres "$scratch/server"
  "${as[@]}" "$bin/initdb" -D "$scratch/server/data" -U postgres -A trust --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$scratch/server/data" -w -l "$scratch/server/log" \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$scratch/server" start >/dev/null
}
stop_server() { "${as[@]}" "$bin/pg_ctl" -D "$scratch/server/data" -m immediate stop >/dev/null || true; }
server_version() { "$bin/postgres" --version; }
url() { echo "postgres://postgres@127.0.0.1:$port/$1?sslmode=disable"; }
sql() { "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres "$@"; }

# About 207 bytes of dump for each row; four large tables, two indexes each.
fill() {
  local table rows=$((mib * 1024 * 1024 / 207 / 4))
  sql -d postgres -c "CREATE DATABASE clinic TEMPLATE template0"
  sql -d clinic <<SQL
CREATE TABLE wards (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO wards SELECT i, 'ward ' || i FROM generate_series(1, 100) i;
SQL
  for table in "${large[@]}"; do
    sql -d clinic <<SQL
CREATE TABLE $table (id bigserial PRIMARY KEY, ward int NOT NULL REFERENCES wards, seen timestamptz, code text, note text);
INSERT INTO $table (ward, seen, code, note)
  SELECT 1 + i % 100, timestamptz '2024-01-01' + i * interval '1 minute', 'C' || (i::bigint * 7919) % 100003,
         md5(i::text) || ' came back for the ' || i % 17 || 'th time and was told to rest; ' || md5((i + 1)::text) || md5((i * 3)::text)
  FROM generate_series(1, $rows) i;
CREATE INDEX ${table}_code ON $table (code);
SQL
  done
}
empty_copy() {
  sql -d postgres -c "DROP DATABASE IF EXISTS copy" -c "CREATE DATABASE copy TEMPLATE template0" -c "CHECKPOINT" 2>/dev/null
}
load_by_client() { sql -d copy --single-transaction -f "$1"; }
# Rows in the order of their keys: parts that were loaded at the same time lie in the table as they came.
dump_of() {
  "$bin/pg_dump" -h 127.0.0.1 -p "$port" -U postgres --schema-only -d "$1" | grep -v '^\\\(un\)\?restrict '
  local table
  for table in wards "${large[@]}"; do sql -d "$1" -c "COPY (SELECT * FROM $table ORDER BY id) TO STDOUT"; done
}
