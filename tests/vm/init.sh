#!/bin/busybox sh
# First process of the guest, in the initramfs: loads the modules, puts a writable overlay over the host's tree and
# hands over to session.sh there. Reports on the virtio-serial port "control".
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev

fail() {
  echo "guest: $1" >/dev/console
  if [ -n "$control" ]; then echo "failed $1" >"$control"; fi
  $bb reboot -f
}

# Devices of virtio-serial get their names some time after the driver is loaded.
port() {
  tries=0
  while [ $tries -lt 500 ]; do
    for name in /sys/class/virtio-ports/*/name; do
      if [ "$($bb cat "$name" 2>/dev/null)" = "$1" ]; then
        device=${name%/name}
        echo "/dev/${device##*/}"
        return 0
      fi
    done
    tries=$((tries + 1))
    $bb usleep 10000
  done
  return 1
}

# cmdline NAME: the value of NAME=VALUE on the kernel's command line.
cmdline() {
  for word in $($bb cat /proc/cmdline); do
    case $word in "$1"=*) echo "${word#*=}" ;; esac
  done
}

control=
while read -r module; do
  # shellcheck disable=SC2086 # a line may hold parameters
  $bb insmod /modules/$module || fail "insmod $module"
done </modules/order

control=$(port control) || fail "no control port"
if [ "$(cmdline guest.mode)" = probe ]; then
  echo ready >"$control"
  $bb reboot -f
fi
stdout=$(port stdout) || fail "no stdout port"
stderr=$(port stderr) || fail "no stderr port"

$bb mkdir -p /lower /upper /alias /root
$bb mount -t virtiofs -o ro host /lower || fail "mount virtiofs"
$bb mount -t tmpfs -o mode=755,size=75% tmpfs /upper || fail "mount tmpfs"
$bb mkdir /upper/data /upper/work
$bb mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root ||
  fail "mount overlay"

# The alias shows what the fresh mounts on /run and /tmp are about to hide.
$bb mount --bind /root /alias
job=/lower$(cmdline guest.job)
$bb mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp
$bb mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /root/run
$bb mount -t tmpfs -o mode=1777 tmpfs /root/tmp
while read -r path; do
  if [ -d "/alias$path" ]; then
    $bb mkdir -p "/root$path"
  elif [ -e "/alias$path" ]; then
    $bb mkdir -p "/root${path%/*}" && $bb touch "/root$path"
  else
    continue
  fi
  $bb mount --bind "/alias$path" "/root$path" || fail "expose $path"
done <"$job/expose"

release=$($bb uname -r)
$bb mkdir -p "/root/lib/modules/$release" /root/run/guest
$bb mount --bind "/alias$(cmdline guest.modules)/$release" "/root/lib/modules/$release" ||
  fail "bind the modules"
$bb cp "$job/command.sh" /session.sh /bin/busybox /root/run/guest/ || fail "copy the job"

$bb mount --move /proc /root/proc
$bb mount --move /sys /root/sys
$bb mount --move /dev /root/dev
exec $bb switch_root /root /run/guest/busybox sh /run/guest/session.sh "$control" "$stdout" "$stderr"
