#!/bin/bash
# Bazel's --workspace_status_command: tells actions with `stamp` what is built.
#
#   STABLE_TREE   the hash of the tree that committing everything would make
#                 now: the same before that commit and after it; "unknown"
#                 outside Git
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Through an index and objects of its own: nothing in the repository changes.
tree() {
  local index objects
  index=$(git rev-parse --git-path index) &&
    objects=$(realpath "$(git rev-parse --git-path objects)") &&
    cp --preserve=timestamps "$index" "$folder/index" &&
    mkdir "$folder/objects" &&
    export GIT_INDEX_FILE=$folder/index GIT_OBJECT_DIRECTORY=$folder/objects \
      GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects" &&
    git add --all &&
    git write-tree
}

echo "STABLE_TREE $(tree 2>/dev/null || echo unknown)"
