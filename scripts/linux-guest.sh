# shellcheck shell=bash
# For sourcing, after need.sh: a guest in QEMU with Debian's kernel, the module that scripts/kmod builds, and busybox. `root`, `kernel`,
# `temporary`, `console` and `timeout` are set by the caller; $temporary/inside becomes the guest's root.

qemu=
end_qemu() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
}

# get_kernel: builds the module, and sets `image`, `release` and `module`.
get_kernel() {
    need qemu-system-x86_64 qemu-system-x86
    need xz xz-utils
    image=$("$root/scripts/kmod" --kernel "$kernel" --image | tail -n 1)
    release=${image##*/image-}
    module=${image%/*}/module-$release/hammer2.ko
}

# choose_console: sets `console` to a new file, unless it is set already, and empties it.
choose_console() {
    if [ -z "$console" ]; then
        mkdir -p "$target/console"
        console=$target/console/linux-$(date +%Y%m%d-%H%M%S)-$$.log
    fi
    (: >"$console") 2>/dev/null || die "$console: can't be written"
}

failed() {
    echo "$program: $*; console: $console" >&2
    exit 1
}

# begin_inside SCRIPT: puts busybox, the module, the disks' drivers and the guest's script inside.
begin_inside() {
    inside=$temporary/inside
    mkdir -p "$inside"/{bin,dev,proc,sys,tmp,modules,lib,lib64}
    cp "$image/bin/busybox" "$inside/bin/"
    cp "$root/kmod-shim/linux/guest/init" "$inside/init"
    cp "$root/kmod-shim/linux/guest/$1" "$inside/script"
    chmod +x "$inside/init"
    cp "$module" "$inside/"
    : >"$inside/modules/order"
    drivers virtio_pci virtio_blk
}

# drivers NAME...: adds modules of the kernel, each after its dependencies; drivers that are built in have none.
drivers() {
    local name file depends
    for name; do
        [ ! -e "$inside/modules/$name.ko" ] || continue
        # A module's file may have dashes where its name has underscores.
        file=$(find "$image/lib/modules" -name "${name//_/[_-]}.ko*" | head -n 1)
        case $file in
            '') continue ;;
            *.xz) xz --decompress --stdout "$file" >"$inside/modules/$name.ko" ;;
            *) cp "$file" "$inside/modules/$name.ko" ;;
        esac
        depends=$(objcopy --output-target binary --only-section .modinfo "$inside/modules/$name.ko" /dev/stdout |
            tr '\0' '\n' | sed --quiet 's/^depends=//p' | tr ',' ' ')
        # shellcheck disable=SC2086
        drivers $depends
        echo "$name" >>"$inside/modules/order"
    done
}

# host_program FILE: adds a program of the host, with its libraries at the places where it looks for them.
host_program() {
    local library
    cp "$1" "$inside/bin/"
    while read -r library; do
        mkdir -p "$inside${library%/*}"
        cp --dereference "$library" "$inside$library"
    done < <(ldd "$1" | sed --quiet --regexp-extended 's/^[^/]*(\/[^ ]+) .*/\1/p')
}

# boot_guest OPTION...: packs $inside and boots it; the console goes to standard output.
boot_guest() {
    (cd "$inside" && find . | "$inside/bin/busybox" cpio -o -H newc 2>/dev/null) >"$temporary/initramfs"
    # Debian's 6.12 doesn't boot with QEMU 7.2's cmpxchg16b; a loaded host isn't a fault of the timer.
    timeout --kill-after=5 "$timeout" qemu-system-x86_64 -accel tcg -machine pc -nodefaults -no-reboot -display none \
        -kernel "$image/boot/vmlinuz-$release" -initrd "$temporary/initramfs" \
        -append "console=ttyS0 no_timer_check panic=-1 oops=panic quiet loglevel=1" -serial stdio "$@" \
        </dev/null >"$console" 2>"$temporary/qemu.log" &
    qemu=$!
}

# wait_for WORDS: waits until the console has these words.
wait_for() {
    until grep --quiet "^guest: $1" "$console"; do
        ! grep --quiet '^guest: FAILED' "$console" || failed "$(grep '^guest: FAILED' "$console" | head -n 1)"
        kill -0 "$qemu" 2>/dev/null || failed "QEMU has ended before the guest said \`$1\`$(sed -n '1s/^/: /p' "$temporary/qemu.log")"
        sleep 0.5
    done
}

# finish: waits until the guest has ended, which must succeed.
finish() {
    wait_for "the end"
    wait "$qemu" || failed "QEMU has ended with code $?"
    qemu=
}
