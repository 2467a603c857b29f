#!/usr/bin/env bash
# Programs of others at work on a mount: fio, dbench, bonnie++, stress-ng, git, rsync, tar, a build, sqlite with a crash.
. "${BASH_SOURCE[0]%/*}/mounted.sh"

# Commits of sqlite are there after the server was killed.
sqlite-crash() {
    local number count
    cd "$root"
    sqlite3 "$mount_point/db" 'pragma journal_mode=wal; pragma synchronous=full; create table t(n integer)' >/dev/null
    for number in $(seq 1 200); do
        sqlite3 "$mount_point/db" "pragma synchronous=full; insert into t values($number)"
    done
    kill -KILL "$(pgrep -f -- "--log $temporary/log")"
    fusermount3 -u -q -z "$mount_point"
    "$tool" fsck "$image" >/dev/null
    remounted
    count=$(sqlite3 "$mount_point/db" 'pragma integrity_check; select count(*) from t' | tr '\n' ' ')
    [ "$count" = 'ok 200 ' ] || {
        echo "after the crash: $count"
        return 1
    }
    echo 'ok      sqlite, 200 commits and a crash'
}

mounted 8G
cd "$mount_point"
fio --name=verify --directory=. --size=256m --rw=randrw --bs=4k-256k --verify=crc32c --numjobs=2 --group_reporting \
    --output="$temporary/fio" --fsync=256 --fallocate=none
grep -E 'read:|write:|READ:|WRITE:' "$temporary/fio" || true
echo 'ok      fio --verify'
rm -f verify*
dbench --quiet --directory . --timelimit 20 --clients 2 2>/dev/null | tail -n 1 ||
    dbench -D . -t 20 2 | tail -n 1
echo 'ok      dbench'
bonnie++ -q -d . -s 256 -r 128 -n 4 -u root >"$temporary/bonnie" 2>&1
echo 'ok      bonnie++'
stress-ng --temp-path . --verify --timeout 10s --hdd 1 --dir 1 --dentry 1 --fallocate 1 --fiemap 0 --filename 1 --rename 1 \
    --seek 1 --link 1 --symlink 1 --utime 1 --metrics-brief >"$temporary/stress" 2>&1 || {
    cat "$temporary/stress"
    exit 1
}
echo 'ok      stress-ng'
git clone --quiet --no-hardlinks "$root" clone
git -C clone fsck --full
rsync -a --checksum clone/ copied/
rsync -a --checksum copied/ "$temporary/back"
diff -r clone "$temporary/back"
tar -cf - clone | tar -xf - --one-top-level=untarred
diff -r clone untarred/clone
echo 'ok      git, rsync, tar'
CARGO_TARGET_DIR=$mount_point/target cargo build --quiet --manifest-path clone/Cargo.toml --package hammer2-core
echo 'ok      a build of the core'
sqlite-crash
cd "$root"
unmounted
