# shellcheck shell=bash
# Private servers in "$scratch": PostgreSQL, MariaDB, MySQL where it could be had, an S3 server that checks signatures
# (s3s-fs), and ministack, which plays SES, Secrets Manager, Lambda and the rest of AWS, once as it is ("aws") and once
# strictly ("cloud"). Each in a process group of its own, stopped by its id.
#
# `set -e` does not hold in a function that is called by `step` (its result is asked for), so each command that matters
# carries its own `|| return`.

server_groups=()
declare -A server_pids=()
pg=/usr/lib/postgresql/15/bin

# Distinct free ports, below the range from which clients get theirs.
free_ports() {
  "$cache/venv/bin/python" - "$1" <<'PYTHON'
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.randrange(20000, 32000)))
        held.append(s)
    except OSError:
        s.close()
print(*[s.getsockname()[1] for s in held])
PYTHON
}

# launch NAME COMMAND…: starts a server in a process group of its own; its output goes to NAME.log.
launch() {
  local name=$1
  shift
  setsid "$@" >"$scratch/$name.log" 2>&1 </dev/null 9>&- &
  server_groups+=("$!")
  server_pids[$name]=$!
}

# wait_for NAME COMMAND…: polls until the command succeeds; gives up after a minute, or at once when the server is gone.
wait_for() {
  local name=$1 pid=${server_pids[$1]} end=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || [ "$SECONDS" -ge "$end" ]; then
      echo "tests/run: $name did not get ready" >&2
      tail -n 40 "$scratch/$name.log" >&2
      return 1
    fi
    sleep 0.1
  done
}

start_servers() {
  local ports
  ports=$(free_ports 8) || return
  read -r TEST_POSTGRES_PORT TEST_MARIADB_PORT TEST_POSTGRES_TLS_PORT TEST_MARIADB_TLS_PORT mysql_port s3_port aws_port \
    cloud_port <<<"$ports"
  export TEST_POSTGRES_PORT TEST_MARIADB_PORT TEST_POSTGRES_TLS_PORT TEST_MARIADB_TLS_PORT
  export TEST_TLS_CA="$scratch/tls/ca.pem"
  export TEST_MARIADB_SOCKET="$scratch/mariadb.sock"
  # What a database is sent, when it is told to log it.
  export TEST_POSTGRES_LOG="$scratch/postgres.log"
  export TEST_S3_ENDPOINT="http://127.0.0.1:$s3_port" TEST_S3_ROOT="$scratch/s3"
  export TEST_AWS_ENDPOINT="http://127.0.0.1:$aws_port"
  export TEST_CLOUD_ENDPOINT="https://127.0.0.1:$cloud_port" TEST_CLOUD_ROOT="$scratch/cloud"
  # Whatever asks for AWS without saying where gets the emulator, never AWS.
  export AWS_ENDPOINT_URL="$TEST_AWS_ENDPOINT"
  TEST_BIN_DIR="$(target_folder)/debug" || return
  export TEST_BIN_DIR
  # The server of PostgreSQL runs as another user.
  chmod 755 "$scratch" || return

  # It takes the longest to make its data, and does so while the others are started.
  if have_mysql; then launch_mysql || return; fi
  start_postgres && start_mariadb && start_tls && start_s3 && start_aws && start_cloud || return
  if have_mysql; then await_mysql || return; fi
  echo "PostgreSQL $TEST_POSTGRES_PORT, MariaDB $TEST_MARIADB_PORT, MySQL ${TEST_MYSQL_PORT:-none}, S3 $s3_port, AWS $aws_port and $cloud_port; logs in $scratch"
}

target_folder() {
  cargo metadata --format-version 1 --no-deps --locked |
    "$cache/venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])'
}

start_postgres() {
  local data="$scratch/postgres" as=()
  # PostgreSQL refuses root.
  if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    install -d -o postgres -g postgres "$data" || return
  else
    mkdir -p "$data" || return
  fi
  ${as[@]+"${as[@]}"} "$pg/initdb" -D "$data/data" -U postgres -A trust --no-sync --encoding=UTF8 --locale=C.UTF-8 \
    >"$scratch/initdb.log" 2>&1 || { cat "$scratch/initdb.log" >&2; return 1; }
  launch postgres ${as[@]+"${as[@]}"} "$pg/postgres" -D "$data/data" -p "$TEST_POSTGRES_PORT" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories="$data" \
    -c log_line_prefix='%m [%p] %d ' -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=200
  wait_for postgres "$pg/pg_isready" -q -h 127.0.0.1 -p "$TEST_POSTGRES_PORT" -U postgres
}

start_mariadb() {
  local data="$scratch/mariadb" user client
  user=$(id -un)
  mariadb-install-db --no-defaults --user="$user" --datadir="$data" --auth-root-authentication-method=normal \
    --skip-test-db >"$scratch/mariadb-install.log" 2>&1 || { cat "$scratch/mariadb-install.log" >&2; return 1; }
  launch mariadb mariadbd --no-defaults --user="$user" --datadir="$data" --port="$TEST_MARIADB_PORT" \
    --bind-address=127.0.0.1 --socket="$TEST_MARIADB_SOCKET" --pid-file="$scratch/mariadb.pid" --tmpdir="$scratch" \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=256M --max-allowed-packet=256M
  client=(mariadb --no-defaults --default-character-set=utf8mb4 --user=root --socket="$TEST_MARIADB_SOCKET")
  wait_for mariadb "${client[@]}" -e 'SELECT 1' || return
  create_user "${client[@]}"
}

# create_user CLIENT…: a password with every character that breaks an address which is put together as text.
create_user() {
  "$@" <<'SQL'
CREATE USER nightvault@localhost IDENTIFIED BY 'night@vault:/#?% é';
CREATE USER nightvault@127.0.0.1 IDENTIFIED BY 'night@vault:/#?% é';
CREATE USER nightvault@'%' IDENTIFIED BY 'night@vault:/#?% é';
GRANT ALL PRIVILEGES ON *.* TO nightvault@localhost WITH GRANT OPTION;
GRANT ALL PRIVILEGES ON *.* TO nightvault@127.0.0.1 WITH GRANT OPTION;
GRANT ALL PRIVILEGES ON *.* TO nightvault@'%' WITH GRANT OPTION;
SQL
}

# Whether `install_mysql` could have it.
have_mysql() { [ -e "$cache/mysql/.installed" ]; }

launch_mysql() {
  local user
  user=$(id -un)
  export TEST_MYSQL_PORT="$mysql_port" TEST_MYSQL_SOCKET="$scratch/mysql.sock" TEST_MYSQL_PROGRAMS="$cache/mysql/run"
  local options=(--no-defaults --user="$user" --datadir="$scratch/mysql" --lc-messages-dir="$cache/mysql/usr/share/mysql")
  # shellcheck disable=SC2016 # the inner shell's own arguments
  launch mysql bash -c '"$@" --initialize-insecure && exec "$@" --port="$TEST_MYSQL_PORT" --socket="$TEST_MYSQL_SOCKET" \
    --bind-address=127.0.0.1 --pid-file="$0/mysql.pid" --tmpdir="$0" --mysqlx=OFF --secure-file-priv=NULL --disable-log-bin \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=256M --max-allowed-packet=256M' \
    "$scratch" "$TEST_MYSQL_PROGRAMS/mysqld" "${options[@]}"
}

await_mysql() {
  local client=("$TEST_MYSQL_PROGRAMS/mysql" --no-defaults --default-character-set=utf8mb4 --user=root --socket="$TEST_MYSQL_SOCKET")
  wait_for mysql "${client[@]}" -e 'SELECT 1' && create_user "${client[@]}"
}

# A second server of each kind that speaks TLS alone, with a certificate for `localhost` of an authority of our own, and
# logins that the first two do not have: SCRAM, and a password in clear text (as a token of RDS goes).
start_tls() {
  local tls="$scratch/tls" as=()
  mkdir -p "$tls" || return
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Nightvault test authority" \
    -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>"$scratch/openssl.log" || return
  openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$tls/server.key" -out "$tls/server.csr" \
    2>>"$scratch/openssl.log" || return
  openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 30 \
    -extfile <(printf 'subjectAltName=DNS:localhost') -out "$tls/server.pem" 2>>"$scratch/openssl.log" || return

  local data="$scratch/postgres-tls"
  if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    install -d -o postgres -g postgres "$data" || return
    install -o postgres -g postgres -m 600 "$tls/server.key" "$data/server.key" || return
  else
    mkdir -p "$data" && install -m 600 "$tls/server.key" "$data/server.key" || return
  fi
  printf 'scram, with @:/#' >"$tls/password" && chmod 644 "$tls/password" || return
  ${as[@]+"${as[@]}"} "$pg/initdb" -D "$data/data" -U postgres -A scram-sha-256 --pwfile="$tls/password" --no-sync \
    --encoding=UTF8 --locale=C.UTF-8 >"$scratch/initdb-tls.log" 2>&1 || { cat "$scratch/initdb-tls.log" >&2; return 1; }
  printf '%s\n' 'local all all trust' 'hostssl all clear 127.0.0.1/32 password' \
    'hostssl all all 127.0.0.1/32 scram-sha-256' | ${as[@]+"${as[@]}"} tee "$data/data/pg_hba.conf" >/dev/null || return
  launch postgres-tls ${as[@]+"${as[@]}"} "$pg/postgres" -D "$data/data" -p "$TEST_POSTGRES_TLS_PORT" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories="$data" -c fsync=off \
    -c ssl=on -c ssl_cert_file="$tls/server.pem" -c ssl_key_file="$data/server.key"
  wait_for postgres-tls "$pg/pg_isready" -q -h "$data" -p "$TEST_POSTGRES_TLS_PORT" -U postgres || return

  data="$scratch/mariadb-tls"
  mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$data" --auth-root-authentication-method=normal \
    --skip-test-db >"$scratch/mariadb-tls-install.log" 2>&1 || { cat "$scratch/mariadb-tls-install.log" >&2; return 1; }
  launch mariadb-tls mariadbd --no-defaults --user="$(id -un)" --datadir="$data" --port="$TEST_MARIADB_TLS_PORT" \
    --bind-address=127.0.0.1 --socket="$scratch/mariadb-tls.sock" --pid-file="$scratch/mariadb-tls.pid" \
    --tmpdir="$scratch" --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=32M \
    --ssl-ca="$tls/ca.pem" --ssl-cert="$tls/server.pem" --ssl-key="$tls/server.key"
  local client=(mariadb --no-defaults --user=root --socket="$scratch/mariadb-tls.sock")
  wait_for mariadb-tls "${client[@]}" -e 'SELECT 1' || return
  "${client[@]}" -e "CREATE USER tls@'%' IDENTIFIED BY 'pw' REQUIRE SSL; GRANT ALL ON *.* TO tls@'%'; CREATE DATABASE clinic"
}

start_s3() {
  mkdir -p "$TEST_S3_ROOT" || return
  launch s3 "$cache/bin/s3s-fs" --host 127.0.0.1 --port "$s3_port" --access-key AKIDTEST --secret-key SECRETTEST "$TEST_S3_ROOT"
  # Any answer will do: without a signature it is a refusal.
  wait_for s3 curl --silent --output /dev/null --max-time 2 "$TEST_S3_ENDPOINT/"
}

start_aws() {
  # Its defaults listen on every address and keep state at home.
  mkdir -p "$scratch/aws" || return
  launch aws env -C "$scratch/aws" HOME="$scratch/aws" IOT_MTLS_ENABLED=0 SFTP_ENABLED=0 BIND_HOST=127.0.0.1 \
    GATEWAY_PORT="$aws_port" MINISTACK_HOST=127.0.0.1 "$cache/ministack/bin/ministack"
  wait_for aws curl --silent --fail --output /dev/null --max-time 2 "$TEST_AWS_ENDPOINT/_ministack/health"
}

# The emulator that the whole stack is deployed into. It judges each call of a function by the function's role and the
# bucket's policy, checks its signature, and speaks TLS alone, since that policy refuses everything else.
start_cloud() {
  local home="$TEST_CLOUD_ROOT" ca="$TEST_CLOUD_ROOT/tls/ca.pem"
  mkdir -p "$home" && make_certificate "$home/tls" || return
  # The functions are its children: they call back to where it is, and trust its certificate.
  launch cloud env -C "$home" HOME="$home" TMPDIR="$home" AWS_ENDPOINT_URL="$TEST_CLOUD_ENDPOINT" SSL_CERT_FILE="$ca" \
    AUTH=true USE_SSL=1 MINISTACK_SSL_CERT="$home/tls/server.pem" MINISTACK_SSL_KEY="$home/tls/server.key" \
    IOT_MTLS_ENABLED=0 SFTP_ENABLED=0 BIND_HOST=127.0.0.1 GATEWAY_PORT="$cloud_port" MINISTACK_HOST=127.0.0.1 \
    "$cache/ministack/bin/ministack"
  wait_for cloud curl --silent --fail --output /dev/null --max-time 2 --cacert "$ca" "$TEST_CLOUD_ENDPOINT/_ministack/health"
}

# make_certificate FOLDER: ca.pem, which is good for nothing but this, and server.pem with server.key for 127.0.0.1.
make_certificate() (
  mkdir -p "$1" && cd "$1" || return
  printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >extensions
  {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=Nightvault's tests" -keyout ca.key -out ca.pem &&
      openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" -keyout server.key -out server.csr &&
      openssl x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out server.pem
  } >openssl.log 2>&1 || { cat openssl.log >&2; return 1; }
)

print_exports() {
  local name
  for name in $(compgen -e TEST_) $(compgen -e AWS_); do printf 'export %s=%q\n' "$name" "${!name}"; done
}

show_server_logs() {
  local name
  for name in postgres mariadb mysql postgres-tls mariadb-tls s3 aws cloud; do
    [ -e "$scratch/$name.log" ] || continue
    printf '\n--- last lines of %s.log\n' "$name" >&2
    tail -n 40 "$scratch/$name.log" >&2 || true
  done
}

# Stops what was started, in the reverse order: politely, then for good.
stop_servers() {
  local pid end
  for pid in ${server_groups[@]+"${server_groups[@]}"}; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  end=$((SECONDS + 10))
  for pid in ${server_groups[@]+"${server_groups[@]}"}; do
    while kill -0 -- "-$pid" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.1; done
    kill -KILL -- "-$pid" 2>/dev/null || true
  done
}
