#!/usr/bin/env bash
# The Debian package is made, and installed and used in a clean system in a folder.
set -euo pipefail

work=$temporary/package
mkdir "$work"
deb=$(scripts/deb --out "$work" | tail -n 1)
# The distribution this system is of, as the program needs its C library.
mmdebstrap --quiet --variant=apt --include=fuse3 "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$work/system"
cp "$deb" "$work/system/hammer2.deb"
cat >"$work/system/try" <<'END'
set -eux
apt-get install -y /hammer2.deb
cd /tmp
truncate -s 256M disk.img
mkfs.hammer2 -L HOME disk.img
fsck.hammer2 -n disk.img
hammer2 put /etc/debian_version disk.img@HOME:/debian_version
hammer2 cat disk.img@HOME:/debian_version | cmp - /etc/debian_version
test ! -e /usr/bin/hammer2-sim
test -x /usr/lib/systemd/system-generators/hammer2-generator
test -e /usr/lib/udev/rules.d/64-hammer2.rules
test -e /usr/share/man/man8/hammer2.8.gz
mount --version
if [ -c /dev/fuse ]; then
    mkdir mnt
    mount -t hammer2 disk.img@HOME mnt
    cmp mnt/debian_version /etc/debian_version
    hammer2 scrub mnt
    umount mnt
fi
apt-get remove -y hammer2
test ! -e /usr/bin/hammer2
END
[ ! -c /dev/fuse ] || { mkdir -p "$work/system/dev" && mknod "$work/system/dev/fuse" c 10 229; } 2>/dev/null || true
unshare --mount --pid --fork sh -e -c '
    mount -t proc proc "$0/proc"
    exec chroot "$0" sh /try' "$work/system"
