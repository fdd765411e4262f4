# shellcheck shell=bash
# What the tests see of the machine: none of the user's own settings, and AWS values that open nothing.

# Forgets every variable that would point a test, a client or the SDK at something of the user's.
forget_users_settings() {
  local name
  for name in $(compgen -v); do
    case "$name" in
      AWS_* | SAM_* | BACKUP_* | DATABASE_URL | DATABASE_SECRET | DB_* | MAIL_* | SLACK_* | PG[A-Z]* | MYSQL_* | MARIADB_* | TEST_*)
        unset "$name"
        ;;
    esac
  done

  export AWS_ACCESS_KEY_ID=AKIDTEST AWS_SECRET_ACCESS_KEY=SECRETTEST
  export AWS_REGION=eu-central-1 AWS_DEFAULT_REGION=eu-central-1
  export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
  # Without it the SDK asks the instance metadata service, and waits.
  export AWS_EC2_METADATA_DISABLED=true
  export SAM_CLI_TELEMETRY=0
  # No tool may fetch another toolchain behind our back.
  export RUSTUP_DIST_SERVER=http://127.0.0.1:9
  # Clients of the dumps, `sort` and messages of servers: the same on every machine.
  export LC_ALL=C.UTF-8 TZ=UTC
  # 7z, initdb and mariadbd do not stand on every user's PATH.
  export PATH="$cache/venv/bin:$cache/bin:$PATH:/usr/lib/postgresql/15/bin:/usr/sbin:/sbin"
}
