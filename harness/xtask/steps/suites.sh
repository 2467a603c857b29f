#!/usr/bin/env bash
# Suites of others on a mount: `mount` on one of our own, `beside-faults` on three masters whose disks fail and return meanwhile.
# `pjdfstest` and `fsx` are their programs.
. "${BASH_SOURCE[0]%/*}/mounted.sh"

# posix-suites DIRECTORY [TIMES]: pjdfstest, so many times, and fsx on a mount.
posix-suites() (
    local directory=$1 times=${2:-1} second=$temporary/second seed summary
    mkdir "$directory/tests" "$second"
    # Some tests are other users'.
    chmod 777 "$directory/tests"
    mount -t tmpfs none "$second"
    trap 'umount "$second"' EXIT
    while [ "$times" -gt 0 ]; do
        times=$((times - 1))
        "$pjdfstest" --configuration-file harness/tool/tests/tool/mount/pjdfstest.toml --path "$directory/tests" \
            --secondary-fs "$second" >"$temporary/report" 2>&1 || true
        summary=$(grep '^Summary:' "$temporary/report")
        echo "        pjdfstest: $summary"
        grep -q '^Summary: 0 failed, 14 skipped, 383 passed, 1 expected' <<<"$summary" || {
            grep -E 'FAILED|skipped' "$temporary/report"
            return 1
        }
    done
    echo 'ok      pjdfstest'
    for seed in 1 2 3; do
        "$fsx" -q -S "$seed" -N 20000 -P "$temporary" "$directory/fsx$seed" >/dev/null
        echo "ok      fsx, seed $seed, 20,000 operations"
    done
)

# A million operations, with a remount after every 100,000.
fsx-long() {
    mounted 4G
    local part
    for part in 1 2 3 4 5 6 7 8 9 10; do
        "$fsx" -q -S "$part" -N 100000 -P "$temporary" "$mount_point/fsx" >/dev/null
        sha256sum <"$mount_point/fsx" >"$temporary/before"
        unmounted
        remounted
        sha256sum <"$mount_point/fsx" | cmp - "$temporary/before"
        echo "ok      fsx, seed $part, 100,000 operations and a remount"
    done
    unmounted
}

case $1 in
    mount)
        mounted 1G
        posix-suites "$mount_point"
        unmounted
        [ -z "${HAMMER2_FULL-}" ] || fsx-long
        ;;
    beside-faults)
        mkdir "$temporary/disks"
        "${tool%/*}/hammer2-soak" --tool "$tool" --folder "$temporary/disks" beside --seed 1 -- \
            bash "${BASH_SOURCE[0]}" on-mount
        ;;
    # What the soak starts when it has mounted: its mount is $MOUNT.
    on-mount)
        posix-suites "$MOUNT" 10
        ;;
esac
