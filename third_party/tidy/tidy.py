#!/usr/bin/env python3
"""Checks what no other linter knows about this project.

usage: tidy.py [--update] [FILE...]

Without files it checks all sources of the repository it is run in. Each
finding is a line `file:line: rule: message`. A line is excused from a rule by
a comment on it, or on the line before it, that gives a reason:

    // tidy-allow(iteration-order): the sum does not depend on the order

--update rewrites functions.txt, the list of functions that are longer than
the limit. It only ever shrinks: a new or grown function is a finding.
"""

import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import source  # pylint: disable=wrong-import-position

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 60
BASELINE = pathlib.Path("third_party/tidy/functions.txt")

# These must run the same in both worlds, so they get all of this from io.
DETERMINISTIC = ("core", "sim")

# Before a name: it is not a member, nor of a namespace other than std.
_FREE = r"(?<![\w.>:])(?:std\s*::\s*|::\s*)?"

_DETERMINISM = [
    (rule, re.compile(pattern), message)
    for rule, pattern, message in [
        (
            "wall-clock",
            r"\b(system_clock|steady_clock|high_resolution_clock|gettimeofday"
            r"|clock_gettime|timespec_get|localtime(_r)?|GetCurrentTimeNanos"
            r"|absl::Now)\b|" + _FREE + r"time\s*\(\s*"
            r"(nullptr|NULL|0|&)",
            "time comes from io::Clock",
        ),
        (
            "sleep",
            r"\b(sleep_for|sleep_until|SleepFor|usleep|nanosleep)\b"
            r"|" + _FREE + r"sleep\s*\(",
            "nothing waits: set a timer of io::Clock",
        ),
        (
            "thread",
            r"\bstd\s*::\s*(thread|jthread|this_thread|mutex|recursive_mutex"
            r"|shared_mutex|timed_mutex|condition_variable(_any)?|async|future"
            r"|promise|atomic\w*|lock_guard|unique_lock|scoped_lock)\b"
            r"|\babsl::(Mutex|Notification|CondVar)\b|\bpthread_\w+"
            r"|\bthread_local\b",
            "this code is single-threaded",
        ),
        (
            "random",
            r"\b(random_device|mt19937(_64)?|default_random_engine|minstd_rand0?"
            r"|uniform_(int|real)_distribution|arc4random\w*|getrandom"
            r"|absl::BitGen|InsecureBitGen)\b"
            r"|" + _FREE + r"(rand|srand|srandom)\s*\(|::random\s*\(\s*\)",
            "randomness comes from io::Random",
        ),
        (
            "environment",
            r"\b(secure_)?getenv\b",
            "the environment is handed in by main",
        ),
        (
            "world",
            r"\bIsSimulated\b",
            "logic must not know which world it runs in",
        ),
        (
            "pointer-order",
            r"\b(std\s*::\s*(multi)?(map|set)|btree_(multi)?(map|set))\s*<"
            r"\s*(const\s+)?[\w:]+(\s+const)?\s*\*",
            "addresses differ from run to run: order by an id",
        ),
        (
            "pointer-order",
            r"\b(std\s*::\s*(hash|less)|absl\s*::\s*Hash)\s*<[^<>()]*\*\s*>",
            "addresses differ from run to run: use an id",
        ),
    ]
]

# A folder's includes may not begin with any of these.
_UNSEEN = {
    "io": ("core/", "sim/", "prod/", "scenarios/"),
    "core": ("sim/", "prod/", "scenarios/", "fuzz/", "bench/"),
    "sim": ("prod/", "scenarios/", "bench/"),
    "prod": ("sim/", "scenarios/"),
    "scenarios": ("prod/",),
}

_HASHED = re.compile(
    r"\b(?:unordered_(?:multi)?(?:map|set)|(?:flat|node)_hash_(?:map|set))\s*<"
)
_RANGE_FOR = re.compile(r"\bfor\s*\([^;{}]*?[^:]:\s*([^:;{}][^;{}]*?)\)\s*[{\w]")
_BEGIN = re.compile(r"\b(\w+)\s*(?:\.|->)\s*c?begin\s*\(")
_ALLOW = re.compile(r"tidy-allow\(([\w-]+)\):\s*\S")
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def folder_of(path):
    return pathlib.PurePath(path).parts[0]


def hashed_names(code):
    """Names of variables and members declared with an unordered type."""
    names = set()
    for match in _HASHED.finditer(code):
        depth, at = 1, match.end()
        while depth and at < len(code):
            depth += {"<": 1, ">": -1}.get(code[at], 0)
            at += 1
        declared = re.match(r"[\s&*]*(\w+)\s*[;={(,)]", code[at:])
        if declared:
            names.add(declared.group(1))
    return names


def check_determinism(code, lines):
    for rule, pattern, message in _DETERMINISM:
        for match in pattern.finditer(code):
            yield lines.of(match.start()), rule, "%s: %s" % (
                " ".join(match.group().split()), message)


def check_iteration_order(code, header, lines):
    """`header` is the code of the file's own header, or empty."""
    names = hashed_names(code) | hashed_names(header)
    if not names:
        return
    found = [(m.end(1), m.group(1)) for m in _RANGE_FOR.finditer(code)]
    found += [(m.start(), m.group(1)) for m in _BEGIN.finditer(code)]
    for at, expression in found:
        name = re.search(r"(\w+)\W*$", expression)
        if name and name.group(1) in names:
            yield lines.of(at), "iteration-order", (
                "%s has no defined order: iterate over an ordered container, "
                "or sort first" % name.group(1))


# Each call takes the next number of a stream.
_DRAW = re.compile(
    r"(?:\.|->)\s*(?:Below|Between|Fraction|Next|UuidBytes|Uuid)\s*\(|"
    r"\bDraw\w*\s*\(")
_ORDERED = re.compile(r"&&|(?<!:):(?!:)|\|\||\?|<<|>>|;|(?<![=<>!])=(?!=)")


def enclosing_brackets(code, offsets):
    """For each of the sorted offsets, where the brackets around it open."""
    paths, stack, last = [], [], 0
    for offset in offsets:
        for at in range(last, offset):
            if code[at] in "([{":
                stack.append(at)
            elif code[at] in ")]}" and stack:
                stack.pop()
        last = offset
        paths.append(tuple(stack))
    return paths


def outside_brackets(text):
    """The text without what is in brackets; those that only close or only
    open belong to the ends of it.
    """
    while True:
        # A block is a statement, and ends the one before.
        shorter = re.sub(r"\([^()\[\]{}]*\)|\[[^()\[\]{}]*\]|"
                         r"\{[^()\[\]{}]*\}",
                         lambda match: ";" if ";" in match.group() and
                         match.group()[0] == "{" else " ", text)
        if shorter == text:
            return re.sub(r"^[^\[({]*[\])}]|[\[({][^\])}]*$", " ", text)
        text = shorter


def unordered(code, first, second, path, other):
    """Whether the compiler may choose which of two draws comes first."""
    common = [a for a, b in zip(path, other) if a == b]
    if code.index("(", first) in other:
        return False  # an argument, which is drawn before
    for at in path[len(common):] + other[len(common):]:
        before = code[:at].rstrip()
        if code[at] == "{" and re.search(r"[)\]]$|\b(mutable|const|else|do)$",
                                         before):
            return False  # the body of a function
    between = outside_brackets(code[code.index("(", first):second])
    if _ORDERED.search(between):
        return False
    return not ("," in between and (not common or code[common[-1]] == "{"))


def check_evaluation_order(code, lines):
    """gcc and clang evaluate arguments and operands in different orders."""
    draws = [match.start() for match in _DRAW.finditer(code)]
    paths = enclosing_brackets(code, draws)
    pairs = zip(zip(draws, paths), zip(draws[1:], paths[1:]))
    for (first, path), (second, other) in pairs:
        if unordered(code, first, second, path, other):
            yield lines.of(second), "evaluation-order", (
                "two random numbers in one expression: draw each in a "
                "statement of its own")


def check_layers(path, text, lines):
    unseen = _UNSEEN.get(folder_of(path), ())
    for match in _INCLUDE.finditer(text):
        if match.group(1).startswith(unseen or "//"):
            yield lines.of(match.start(1)), "layers", "%s must not see %s" % (
                folder_of(path), match.group(1))


def check_include_guard(path, text, lines):
    if not path.endswith(".h"):
        return
    guard = "QUORATE_%s_" % re.sub(r"[^A-Z0-9]", "_", path.upper())
    found = re.search(r"^#ifndef (\w+)\n#define \1\n", text, re.MULTILINE)
    if not found or found.group(1) != guard:
        at = lines.of(found.start(1)) if found else 1
        yield at, "include-guard", "should be %s" % guard


def check_using_namespace(code, lines):
    """Within a function, as in a main, it does no harm."""
    for match in re.finditer(r"^using namespace (?!std::\w*literals\b)[\w:]+",
                             code, re.MULTILINE):
        yield lines.of(match.start()), "using-namespace", (
            "name what is used, or do this within a function")


def check_file_size(text):
    count = text.count("\n")
    if count > MAX_FILE_LINES:
        yield MAX_FILE_LINES + 1, "file-size", (
            "%d lines, and %d is the limit: split it where a state machine "
            "ends" % (count, MAX_FILE_LINES))


def check_leftovers(text, lines):
    for match in re.finditer(r"\b(TODO|FIXME|XXX)\b", text):
        yield lines.of(match.start()), "leftover", (
            "%s: do it, or open an issue" % match.group())


def check_visibility(path, text, lines):
    """core must see neither sim nor prod, so neither may be public."""
    if folder_of(path) not in ("core", "sim", "prod"):
        return
    for match in re.finditer("//visibility:public", text):
        yield lines.of(match.start()), "visibility", (
            "use //:%s_users" % folder_of(path))


def allowed(text):
    """Pairs (line, rule) that a comment excuses."""
    pairs = set()
    for number, line in enumerate(text.splitlines(), 1):
        for match in _ALLOW.finditer(line):
            pairs |= {(number, match.group(1)), (number + 1, match.group(1))}
    return pairs


def check_cpp(path, text, header=""):
    """All rules for one C++ file but the ratchet. Yields (line, rule, why)."""
    code, lines = source.strip(text), source.Lines(text)
    yield from check_layers(path, text, lines)
    yield from check_include_guard(path, text, lines)
    yield from check_using_namespace(code, lines)
    if folder_of(path) in (*DETERMINISTIC, "scenarios"):
        yield from check_evaluation_order(code, lines)
    if folder_of(path) in DETERMINISTIC:
        yield from check_determinism(code, lines)
        yield from check_iteration_order(code, source.strip(header), lines)


def check_file(path, text, header=""):
    """Findings (line, rule, message) of one file, by line."""
    lines = source.Lines(text)
    findings = list(check_file_size(text))
    if not path.startswith("third_party/tidy/"):
        findings += check_leftovers(text, lines)
    if path.endswith((".cc", ".h")):
        findings += check_cpp(path, text, header)
    elif path.endswith("BUILD.bazel"):
        findings += check_visibility(path, text, lines)
    excused = allowed(text)
    return sorted(f for f in findings if (f[0], f[1]) not in excused)


def long_functions(path, text):
    """Yields (key, line, length) of the functions that are too long."""
    for name, line, length in source.functions(source.strip(text)):
        if length > MAX_FUNCTION_LINES:
            yield "%s %s" % (path, name), line, length


def parse_baseline(text):
    baseline = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, length = line.rpartition(" ")
            baseline[key] = int(length)
    return baseline


def check_functions(found, baseline):
    """The ratchet. `found` is all of long_functions(). Yields findings
    (path, line, rule, message).
    """
    seen = set()
    for key, line, length in found:
        path, name = key.split(" ", 1)
        seen.add(key)
        limit = baseline.get(key, MAX_FUNCTION_LINES)
        if length > limit:
            yield path, line, "function-size", (
                "%s has %d lines, and %d is the limit" % (name, length, limit))
        elif length < limit:
            yield path, line, "function-size", (
                "%s shrank, well done: tidy.py --update" % name)
    for key in sorted(set(baseline) - seen):
        yield str(BASELINE), 1, "function-size", (
            "%s is no longer too long: tidy.py --update" % key)


_HEADER = """\
# Functions of more than %d lines: file, name, lines. The list only shrinks;
# `third_party/tidy/tidy.py --update` writes it.
"""


def updated_baseline(found, baseline):
    """The new text: what was known and is still too long, if not longer."""
    kept = {key: min(length, baseline[key])
            for key, _, length in found if key in baseline}
    entries = ["%s %d\n" % entry for entry in sorted(kept.items())]
    return _HEADER % MAX_FUNCTION_LINES + "".join(entries)


def our_files():
    patterns = ["*.cc", "*.h", "*.py", "*.sh", "*.bzl", "*BUILD.bazel", "dev"]
    names = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
        text=True)
    return sorted(set(names.splitlines()))


def header_of(path):
    header = pathlib.Path(re.sub(r"(_test)?\.cc$", ".h", path))
    if header.suffix == ".h" and str(header) != path and header.exists():
        return header.read_text(encoding="utf-8")
    return ""


def main(argv):
    update = "--update" in argv
    names = [a for a in argv if not a.startswith("-")]
    baseline = parse_baseline(BASELINE.read_text(encoding="utf-8"))
    findings, functions = [], []
    for path in names or our_files():
        file = pathlib.Path(path)
        if not file.exists():
            continue
        text = file.read_text(encoding="utf-8")
        for finding in check_file(path, text, header_of(path)):
            findings.append((path, *finding))
        if path.endswith((".cc", ".h")):
            functions += long_functions(path, text)
    if update:
        BASELINE.write_text(updated_baseline(functions, baseline),
                            encoding="utf-8")
        baseline = parse_baseline(BASELINE.read_text(encoding="utf-8"))
    if names:
        baseline = {k: v for k, v in baseline.items()
                    if k.split(" ", 1)[0] in names}
    findings += check_functions(functions, baseline)
    for finding in sorted(findings):
        print("%s:%d: %s: %s" % finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
