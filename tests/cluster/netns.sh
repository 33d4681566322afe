#!/bin/sh
# Runs a command in namespaces of its own (network, mounts, processes), which route
# between the test cluster's nodes, pods and Services. Nothing in there can reach, or
# be reached from, any other network, and every process ends with the command.
#
# usage: netns.sh COMMAND [ARGUMENT...]
set -eu
exec unshare --net --mount --pid --fork --kill-child --mount-proc sh -euc '
  ip link set lo up
  ip route add local 198.19.0.0/16 dev lo
  ip route add local fd00:198:19::/112 dev lo
  for node in 1 2 3 4 5 6 7 8; do
    ip address add "198.18.0.$node/32" dev lo
    ip address add "fd00::c612:$node/128" dev lo nodad
  done
  for switch in ipv4/ip_forward ipv6/conf/all/forwarding ipv6/ip_nonlocal_bind; do echo 1 >"/proc/sys/net/$switch"; done
  "$@"
' netns "$@"
