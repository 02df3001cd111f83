#!/bin/sh
# Starts a cluster on this machine: cluster.sh PROGRAM DIRECTORY [NODES]. The nodes are
# n1, n2, … with HTTP on ports 1109, 1110, … and raft on 7109, 7110, …; the data and the
# logs are kept in the directory, and the same command goes on with them. It ends with
# its nodes, all of them in good order.
set -eu
program=$1 dir=$2 nodes=${3:-3}
http=${LEAT_CLUSTER_PORT:-1109}
raft=$((http + 6000))

list="" sep=""
for i in $(seq 1 "$nodes"); do
  list="$list${sep}n$i:127.0.0.1:$((raft + i - 1)):1:$((http + i - 1))"
  sep=,
done
mkdir -p "$dir"
# A terminal sends ^C to all of its processes, and a second signal ends a node at once.
apart=$(command -v setsid || :)
pids=""
stop() {
  trap - INT TERM
  for pid in $pids; do kill "$pid" 2>/dev/null || :; done
  wait
}
trap 'stop; exit 0' INT TERM
for i in $(seq 1 "$nodes"); do
  : >"$dir/n$i.out"
  $apart "$program" serve --node-id "n$i" --nodes "$list" --port $((http + i - 1)) \
    --data-dir "$dir/n$i" >"$dir/n$i.out" 2>>"$dir/n$i.log" &
  pids="$pids $!"
done
failed() {
  echo "node n$1 $2; its log:" >&2
  tail -5 "$dir/n$1.log" >&2
  stop
  exit 1
}
alive() {
  n=0
  for pid in $pids; do
    n=$((n + 1))
    kill -0 "$pid" 2>/dev/null || failed $n "has ended"
  done
}
for i in $(seq 1 "$nodes"); do
  tries=0
  until grep -q '^leat ready' "$dir/n$i.out"; do
    alive
    tries=$((tries + 1))
    [ "$tries" -le 300 ] || failed "$i" "is not ready"
    sleep 0.1
  done
  echo "n$i: $(cut -d' ' -f3 "$dir/n$i.out")"
done
echo "leat cluster ready"
wait
