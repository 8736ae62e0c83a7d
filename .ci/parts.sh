# Runs the parts of .ci/run on two workers, runs again what failed, and reports. To be sourced. $logs is an empty
# folder; in it, for each part: NAME.running or NAME.log, what it has printed; NAME.again, what .ci/again has printed,
# and NAME.again-code, its exit code. results has a line for each part: "CODE SECONDS NAME".
again=.ci/again
workers=()
# Lines about failures in the report, of all parts: so the last 150 lines of CI have all that failed.
MOST_LINES=110

# part NAME COMMAND... runs a part and prints its log when it has ended, one log at a time.
part() {
  local name=$1 begin=$SECONDS code=0
  shift
  echo "ci: $name has begun"
  "$@" >"$logs/$name.running" 2>&1 </dev/null || code=$?
  mv "$logs/$name.running" "$logs/$name.log"
  (
    flock 9
    echo "$code $((SECONDS - begin)) $name" >>"$logs/results"
    echo "ci: $name: exit code $code after $((SECONDS - begin)) s:"
    cat "$logs/$name.log"
  ) 9>"$logs/lock"
}

# Takes the first part of the list for worker $1 off the list, and prints it.
take() {
  local line
  exec 9>"$logs/lock"
  flock 9
  line=$(grep -n -m 1 "^[$1-] " "$logs/list") || return 1
  sed -i "${line%%:*}d" "$logs/list"
  line=${line#*:}
  echo "${line#* }"
}

work() {
  local line
  while line=$(take "$1"); do eval "part $line"; done
}

# Runs the parts that stdin lists, one a line: "WORKER NAME COMMAND...", where WORKER is 1, 2, or - for the one that
# has nothing to do first. Parts of one worker never run at the same time.
run_parts() {
  local each
  cat >"$logs/list"
  cp "$logs/list" "$logs/all"
  set -m
  for each in 1 2; do
    work "$each" &
    workers+=($!)
  done
  set +m
  # Parts that fail do not end a worker. If one was killed, or ended because the disk was full, its parts count as
  # failed.
  for each in "${workers[@]}"; do wait "$each" || true; done
  workers=()
  for each in "$logs"/*.running; do
    if [ -e "$each" ]; then mv "$each" "${each%.running}.log"; fi
  done
  while read -r _ each _; do
    grep -qsE "^[0-9]+ [0-9]+ $each\$" "$logs/results" || echo "1 0 $each" >>"$logs/results"
  done <"$logs/all"
}

# For a trap on EXIT: a part that has not ended shows what it has printed so far.
end_parts() {
  local each log
  for each in "${workers[@]}"; do kill -- "-$each" 2>/dev/null || true; done
  for log in "$logs"/*.running; do
    if [ -e "$log" ]; then echo "ci: $(basename "$log" .running) has NOT ENDED:"; cat "$log"; fi
  done
}

# Runs what failed of each part once more, when nothing else runs.
run_again() {
  local code name
  while read -r code _ name; do
    if [ "$code" = 0 ] || [ ! -e "$logs/$name.log" ]; then continue; fi
    code=0
    "$again" "$name" "$logs/$name.log" >"$logs/$name.again" 2>&1 </dev/null || code=$?
    echo "$code" >"$logs/$name.again-code"
    cat "$logs/$name.again"
  done < <(cat "$logs/results")
}

# failures LOG LINES prints the first lines of a log about failures; without any, its end.
failures() {
  local lines
  lines=$(grep -E -A 14 '^ *not ok|: (failed|killed|has no tests)|SURVIVED|^ERROR|Sanitizer' "$1" | head -n "$2" || true)
  [ -n "$lines" ] || lines=$(tail -n "$2" "$1")
  sed 's/^/    /' <<<"$lines"
}

# Says of each part that failed whether it was run again, and what failed again; then names all parts and counts the
# tests. Returns 1 if a part failed, and failed again if it was run again.
report() {
  local code seconds name each=0 status=0 passed failed=0 skipped outcomes='' unsteady=''
  # tap closes with "# { total: 12, pass: 11, skip: 1 }".
  count() { cat "${@:2}" /dev/null | sed -n "s/^# {.*\b$1: \([0-9]*\).*/\1/p" | awk '{ sum += $1 } END { print sum + 0 }'; }
  each=$((MOST_LINES / (1 + $(grep -cv '^0 ' "$logs/results" || true))))
  while read -r code seconds name; do
    if [ "$code" = 0 ]; then
      outcomes+="ci: $name passed in $seconds s"$'\n'
      continue
    fi
    local log=$logs/$name.log rerun=$logs/$name.again
    local tests
    tests=$(sed -n "s/^ci: $name: once more, alone: //p" "$rerun" 2>/dev/null || true)
    if [ "$(cat "$rerun-code" 2>/dev/null)" = 0 ]; then
      # A test that passes when it runs alone is to be mended, because it depends on time.
      while read -r test; do unsteady+="ci: UNSTEADY: it failed beside other suites and passed alone: $name: $test"$'\n'; done <<<"$tests"
      echo "ci: $name failed at first, with exit code $code:"
      failures "$log" "$each"
      outcomes+="ci: $name passed in $seconds s, after what failed was run again"$'\n'
      continue
    fi
    status=1
    outcomes+="ci: $name FAILED after $seconds s"$'\n'
    if [ ! -e "$log" ]; then
      echo "ci: $name FAILED: it was not begun, or left no log, because its worker had ended"
      continue
    fi
    failed=$((failed + $(count fail "$log")))
    if [ -n "$tests" ]; then
      echo "ci: $name FAILED with exit code $code. Run again, alone: ${tests//$'\n'/, }. What failed again:"
      failures "$rerun" "$each"
    else
      echo "ci: $name FAILED with exit code $code. $(cat "$rerun" 2>/dev/null || echo 'It was not run again'):"
      failures "$log" "$each"
    fi
  done <"$logs/results"
  printf '%s' "$outcomes" "$unsteady"
  passed=$(count pass "$logs"/*.log) skipped=$(count skip "$logs"/*.log)
  if [ "$status" = 1 ] && [ "$failed" = 0 ]; then failed=1; fi
  echo "$passed passed, $failed failed, $skipped skipped"
  return "$status"
}
