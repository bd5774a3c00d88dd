"""What the scripts that take fixes back have in common: a copy of the tree, and one change after the other.

A mutant is a name, a file, what is there once, and what stands in its place; whatever else a script wants to
know of it comes after that.
"""
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def copy_tree(into, mutants):
    """All files that git knows or does not ignore. Their times are kept, so that little is built anew; but those
    of what is to be changed are new, since a run that was interrupted leaves what it built of a change."""
    shutil.rmtree(into, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    for file in {mutant[1] for mutant in mutants}:
        (into / file).touch()


def fit(mutants):
    """Ends the program: well where each change has its one place in the tree. Builds and runs nothing."""
    places = [(name, file, (ROOT / file).read_text().count(old)) for name, file, old, *_ in mutants]
    wrong = [place for place in places if place[2] != 1]
    for name, file, count in wrong:
        print(f"{name}: expected one place in {file}, found {count}: mend its row")
    print(f"{len(mutants)} rows, of which {len(wrong)} do not fit")
    sys.exit(1 if wrong or not mutants else 0)


def build(tree, cargo, env):
    """None where it builds, or else the first error."""
    built = subprocess.run([*cargo, "--no-run"], cwd=tree, env=env, capture_output=True, text=True)
    if built.returncode:
        return re.findall(r"^error.*$", built.stderr, re.MULTILINE)[:1] or ["no error was told"]
    return None


def try_all(mutants, tree, judge, words):
    """Makes each change whose name or file has one of the words, and prints what `judge` says of it: a
    status, of which "caught" is the good one, as "lives" is where that is known, and what noticed. Fails where
    another one was not caught."""
    left = tried = 0
    for mutant in mutants:
        name, file, old, new = mutant[:4]
        if words and not any(word in f"{file} {name}" for word in words):
            continue
        path, since = tree / file, time.monotonic()
        before = path.read_text()
        if before.count(old) != 1:
            status, by = "does not fit", [f"{before.count(old)} places"]
        else:
            path.write_text(before.replace(old, new))
            status, by = judge(mutant)
            path.write_text(before)
        tried += 1
        left += status not in ("caught", "lives")
        took = int(time.monotonic() - since)
        print(f"{name} ({Path(file).name}): {status}: {'; '.join(by)} ({took} s)", flush=True)
    print(f"{tried} were tried, {left} were not caught")
    sys.exit(1 if left or not tried else 0)
