# shellcheck shell=bash
# For sourcing, after need.sh: the disks of a machine in QEMU, collected in `drives`. `temporary` is a folder for unpacked images.

# The slots of the machine that QEMU itself leaves free.
max_disks=28
drives=()
# attach FILE SETTINGS: adds the next disk.
attach() {
    local number=$((${#drives[@]} / 4))
    [ "$number" -lt $max_disks ] || die "at most $max_disks disks can be attached"
    # QEMU wants commas doubled.
    drives+=(-drive "if=none,id=disk$number,format=raw,file=${1//,/,,},$2")
    drives+=(-device "virtio-blk-pci,drive=disk$number")
}

# image_of PATH: sets `file` to a file QEMU can attach.
image_of() {
    [ -e "$1" ] || die "$1: no such file"
    [ ! -d "$1" ] || die "$1: is a directory, not an image"
    [ -r "$1" ] || die "$1: can't be read"
    file=$(realpath -- "$1")
    case $1 in
        *.zst)
            need zstd zstd
            local unpacked=$temporary/volume$((${#drives[@]} / 4)).img
            zstd --decompress --quiet --sparse -o "$unpacked" -- "$file" 2>"$temporary/zstd.log" ||
                die "$1: can't be decompressed ($(head -n 1 "$temporary/zstd.log"))"
            file=$unpacked
            ;;
    esac
    [ -b "$file" ] || [ -s "$file" ] || die "$1: is empty"
}
