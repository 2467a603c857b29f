# shellcheck shell=bash
# For sourcing: gets the programs that a script needs, from the distribution, after saying so, or by building the project.

program=$(basename "$0")

die() {
    echo "$program: $*" >&2
    exit 2
}

# install_package PACKAGE WHAT: installs the package; WHAT is the missing program.
install_package() {
    command -v apt-get >/dev/null || die "$2 is missing; install it (Debian: package $1)"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "$2 is missing; install the package $1 as root"
        as_root=(sudo)
    fi
    echo "$program: $2 is missing, installing the package $1" >&2
    # The list of packages is updated once.
    [ -n "${package_lists_known-}" ] || "${as_root[@]}" apt-get update -qq >&2 ||
        die "apt-get update failed; install the package $1 by hand"
    package_lists_known=1
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >&2 ||
        die "can't install the package $1; install it by hand"
}

# need COMMAND PACKAGE: installs the package if the command is missing.
need() {
    command -v "$1" >/dev/null || install_package "$2" "$1"
}

# build_programs ROOT TARGET OPTION...: builds programs, optimized, with these options of cargo, and sets `programs` to their
# folder; HAMMER2_PROGRAMS is a folder where everything is built already, as in scripts/test.
build_programs() {
    local root=$1 target=$2
    shift 2
    programs=${HAMMER2_PROGRAMS-}
    [ -z "$programs" ] || return 0
    programs=$target/release
    (cd "$root" && cargo build --quiet --release "$@") || die "the tools don't build"
}

# tool_crate CRATE VERSION: installs a crate if it is missing, and sets `tool_path` to its program.
tool_crate() {
    local folder=${CARGO_TARGET_DIR:-$root/target}/tools
    tool_path=$folder/bin/$1
    if ! [ -x "$tool_path" ]; then
        echo "installing $1 $2 into $folder"
        cargo install --quiet --root "$folder" --target-dir "$folder/build" --version "$2" "$1"
    fi
}

# image_of PATH UNPACKED: sets `file` to a file QEMU can attach; what is compressed is unpacked.
image_of() {
    file=$(xtask image "$@") || exit 2
}

# drives_of snapshot|unsafe FILE...: sets `drives` to QEMU's options for these disks. `temporary` is a folder.
drives_of() {
    (xtask drives "$@" >"$temporary/drives") || exit 2
    mapfile -d '' drives <"$temporary/drives"
}

# xtask WORDS...: becomes the program in harness/xtask, which does what is more than a few lines of a script. It is built first, in
# seconds, and shares its folder with everything that it has built.
xtask() {
    command -v cargo >/dev/null || die "cargo is missing; install Rust (https://rustup.rs)"
    export HAMMER2_SCRIPT=$program HAMMER2_ROOT=$root CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
    [[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$root/$CARGO_TARGET_DIR
    local program_built=$CARGO_TARGET_DIR/debug/xtask
    [ -x "$program_built" ] || echo "$program: building what runs this, harness/xtask: some seconds" >&2
    (cd "$root" && cargo build --quiet --package hammer2-xtask) || die "harness/xtask doesn't build"
    exec "$program_built" "$@"
}
