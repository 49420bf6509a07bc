#!/bin/bash
# The checks of `./dev lint`, and `./dev fmt`. Run from the repository's root.
#
# usage: lint.sh [format|build|shell|tidy|clang-tidy]...   (all by default)
#        lint.sh fix
set -euo pipefail

readonly CACHE=$HOME/.cache/quorate
# Too strict for us, or for rules that this Bazel does not have.
readonly WARNINGS=-module-docstring,-function-docstring,-native-cc-binary,-native-cc-import,-native-cc-library,-native-cc-test,-native-sh-test,-native-py

# ours PATTERN...: our files of these names, tracked or new, but not ignored.
ours() {
  git ls-files -co --exclude-standard -- "$@" ':!third_party/stubs' |
    while read -r file; do
      if [ -f "$file" ]; then echo "$file"; fi
    done
}

cpp() { ours '*.cc' '*.h'; }
build_files() { ours WORKSPACE '*BUILD.bazel' '*.bzl'; }
scripts() { ours dev .ci/run '*.sh'; }

# Prints the path of buildifier, after fetching it if it is not there yet.
# Fails when it cannot be fetched: without a network, say.
buildifier() {
  local from=third_party/buildifier arch folder tool
  case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
  folder=$CACHE/buildifier-$(sha256sum $from/package-lock.json | cut -c1-16)
  tool=$folder/node_modules/@bazel/buildifier/buildifier-linux_$arch
  if [ ! -x "$tool" ]; then
    echo "Fetching buildifier" >&2
    mkdir -p "$folder"
    cp $from/package.json $from/package-lock.json "$folder"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund >&2) ||
      return 1
  fi
  echo "$tool"
}

fix() {
  local tool
  cpp | xargs -r -P 2 -n 20 clang-format-19 -i
  tool=$(buildifier)
  build_files | xargs -r "$tool" -mode=fix -lint=fix -warnings="$WARNINGS"
}

check_format() {
  local said
  if said=$(cpp | xargs -r clang-format-19 --dry-run --Werror 2>&1)
  then
    return
  fi
  # One line for each file; what is wrong is best seen after ./dev fmt.
  sed -n 's/^\([^: ]*\):[0-9][0-9]*:.*/\1: not laid out/p' <<<"$said" | sort -u
  return 1
}

check_build() {
  local tool
  if ! tool=$(buildifier); then
    # The one check that needs something from outside Debian.
    echo "lint: BUILD files are not checked: no buildifier"
    return
  fi
  build_files | xargs -r "$tool" -mode=check -lint=warn -warnings="$WARNINGS"
}

check_shell() { scripts | xargs -r shellcheck; }
check_tidy() { third_party/tidy/tidy.py; }
check_clang_tidy() { third_party/tidy/clang_tidy.py; }

main() {
  local name bad=() names=("$@")
  [ $# -gt 0 ] || names=(format build shell tidy clang-tidy)
  for name in "${names[@]}"; do
    case $name in
      fix)
        fix
        return
        ;;
      format | build | shell | tidy | clang-tidy) ;;
      *)
        echo "lint: no check named $name" >&2
        exit 2
        ;;
    esac
    echo "== $name"
    "check_${name//-/_}" || bad+=("$name")
  done
  if [ ${#bad[@]} -gt 0 ]; then
    echo "lint: failed: ${bad[*]} (./dev fmt lays out the sources)"
    exit 1
  fi
  echo "lint: all is well"
}

main "$@"
