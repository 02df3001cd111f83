#!/bin/sh
# Shows what a cluster bears, on this machine: scenario.sh PROGRAM DIRECTORY. Three nodes
# are started in the directory, which is to be new; records are written to the leader, a
# follower is killed with SIGKILL, more is written, the follower is started again, and
# all offsets are read from it. HTTP is on ports 1109 to 1111, raft 6000 above.
set -eu
program=$1 dir=$2
http=${LEAT_CLUSTER_PORT:-1109}
records=20

port() { echo $((http + $1 - 1)); }
list="" sep=""
for i in 1 2 3; do
  list="$list${sep}n$i:127.0.0.1:$(($(port $i) + 6000)):1:$(port $i)"
  sep=,
done
mkdir "$dir"

start() {
  "$program" serve --node-id "n$1" --nodes "$list" --port "$(port "$1")" \
    --data-dir "$dir/n$1" >"$dir/n$1.out" 2>>"$dir/n$1.log" &
  echo $! >"$dir/n$1.pid"
}
ready() {
  tries=0
  until grep -q '^leat ready' "$dir/n$1.out"; do
    tries=$((tries + 1))
    [ "$tries" -le 300 ] || { echo "node n$1 is not ready; its log is $dir/n$1.log" >&2; exit 1; }
    sleep 0.1
  done
}
finish() {
  trap - EXIT INT TERM
  for i in 1 2 3; do kill "$(cat "$dir/n$i.pid")" 2>/dev/null || :; done
  wait
}
trap finish EXIT
trap 'exit 1' INT TERM
leat() { i=$1; shift; "$program" "$@" --server "http://127.0.0.1:$(port "$i")"; }
# write LEADER FROM: writes numbers from FROM on, each acknowledged before the next.
write() {
  n=$2
  while [ "$n" -lt $(($2 + records)) ]; do
    tries=0 # the leader may have moved to the node that was killed: with its key a record is sent again safely
    until leat "$1" produce scenario "record $n" --partition 0 --idempotency-key "key-$n" >/dev/null; do
      tries=$((tries + 1))
      [ "$tries" -le 100 ] || exit 1
      sleep 0.1
    done
    n=$((n + 1))
  done
}

for i in 1 2 3; do start $i; done
for i in 1 2 3; do ready $i; done
leat 1 topic create scenario --partitions 1
leader=$(leat 1 topic describe scenario -o json | sed -n 's/.*"leader": *"n\([0-9]*\)".*/\1/p')
follower=$((leader % 3 + 1))
echo "n$leader leads; writing $records records to it"
write "$leader" 0
echo "kill -9 of n$follower, a follower; writing $records more"
kill -9 "$(cat "$dir/n$follower.pid")"
write "$leader" "$records"
echo "starting n$follower again"
start "$follower"
ready "$follower"
n=0
while [ "$n" -lt $((2 * records)) ]; do
  echo "{\"offset\":$n,\"partition\":0,\"value\":\"record $n\"}"
  n=$((n + 1))
done >"$dir/wanted"
tries=0
until leat "$follower" consume scenario --partition 0 --offset 0 --limit 0 -o json >"$dir/read" && cmp -s "$dir/wanted" "$dir/read"; do
  tries=$((tries + 1))
  [ "$tries" -le 100 ] || { echo "n$follower has not what was written:" >&2; diff "$dir/wanted" "$dir/read" >&2; exit 1; }
  sleep 0.1
done
echo "all $((2 * records)) offsets read from n$follower"
