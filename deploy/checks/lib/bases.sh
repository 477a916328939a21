# Sourced by `container`: base images made on this machine, under the names the Dockerfile asks for, where no registry
# is reached. They are stand-ins of the same Debian: `debian:12-slim` as its makers build it, and `rust:VERSION-bookworm` from this
# machine's toolchain.
# shellcheck shell=bash

# Debian without what its slim image leaves out.
make_debian() {
    local tar=$STORE/debian.tar
    mmdebstrap --quiet --variant=minbase --include=usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        bookworm "$tar"
    podman_here import --quiet "$tar" docker.io/library/debian:12-slim >/dev/null
    rm "$tar"
}

# What the official image has of it: the toolchain in /usr/local and a C compiler.
make_rust() {
    local version=$1 container root
    container=$(buildah_here from --pull-never docker.io/library/debian:12-slim)
    buildah_here run --network host "$container" -- sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc g++ make libc6-dev pkg-config ca-certificates' >/dev/null
    root=$(buildah_here mount "$container")
    mkdir -p "$root/usr/local/cargo/bin" "$root/usr/local/rustup"
    cp -a "$(rustc --print sysroot)/." "$root/usr/local/rustup/toolchain"
    rm -rf "$root/usr/local/rustup/toolchain/share/doc"
    ln -s ../../rustup/toolchain/bin/{cargo,rustc} "$root/usr/local/cargo/bin/"
    buildah_here umount "$container" >/dev/null
    buildah_here config --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        --env CARGO_HOME=/usr/local/cargo "$container"
    buildah_here commit --quiet --rm "$container" "docker.io/library/rust:$version-bookworm" >/dev/null
}
