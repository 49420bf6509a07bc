#!/bin/bash
# The swarm under seeds that belong to the tree under test: each commit tries
# some that nobody has tried before, and tries the same ones again.
#
# usage: fresh_swarm.sh SCENARIOS TREE_FILE SEEDS
set -euo pipefail
tree=$(cat "$2")
first=$((16#$(sha256sum <<<"$tree" | cut -c1-12)))
echo "Fresh seeds for the tree $tree: the first is $first. All of them again:"
echo "  ./dev sim --first_seed=$first --seeds=$3"
exec "$1" --scenario=Swarm. --first_seed="$first" --seeds="$3"
