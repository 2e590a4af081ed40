#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Looks at the sources without running them.

usage: lint.py CHECK SOURCE-DIRECTORY BUILD-DIRECTORY [FILE...]

  clang-tidy  .clang-tidy over what the build compiles; CPU minutes by the dozen
  shellcheck  the shell scripts
  pyflakes    the Python scripts
  columns     that no line of C, tabs being 8, is longer than 100

With FILEs, paths in the source directory, only these. Exit status: 0 nothing was found; 1 what was found is printed;
77 the tool is not there (tests/lab/packages).
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

COLUMNS = 100
TAB = 8
TABLE_ROWS = ("{", "[", "(")
DRAWING = re.compile("[─│▶◀]")
SKIP = 77


def tracked(source):
    listed = subprocess.run(["git", "-C", source, "ls-files", "-z"], check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and os.path.isfile(os.path.join(source, name))]


def scripts(source, names, suffix, interpreter):
    """Of the NAMEs the scripts for INTERPRETER: by their suffix or their first line."""
    for name in names:
        with open(os.path.join(source, name), "rb") as file:
            first = file.readline(80)
        if name.endswith(suffix) or (first.startswith(b"#!") and interpreter.encode() in first):
            yield name


def run(*argv, source):
    """The exit status, and what was said."""
    done = subprocess.run(argv, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def tool(*names):
    for name in names:
        if shutil.which(name):
            return name
    print(f"SKIP: there is no {names[0]}")
    sys.exit(SKIP)


def all_of(argv, source):
    status, said = run(*argv, source=source)
    print(said, end="")
    return status == 0


def shellcheck(source, build, names):
    return all_of([tool("shellcheck"), "--", *scripts(source, names, ".sh", "/sh")], source)


def is_meant(source, finding):
    """Whether the line that "FILE:LINE:COLUMN: TEXT" is about says noqa, with its reason."""
    name, number, *_ = finding.split(":")
    lines = pathlib.Path(source, name).read_text(encoding="utf-8").splitlines()
    return number.isdigit() and "# noqa" in lines[int(number) - 1]


def pyflakes(source, build, names):
    _, said = run(tool("pyflakes3", "pyflakes"), *scripts(source, names, ".py", "python3"), source=source)
    findings = [finding for finding in said.splitlines() if not is_meant(source, finding)]
    print("\n".join(findings))
    return not findings


def long_lines(text):
    """(number, width) of each line over the limit. Drawings, and tables that clang-format leaves alone, may be wider."""
    is_table = False
    for number, line in enumerate(text.splitlines(), 1):
        is_table = (is_table or "clang-format off" in line) and "clang-format on" not in line
        width = len(line.expandtabs(TAB))
        if width > COLUMNS and not (is_table and line.lstrip().startswith(TABLE_ROWS)) and not DRAWING.search(line):
            yield number, width


def columns(source, build, names):
    found = [(name, number, width) for name in names if name.endswith((".c", ".h"))
             for number, width in long_lines(pathlib.Path(source, name).read_text(encoding="utf-8"))]
    for name, number, width in found:
        print(f"{name}:{number}: {width} columns")
    return not found


def clang_tidy(source, build, names):
    program = tool("clang-tidy-14", "clang-tidy")
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        compiled = {os.path.relpath(os.path.join(entry["directory"], entry["file"]), source) for entry in json.load(file)}

    def look(name):
        # Compilers differ in which options they know; that is not what is asked here.
        return run(program, "-p", build, "--quiet", "--extra-arg=-Wno-unknown-warning-option", name, source=source)

    good = True
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for status, said in pool.map(look, [name for name in names if name in compiled]):
            if status != 0:
                print(said, flush=True)
                good = False
    return good


CHECKS = {"clang-tidy": clang_tidy, "shellcheck": shellcheck, "pyflakes": pyflakes, "columns": columns}


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__.strip())
    source, build = (os.path.abspath(path) for path in sys.argv[2:4])
    wanted = set(sys.argv[4:])
    names = [name for name in tracked(source) if not wanted or name in wanted]
    sys.exit(0 if CHECKS[sys.argv[1]](source, build, names) else 1)


if __name__ == "__main__":
    main()
