#!/usr/bin/env bash
# Makes the files of a release, from its tag: Debian packages, wheel, crates, what they are made of (SBOM),
# notices, the section of CHANGELOG.md, and checksums of all. Publishes nothing.
#
#   scripts/release.sh TAG          v0.1.0, say: has to be that of the checked-out commit, and of Cargo.toml
#   scripts/release.sh --rehearse   the same for whatever is checked out
#
# The variables of scripts/package.sh have their meaning here, too.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
help_asked "${1-}"

[ $# -eq 1 ] || fail "Which tag? scripts/release.sh v0.1.0, or --rehearse"
tag=$1
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
python_version=$(sed -n 's/^version = "\(.*\)"/\1/p' python/pyproject.toml)
need_rust
need_packages git
set_up

# changes HEADING: that section of CHANGELOG.md.
changes() { awk -v wanted="## $1" '/^## / { inside = index($0, wanted) == 1; next } inside' CHANGELOG.md; }

[ "$version" = "$python_version" ] || fail "Cargo.toml has version $version, python/pyproject.toml $python_version."
section=$version
if [ "$tag" = --rehearse ]; then
  [ -n "$(changes "$section")" ] || section=Unreleased
else
  [ "$tag" = "v$version" ] || fail "The tag is $tag, and Cargo.toml has version $version: the tag has to be v$version."
  [ "$(git rev-parse -q --verify "$tag^{commit}" || true)" = "$(git rev-parse HEAD)" ] \
    || fail "$tag is not what is checked out: git switch --detach $tag"
  [ -z "$(git status --porcelain)" ] || fail "There are changes that are not committed: a release is made of what its tag has."
fi
[ -n "$(changes "$section")" ] || fail "CHANGELOG.md has no section \"## $section\"."

target=${CARGO_TARGET_DIR:-$PWD/target}
out=$target/release-files
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
scripts/notices.sh --check
# As variables, since what fails in a process substitution goes unseen.
debs=$(scripts/package.sh)
wheel=$(scripts/wheel.sh dist)
scripts/check_crates.sh
need_cargo_tool cargo-cyclonedx 0.5.9

say "The files of $version"
rm -rf "$out"
mkdir -p "$out"
xargs -d '\n' cp -t "$out" <<<"$debs"
cp "$wheel" NOTICES.txt LICENSE "$out/"
cp "$target"/packaged/package/*-"$version".crate "$out/"
changes "$section" >"$out/CHANGES.md"
for package in . python; do
  name=$(sed -n 's/^name = "\(.*\)"/\1/p' "$package/Cargo.toml" | head -1)
  cargo cyclonedx -q --manifest-path "$package/Cargo.toml" --format json --all-features --spec-version 1.5 \
    --override-filename sbom-of-release
  # Without this machine's paths.
  sed "s|$PWD|/rustaudio|g" "$package/sbom-of-release.json" >"$out/$name-$version.cdx.json"
done
# It leaves one beside each manifest of the workspace.
git ls-files --others --exclude-standard -- '*sbom-of-release.json' | xargs -r rm
(cd "$out" && sha256sum -- * >SHA256SUMS)
ls -l "$out"
