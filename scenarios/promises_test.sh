#!/bin/bash
# Each story and test that the table of promises names is there, each scenario
# of the log's list has a line, and each story is somewhere in the table.
# usage: promises_test.sh TABLE SCENARIOS_PROGRAM, where the tests are below the
# current directory
set -euo pipefail

table=$1
stories=$("$2" --list)
missing=0

complain() {
  echo "$table $1"
  missing=1
}

# The quotes of code in Markdown are no commands.
# shellcheck disable=SC2016
story_pattern='`[A-Z][A-Za-z]+\.[A-Z][A-Za-z0-9]+`'
# shellcheck disable=SC2016
test_pattern='`[a-z0-9_/]+\.(cc|py):[A-Za-z0-9_]+`'

while read -r name; do
  grep -qxF "$name" <<<"$stories" || complain "names $name, which is no story"
done < <(grep -oE "$story_pattern" "$table" | tr -d '`')
while IFS=: read -r file name; do
  grep -qwF "$name" "$file" || complain "names $name, which is not in $file"
done < <(grep -oE "$test_pattern" "$table" | tr -d '`')

for number in $(seq 1 32); do
  grep -qE "^\| S$number \|.*\`" "$table" || complain "proves nothing of S$number"
done
while read -r story; do
  case "$story" in Storm.* | Swarm.*) continue ;; esac
  grep -qF "\`$story\`" "$table" || complain "does not name $story"
done <<<"$stories"
exit "$missing"
