# shellcheck shell=bash
# For sourcing: a filesystem on one image, mounted for others' programs. `tool` is the program, `temporary` a folder.
set -euo pipefail

# mounted SIZE [OPTION...]: a new filesystem at $mount_point.
mounted() {
    local size=$1
    shift
    mount_point=$temporary/mnt image=$temporary/mounted.img
    mkdir -p "$mount_point"
    rm -f "$image"
    truncate --size "$size" "$image"
    "$tool" newfs "$image" >/dev/null
    # What the server said explains what failed.
    trap 'cat "$temporary/log" || true; fusermount3 -u -q -z "$mount_point" || true' EXIT
    remounted "$@"
}

# A machine that has just compiled something may take long to write.
remounted() {
    "$tool" mount --deadline 300 --log "$temporary/log" "$@" "$image" "$mount_point"
}

# Unmounts what `mounted` has mounted, and checks it.
unmounted() {
    local waited=0
    fusermount3 -u "$mount_point"
    # The image is free when the server has written everything.
    while ! flock --nonblock "$image" true; do
        sleep 0.1
        waited=$((waited + 1))
        [ "$waited" -lt 600 ] || {
            echo "the server doesn't end"
            return 1
        }
    done
    "$tool" fsck "$image" >/dev/null
    # That it was mounted and unmounted is told as well.
    ! grep -v '^[^ ]* [^ ]* info ' "$temporary/log"
}
