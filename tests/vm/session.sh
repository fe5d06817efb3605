# Second stage of the guest, on the overlay of the host's tree: completes the mounts, runs command.sh and reports its
# exit code. Arguments: the virtio-serial ports for control, stdout and stderr.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
bb=/run/guest/busybox
exec 3>"$1"

$bb mkdir -p /dev/pts /dev/shm /run/lock /run/netns
$bb mount -t devpts -o mode=620,ptmxmode=666,gid=5 devpts /dev/pts
$bb mount -t tmpfs -o mode=1777 tmpfs /dev/shm
$bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
$bb ln -sf /proc/self/fd /dev/fd
$bb ln -sf /proc/self/fd/0 /dev/stdin
$bb ln -sf /proc/self/fd/1 /dev/stdout
$bb ln -sf /proc/self/fd/2 /dev/stderr
if [ ! -L /var/run ]; then $bb mkdir -p /var/run && $bb mount --bind /run /var/run; fi
# As on a machine with systemd: mounts propagate, so a bind in /run/netns is seen in later mount namespaces.
$bb mount --make-rshared /
$bb ip link set lo up
$bb hostname guest

# The ports cannot be opened twice and know no end of file: the command gets pipes.
$bb mkfifo /run/guest/stdout /run/guest/stderr
$bb cat </run/guest/stdout >"$2" &
copy_stdout=$!
$bb cat </run/guest/stderr >"$3" &
copy_stderr=$!

echo ready >&3
$bb setsid $bb sh /run/guest/command.sh </dev/null >/run/guest/stdout 2>/run/guest/stderr 3>&-
status=$?

# Whatever the command left running holds the pipes open. Kernel threads and zombies have no executable.
pass=0
left=yes
while [ $left = yes ] && [ $pass -lt 300 ]; do
  left=no
  pass=$((pass + 1))
  for process in /proc/[0-9]*; do
    case ${process#/proc/} in 1 | "$copy_stdout" | "$copy_stderr") continue ;; esac
    if [ -e "$process/exe" ]; then
      kill -9 "${process#/proc/}" 2>/dev/null
      left=yes
    fi
  done
  if [ $left = yes ]; then $bb usleep 10000; fi
done
wait $copy_stdout
wait $copy_stderr
echo "exit $status" >&3
$bb reboot -f
