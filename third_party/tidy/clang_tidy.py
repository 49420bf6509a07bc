#!/usr/bin/env python3
"""Runs clang-tidy over all C++ of the repository, on all processors.

usage: clang_tidy.py [FILE...]

A file that was clean is skipped until it, a header of ours that it includes,
the configuration or a Debian package changes. Run from the repository's root.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TOOL = "clang-tidy-19"
CLEAN = pathlib.Path.home() / ".cache/quorate/clang-tidy"
# Written by ./dev: a line with a hash of the package versions.
PACKAGES = pathlib.Path(".bazelrc.local")
CONFIG = pathlib.Path(".clang-tidy")

_INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# Only gcc knows these, or they only concern the output.
_DROPPED = {"-fno-canonical-system-headers", "-MD", "-Werror"}
_DROPPED_WITH_VALUE = {"-MF", "-o"}


def bazel(*arguments):
    return subprocess.run(
        ["bazel", *arguments],
        check=True, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE).stdout


def build_generated_sources():
    targets = bazel("query", "kind(genrule, //...)").split()
    if targets:
        bazel("build", *targets)


def kept(arguments, output_root):
    """The arguments that clang understands, with real paths."""
    words = iter(arguments[1:])
    yield "clang++-19"
    for word in words:
        if word in _DROPPED_WITH_VALUE:
            next(words)
        elif word not in _DROPPED and not word.startswith("-frandom-seed"):
            yield re.sub(r"^bazel-out/", output_root + "/", word)


def compile_commands():
    """A list as in compile_commands.json, of our own .cc files."""
    output_root = bazel("info", "output_path").strip()
    actions = json.loads(bazel(
        "aquery", "--output=jsonproto", "--include_artifacts=false",
        "mnemonic('CppCompile', //...)"))
    commands = {}
    for action in actions.get("actions", []):
        arguments = action["arguments"]
        name = arguments[arguments.index("-c") + 1]
        if name.startswith(("external/", "bazel-out/")):
            continue
        # A BUILD file may name what is not there yet; the build says so.
        if not os.path.exists(name):
            continue
        commands[name] = {
            "directory": os.getcwd(),
            "file": name,
            "arguments": list(kept(arguments, output_root)),
        }
    return [commands[name] for name in sorted(commands)]


class Fingerprints:
    """Hashes of files with all headers of ours that they include."""

    def __init__(self, generated):
        self._generated = pathlib.Path(generated)
        self._includes = {}
        self._base = hashlib.sha256(
            CONFIG.read_bytes() + PACKAGES.read_bytes() +
            pathlib.Path(__file__).read_bytes()).digest()

    def _read(self, name):
        """(hash, names included) of one file; nothing if it is not ours."""
        if name not in self._includes:
            content = b""
            for root in (pathlib.Path(), self._generated):
                if (root / name).is_file():
                    content = (root / name).read_bytes()
                    break
            self._includes[name] = (
                hashlib.sha256(content).digest(),
                [os.fsdecode(i) for i in _INCLUDE.findall(content)])
        return self._includes[name]

    def of(self, command):
        total = hashlib.sha256(self._base)
        total.update("\0".join(command["arguments"]).encode())
        seen, todo = set(), [command["file"]]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                digest, includes = self._read(name)
                total.update(name.encode() + b"\0" + digest)
                todo += sorted(includes)
        return total.hexdigest()


def check(name, database):
    """(name, what clang-tidy says or "", seconds)."""
    start = time.monotonic()
    result = subprocess.run(
        [TOOL, "--quiet", "--use-color=false", "-p", database, name],
        check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    said = ""
    if result.returncode:
        said = result.stdout.strip() or result.stderr.strip()
    return name, said, time.monotonic() - start


def run(commands, fingerprints):
    """Checks what is not known to be clean. Returns how many files are not."""
    marks = {c["file"]: CLEAN / fingerprints.of(c) for c in commands}
    todo = [name for name, mark in marks.items() if not mark.exists()]
    # The most work first, so that no processor is idle at the end.
    todo.sort(key=lambda name: -pathlib.Path(name).stat().st_size)
    CLEAN.mkdir(parents=True, exist_ok=True)
    print("clang-tidy: %d files, %d of them to check" %
          (len(marks), len(todo)), flush=True)
    bad = 0
    with tempfile.TemporaryDirectory() as database, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        pathlib.Path(database, "compile_commands.json").write_text(
            json.dumps(commands), encoding="utf-8")
        results = pool.map(lambda name: check(name, database), todo)
        for number, (name, said, seconds) in enumerate(results, 1):
            print("[%d/%d] %s %.1f s" % (number, len(todo), name, seconds),
                  flush=True)
            if said:
                bad += 1
                print(said, flush=True)
            else:
                marks[name].touch()
    return bad


def main(argv):
    build_generated_sources()
    commands = compile_commands()
    if argv:
        commands = [c for c in commands if c["file"] in argv]
    generated = bazel("info", "bazel-genfiles").strip()
    return 1 if run(commands, Fingerprints(generated)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        sys.exit(1)
