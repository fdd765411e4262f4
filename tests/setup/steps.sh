# shellcheck shell=bash
# Runs the steps one after the other, measures them, and says at the end what became of each. A failing step does not
# keep the later ones from running, so that one run tells everything; steps that need a failed one are skipped.

summary=()
failed=()
# What was not checked, and why; said again at the very end.
unchecked=()

# step NAME COMMAND…
step() {
  local name=$1 before=$SECONDS result=ok
  shift
  case "$name" in
    servers) needs_step build "$name" || return 0 ;;
    tests) needs_step build "$name" && needs_step servers "$name" || return 0 ;;
  esac
  printf '\n=== %s\n' "$name"
  "$@" || result="FAILED ($?)"
  [ "$result" = ok ] || failed+=("$name")
  if [ "$name" = tests ] && [ "$result" != ok ]; then show_server_logs; fi
  summary+=("$(printf '%-34s %5d s  %s' "$name" $((SECONDS - before)) "$result")")
}

# needs_step NEEDED NAME: fails, and notes it, when NEEDED failed or was itself skipped.
needs_step() {
  local name
  for name in ${failed[@]+"${failed[@]}"}; do
    if [ "$name" = "$1" ]; then
      failed+=("$2")
      summary+=("$(printf '%-34s %5s    skipped: %s failed' "$2" - "$1")")
      return 1
    fi
  done
}

# Every failed check fails the step; what a template does otherwise on purpose stands in it, with the reason.
check_templates() {
  "$cache/checkov/bin/checkov" --framework cloudformation --compact --quiet --skip-download --file template.yaml infra/*.yaml
}

# deny.toml says what is asked. The advisories are those of RustSec's database, which is fetched from where it is kept;
# without a way there the crates are not checked against it, and that is said.
check_crates() {
  local deny="$cache/deny/bin/cargo-deny"
  "$deny" --locked check licenses bans sources || return
  if timeout 120 "$deny" --locked fetch db; then
    "$deny" --locked check advisories
  else
    unchecked+=("advisories of the crates: RustSec's database could not be fetched from this machine")
  fi
}

# run_tests ARGUMENTS OF cargo test…: the tests that are ignored need MySQL, and nothing else; they run where it is.
run_tests() {
  local arguments=("$@") had names
  if ! have_mysql; then
    names=$(cargo test --quiet --locked -p nightvault-tests --test system -- --ignored --list --format terse) || return
    unchecked+=("MySQL, which Debian's unstable alone has, could not be had from this machine ($cache/mysql.log says why):"
      "$(sed -n 's/: test$//p' <<<"$names" | paste -sd ' ')")
    cargo test --workspace --locked "$@"
    return
  fi
  had=$(tail -n 1 "$cache/mysql/.installed")
  [ "$had" = "$MYSQLD_SPEC" ] || unchecked+=("$MYSQLD_SPEC, which is no longer to be had; MySQL is that of $had")
  case " $* " in
    *" --ignored "* | *" --include-ignored "*) ;;
    *" -- "*) arguments+=(--include-ignored) ;;
    *) arguments+=(-- --include-ignored) ;;
  esac
  cargo test --workspace --locked "${arguments[@]}"
}

# Prints the summary and ends: 0 when every step passed.
finish() {
  printf '\n=== summary\n'
  printf '%s\n' "${summary[@]}"
  printf '%-34s %5d s\n' "all" "$SECONDS"
  if [ ${#unchecked[@]} -gt 0 ]; then printf 'NOT CHECKED: %s\n' "${unchecked[@]}"; fi
  if [ ${#failed[@]} -gt 0 ]; then
    printf 'tests/run: failed: %s\n' "${failed[*]}" >&2
    exit 1
  fi
  echo "tests/run: all passed${unchecked:+, but for what was not checked}"
  exit 0
}
