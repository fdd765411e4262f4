# shellcheck shell=bash
# MariaDB for restore.sh, which sets scratch, port and mib.

client_name="mariadb --binary-mode"

start_server() {
  mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$scratch/server" --auth-root-authentication-method=normal \
    --skip-test-db >"$scratch/install.log" 2>&1 || { cat "$scratch/install.log" >&2; return 1; }
  mariadbd --no-defaults --user="$(id -un)" --datadir="$scratch/server" --port="$port" --bind-address=127.0.0.1 \
    --socket="$scratch/sock" --pid-file="$scratch/pid" >"$scratch/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if sql -e 'SELECT 1' >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  cat "$scratch/server.log" >&2
  return 1
}
stop_server() { [ -z "${server:-}" ] || { kill "$server" && wait "$server" || true; }; }
server_version() { mariadbd --version; }
url() { echo "mysql://root@127.0.0.1:$port/$1?ssl-mode=disabled"; }
sql() { mariadb --no-defaults --user=root --socket="$scratch/sock" --batch --skip-column-names "$@"; }

# About 155 bytes of dump for each row; four large tables, two secondary keys each.
fill() {
  local table rows=$((mib * 1024 * 1024 / 155 / 4))
  sql <<SQL
CREATE DATABASE clinic CHARACTER SET utf8mb4;
USE clinic;
CREATE TABLE wards (id int PRIMARY KEY, name varchar(60) NOT NULL);
INSERT INTO wards SELECT seq, CONCAT('ward ', seq) FROM seq_1_to_100;
SQL
  for table in "${large[@]}"; do
    sql clinic <<SQL
CREATE TABLE $table (id bigint PRIMARY KEY AUTO_INCREMENT, ward int NOT NULL, seen datetime, code varchar(20), note varchar(255),
  KEY (code), KEY (seen), FOREIGN KEY (ward) REFERENCES wards (id));
INSERT INTO $table (ward, seen, code, note)
  SELECT 1 + seq % 100, '2024-01-01' + INTERVAL seq MINUTE, CONCAT('C', (seq * 7919) % 100003),
         CONCAT(MD5(seq), ' came back for the ', seq % 17, 'th time; ', MD5(seq + 1)) FROM seq_1_to_$rows;
SQL
  done
}
empty_copy() { sql -e "DROP DATABASE IF EXISTS copy; CREATE DATABASE copy CHARACTER SET utf8mb4"; }
load_by_client() { sql --binary-mode copy <"$1"; }
dump_of() { mariadb-dump --no-defaults --user=root --socket="$scratch/sock" --order-by-primary --skip-dump-date --skip-comments "$1"; }
