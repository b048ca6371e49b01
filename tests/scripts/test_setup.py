"""scripts/setup.sh on machines that lack something: apt and Rust are stand-ins that note what is asked
of them, so nothing is installed."""
import os
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ["awk", "basename", "bash", "cat", "chmod", "cmp", "readlink", "comm", "cut", "dirname", "env", "find", "grep", "head", "mkdir",
         "mktemp", "mv", "realpath", "rm", "sed", "sha256sum", "sort", "tar", "xargs"]

# Notes each call; knows the candidates of a suite; finds what ONLINE says.
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$CALLS"
case "$*" in
  update*) [ -n "$ONLINE" ] || {
    echo "W: Failed to fetch http://deb.debian.org/debian/dists/x/InRelease  Temporary failure resolving 'deb.debian.org'" >&2
    echo "W: Some index files failed to download. They have been ignored, or old ones used instead." >&2; } ;;
  *--print-uris) echo "'http://x/a.deb' a.deb 1500000 SHA256:0"; echo "'http://x/b.deb' b.deb 1000000 SHA256:0" ;;
  *-s) for p in $REMOVES; do echo "Remv $p [1]"; done
    [ -n "$ONLINE" ] || { echo "E: Unable to locate package gcc" >&2; exit 100; } ;;
  *) [ -z "$BROKEN" ] || { echo "Reading..."; echo "E: $BROKEN" >&2; exit 100; } ;;
esac
"""
APT_CACHE = """#!/bin/sh
[ -n "$ONLINE" ] || exit 0
case "$2" in
  cargo) printf 'cargo:\\n  Installed: (none)\\n  Candidate: %s\\n' "${CARGO:-(none)}" ;;
  cargo-web) printf 'cargo-web:\\n  Installed: (none)\\n  Candidate: %s\\n' "${CARGO_WEB:-(none)}" ;;
esac
"""
DPKG_QUERY = """#!/bin/sh
for last; do :; done
case " $LACKING " in *" $last "*) exit 1 ;; esac
echo "install ok installed"
"""


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.calls = self.folder / "calls"
        self.calls.touch()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            os.symlink(shutil.which(tool), self.bin / tool)
        self.program("apt-get", APT_GET)
        self.program("apt-cache", APT_CACHE)
        self.program("dpkg-query", DPKG_QUERY)
        self.program("id", "#!/bin/sh\necho 0\n")

    def program(self, name, text):
        path = self.bin / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def rust(self, version):
        self.program("rustc", f"#!/bin/sh\necho 'rustc {version} (0 2026-01-01)'\n")
        self.program("cargo", f"#!/bin/sh\necho 'cargo {version}'\n")

    def set_up(self, needs="need_rust; need_packages gcc chromium; set_up", **variables):
        """What a script that needs all this prints, exit code, and what was asked of apt-get."""
        environment = {"PATH": str(self.bin), "HOME": str(self.folder), "TMPDIR": str(self.folder),
                       "CALLS": str(self.calls), "LACKING": "gcc chromium ca-certificates", **variables}
        done = subprocess.run(["bash", "-c", f"set -euo pipefail; . {ROOT}/scripts/setup.sh; {needs}"],
                              env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        calls = self.calls.read_text().splitlines()
        installed = [c for c in calls if c.startswith("apt-get install -y")]
        return done.stdout, done.returncode, calls, installed

    def test_a_recent_rust_and_all_packages_ask_for_nothing(self):
        self.rust("1.99.0")
        self.assertEqual(self.set_up(LACKING=""), ("", 0, [], []))

    def test_rust_comes_from_the_packages_that_are_recent_enough(self):
        for candidates, names in [
            ({"CARGO": "0.66.0+ds1-1", "CARGO_WEB": "1.96.0+dfsg1-1~deb12u2"}, "cargo-web rustc-web"),
            ({"CARGO": "1.97.1+dfsg1-1"}, "cargo rustc"),
        ]:
            with self.subTest(names):
                self.calls.write_text("")
                text, code, _, installed = self.set_up(ONLINE="1", **candidates)
                self.assertEqual(code, 0, text)
                wanted = f"gcc chromium {names} ca-certificates"
                self.assertIn(f"== Installing {wanted}: 3 MB to download\n", text)
                self.assertEqual(len(installed), 1)
                self.assertTrue(installed[0].endswith(f" {wanted}"), installed)

    def test_only_the_tools_that_lack_are_installed(self):
        self.rust("1.96.0")
        self.program("cargo", "#!/bin/sh\n[ $1 = fmt ]\n")
        text, code, _, installed = self.set_up("need_rust fmt clippy; set_up", ONLINE="1",
                                               CARGO_WEB="1.96.0+dfsg1-1~deb12u2")
        self.assertEqual(code, 0, text)
        self.assertTrue(installed[0].endswith(" rust-web-clippy"), installed)

    def test_an_old_rust_is_replaced_and_that_is_said(self):
        self.rust("1.63.0")
        text, code, _, installed = self.set_up(ONLINE="1", CARGO_WEB="1.96.0", REMOVES="cargo rustc")
        self.assertEqual((code, len(installed)), (0, 1), text)
        self.assertIn("ca-certificates, in place of cargo, rustc: ", text)

    def test_nothing_else_is_ever_removed(self):
        text, code, _, installed = self.set_up(ONLINE="1", CARGO_WEB="1.96.0", REMOVES="cargo precious")
        self.assertEqual((code, installed), (1, []), text)
        self.assertIn("would remove cargo, precious", text)

    def test_with_rustup_it_is_the_users_to_update_before_anything_is_looked_for(self):
        self.rust("1.63.0")
        self.program("rustup", "#!/bin/sh\n")
        text, code, calls, _ = self.set_up(ONLINE="1")
        self.assertEqual((code, calls), (1, []))
        self.assertRegex(text, r"^Rust 1\.\d+ or later is needed, found 1\.63\.0: rustup update stable .*\n$")

    def test_where_no_package_is_recent_enough_nothing_is_installed(self):
        text, code, _, installed = self.set_up(ONLINE="1", CARGO="1.75.0+dfsg0ubuntu1")
        self.assertEqual((code, installed), (1, []), text)
        self.assertIn("this system's packages have cargo 1.75.0. Get it from https://rustup.rs", text)

    def test_without_a_network_one_sentence_says_so(self):
        text, code, _, installed = self.set_up()
        self.assertEqual((code, installed), (1, []))
        self.assertEqual(text, "\n== Looking for packages: gcc chromium Rust\n"
                               "The package servers cannot be reached (Temporary failure resolving "
                               "'deb.debian.org'), so nothing was installed: run this again with a network.\n")
        self.rust("1.99.0")
        text, code, _, installed = self.set_up()
        self.assertEqual((code, installed, text.count("\n")), (1, [], 3))
        self.assertIn("nothing was installed", text)

    def test_another_failure_of_apt_is_told_in_its_own_words(self):
        self.rust("1.99.0")
        text, code, _, _ = self.set_up(ONLINE="1", BROKEN="Could not get lock /var/lib/dpkg/lock-frontend")
        self.assertEqual(code, 1)
        self.assertRegex(text, r"apt-get cannot install gcc chromium: Could not get lock \S+ \(all of its output: \S+\)\n$")

    def test_too_little_space_is_said_before_anything_is_installed(self):
        self.rust("1.99.0")
        self.program("df", "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted'\n"
                           "echo '/dev/x 9999999 1 2900000 1% /'\n")
        needs = f'need_packages gcc; need_space 3 {self.folder}/not/yet "name another folder in X"; set_up'
        output, code, _, installed = self.set_up(needs)
        self.assertEqual((output, code, installed), (
            f"3 GB are needed in {self.folder}, and 2 are free: make room there, or name another folder in X.\n", 1, []))
        self.assertEqual(self.set_up(needs.replace("need_space 3", "need_space 2"), ONLINE="yes")[1], 0)

    def test_the_library_of_python_that_is_there_is_found_each_time(self):
        for _ in range(20):
            self.assertEqual(self.set_up("need_runtime; set_up", LACKING=""), ("", 0, [], []))

    def test_building_for_another_processor_asks_for_its_packages(self):
        dpkg = "#!/bin/sh\ncase $1 in --print-architecture) echo amd64 ;; *) echo $FOREIGN ;; esac\n"
        self.program("dpkg", dpkg)
        self.rust("1.99.0")
        needs = '. scripts/cross.sh; arch_asked $ASKED; need_build_for "$arch"; echo "$arch ${cargo_for[*]}"; set_up'
        lacking = "gcc-aarch64-linux-gnu libgstreamer-plugins-base1.0-dev:arm64"
        text, code, _, installed = self.set_up(needs, ONLINE="1", LACKING=lacking, ASKED="--arch arm64", FOREIGN="arm64")
        self.assertEqual(code, 0, text)
        self.assertTrue(text.startswith("arm64 --target aarch64-unknown-linux-gnu\n"), text)
        self.assertTrue(installed[0].endswith(f" {lacking}"), installed)
        for asked, told in [("--arch arm64", "dpkg --add-architecture arm64"), ("--arch", "none is named"),
                            ("--arch mips", "No processor that packages are made for: mips. There are amd64 and arm64.")]:
            with self.subTest(asked):
                text, code, _, _ = self.set_up(needs, ONLINE="1", LACKING="", ASKED=asked)
                self.assertEqual(code, 1)
                self.assertIn(told, text)

    def test_a_virtualenv_is_kept_for_the_same_python_requirements_and_place_alone(self):
        stand_in = """
/usr/bin/python3() {
  case $1 in
    --version) echo "Python ${PYTHON-3.11.2}" ;;
    *) mkdir -p "${@: -1}/bin" && echo "made $*" >>"$CALLS"
       printf '#!/bin/bash\necho "pip $*" >>"$CALLS"; [ -z "${OFFLINE-}" ]\n' >"${@: -1}/bin/pip" && chmod +x "${@: -1}/bin/pip" ;;
  esac
}
PATH=$PATH:/usr/bin:/bin
"""
        (self.folder / "wanted.txt").write_text("numpy==1\n")
        (self.folder / "moved").mkdir()

        def calls(folder="venv", packages=f"'-r {self.folder}/wanted.txt' '--no-deps one two'", code=0, **variables):
            self.calls.write_text("")
            text, status, made, _ = self.set_up(f"{stand_in} need_venv {self.folder}/{folder} --system-site-packages {packages}", **variables)
            self.assertEqual(status, code, text)
            return made

        new = [f"made -m venv --system-site-packages {self.folder}/venv",
               f"pip -q --disable-pip-version-check install -r {self.folder}/wanted.txt",
               "pip -q --disable-pip-version-check install --no-deps one two"]
        # What a network cut short is not taken for whole.
        self.assertEqual(calls(OFFLINE="1", code=1), new[:2])
        self.assertEqual(calls(), new)
        (self.folder / "venv" / "left").touch()
        self.assertEqual(calls(), [])
        self.assertEqual(calls(PYTHON="3.13.5"), new)
        self.assertFalse((self.folder / "venv" / "left").exists())
        self.assertEqual(calls(), new)
        (self.folder / "wanted.txt").write_text("numpy==2\n")
        self.assertEqual(calls(), new)
        self.assertEqual(calls(packages="maturin==2"), [new[0], "pip -q --disable-pip-version-check install maturin==2"])
        self.assertEqual(calls(packages="maturin==2"), [])
        (self.folder / "venv").rename(self.folder / "moved" / "venv")
        self.assertEqual(len(calls("moved/venv", "maturin==2")), 2)

    def test_sources_that_are_copied_anew_are_newer_than_what_was_built_of_earlier_ones(self):
        project, there = self.folder / "project", self.folder / "there"
        (project / "src").mkdir(parents=True)
        (project / "target").mkdir()
        (project / "target" / "built").touch()
        for name in ("a.rs", "gone.rs", "same.sh"):
            (project / "src" / name).write_text("1")
        # What it leads to comes before it.
        link = project / "src" / "link.sh"
        link.symlink_to("a.rs")
        copy = f". scripts/chroot.sh; cd {project}; copy_sources {there}"
        self.assertEqual(self.set_up(copy)[:2], ("", 0))
        self.assertEqual(sorted(str(p.relative_to(there)) for p in there.rglob("*.rs")), ["src/a.rs", "src/gone.rs"])
        self.assertFalse((there / "target" / "built").exists())
        self.assertEqual((there / "src" / "link.sh").readlink(), Path("a.rs"))
        link.unlink()
        link.symlink_to("same.sh")
        # Built there after the change here, of what was there before it.
        (project / "src" / "a.rs").write_text("2")
        (project / "src" / "gone.rs").unlink()
        (project / "src" / "same.sh").chmod(0o755)
        same = (there / "src" / "same.sh").stat().st_mtime_ns
        built = [there / "target" / "a", there / "report.html"]
        for path in built:
            path.write_text("1")
        since = built[0].stat().st_mtime
        self.assertEqual(self.set_up(copy)[:2], ("", 0))
        self.assertEqual((there / "src" / "a.rs").read_text(), "2")
        self.assertGreaterEqual((there / "src" / "a.rs").stat().st_mtime, since)
        self.assertFalse((there / "src" / "gone.rs").exists())
        self.assertEqual([p.read_text() for p in built], ["1", "1"])
        kept = (there / "src" / "same.sh").stat()
        self.assertEqual((kept.st_mtime_ns, kept.st_mode & 0o777), (same, 0o755))
        self.assertEqual((there / "src" / "link.sh").readlink(), Path("same.sh"))

    def test_a_repository_within_the_sources_is_none_of_them(self):
        project, there = self.folder / "project", self.folder / "there"
        for folder in ("src", "inner", "linked"):
            (project / folder).mkdir(parents=True)
            (project / folder / "a.rs").touch()
        (project / "link").symlink_to("src")
        # As git tells of a repository, of a module, and of a link to a folder.
        self.program("git", "#!/bin/sh\n[ $1 != ls-files ] || printf 'inner/\\0link\\0linked\\0src/a.rs\\0'\n")
        for _ in range(2):
            text, code, *_ = self.set_up(f". scripts/chroot.sh; cd {project}; copy_sources {there}")
            self.assertEqual((text, code), ("", 0))
            self.assertEqual(sorted(p.name for p in there.iterdir()), ["link", "src", "target"])
            self.assertEqual((there / "link").readlink(), Path("src"))

    def test_each_state_of_the_sources_has_a_word_of_its_own(self):
        for folder in ("project/src", "project/target"):
            (self.folder / folder).mkdir(parents=True)
        source = self.folder / "project" / "src" / "a.rs"

        def word():
            text, code, *_ = self.set_up(f"cd {self.folder}/project; sources_id")
            self.assertEqual((code, len(text)), (0, 65), text)
            return text

        words = [word()]
        for text in ("1", "2"):
            source.write_text(text)
            words.append(word())
        self.assertEqual(len(set(words)), 3)
        (self.folder / "project" / "target" / "built").touch()
        os.utime(source, (1, 1))
        self.assertEqual(word(), words[2])
        source.unlink()
        self.assertEqual(word(), words[0])

    def test_the_commands_of_the_documents_are_known_to_the_script_that_runs_them(self):
        done = subprocess.run([f"{ROOT}/scripts/docs_commands.py", "--list"], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=20)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("| `scripts/demo.sh ", done.stdout)

    def test_of_the_documents_one_can_be_run_by_itself_beside_those_that_went_well(self):
        program, table = f"{ROOT}/scripts/docs_commands.py", self.folder / "table.md"
        rows = subprocess.run([program, "--list"], text=True, stdout=subprocess.PIPE, check=True, timeout=20).stdout.splitlines()
        went_well = [row for row in rows if row.startswith("| docs/convert.md:")]
        table.write_text("\n".join(rows[:2] + went_well) + "\n")
        # Excerpts, which are told and not run.
        alone = [row for row in rows if row.startswith("| docs/speech.md:") and "excerpt" in row]
        subprocess.run([program, "--table", table, "--resume", "--only", "docs/speech.md"], check=True, timeout=20)
        self.assertTrue(went_well and alone)
        self.assertEqual(table.read_text().splitlines()[2:], went_well + alone)

    def test_every_script_says_what_it_is_for_when_asked_and_does_nothing(self):
        for script in ("check_crates", "check_msrv", "demo", "notices", "package", "package_arm64", "release", "test",
                       "test_arm", "test_c", "test_debian", "test_docs", "test_packages", "wheel"):
            with self.subTest(script):
                done = subprocess.run([f"{ROOT}/scripts/{script}.sh", "--help"], text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, timeout=20)
                self.assertEqual(done.returncode, 0, done.stdout)
                # The comment at its head, whole.
                self.assertGreater(len(done.stdout), 40)
                self.assertNotIn("set -euo", done.stdout)
                self.assertNotIn("==", done.stdout)


if __name__ == "__main__":
    unittest.main()
