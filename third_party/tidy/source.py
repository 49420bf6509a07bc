"""Just enough of C++ for tidy.py: code without comments, and its functions."""

import bisect
import re

_SKIP = re.compile(
    r"""//(?:[^\n\\]|\\.|\\\n)*          # line comment
      | /\*.*?\*/                        # block comment
      | R"(?P<raw>[^()\\\s]{0,16})\(.*?\)(?P=raw)"
      | "(?:[^"\\\n]|\\.)*"
      | (?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)*'   # not a digit separator
    """,
    re.DOTALL | re.VERBOSE,
)


def _blank(match):
    text = match.group()
    if text.startswith("/"):
        return re.sub(r"[^\n]", " ", text)
    # A literal stays one token, so that `f("x")` is still a call.
    newlines = text.count("\n")
    return '"' + " " * (len(text) - 2 - newlines) + "\n" * newlines + '"'


def strip(text):
    """The text with comments and the insides of literals blanked out.

    Lines stay where they are.
    """
    return _SKIP.sub(_blank, text)


class Lines:
    """Line numbers, from 1, of offsets in a text."""

    def __init__(self, text):
        self._starts = [0] + [m.end() for m in re.finditer("\n", text)]

    def of(self, offset):
        return bisect.bisect_right(self._starts, offset)


_NAMESPACE = re.compile(r'^\s*(inline\s+)?(namespace\b|extern\s*"[^"]*"\s*$)')
_TYPE = re.compile(r"\b(class|struct|union|enum)\b")
# The colon that opens a constructor's initializers, not half of `::`.
_INITIALIZERS = re.compile(r"\)\s*(noexcept\s*)?(?<!:):(?!:)")
_NAME = re.compile(r"([~\w:]+|operator\s*[^\s\w(]+|operator\s*\(\s*\))\s*$")
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)
_TEMPLATE = re.compile(r"^\s*template\s*<[^{};]*?>\s*(?=\w)")


def _function_name(head):
    opening = head.find("(")
    match = _NAME.search(head[:opening])
    name = match.group(1).strip() if match else "?"
    if name == "operator":
        return "operator()"
    if re.fullmatch(r"[A-Z][A-Z_]+", name):  # TEST(Suite, Case)
        name = re.sub(r"\s+", "", head[opening - len(name):head.find(")") + 1])
    return name


def _kind(head):
    """What a `{` opens when `head` stands before it, outside functions."""
    if _NAMESPACE.match(head):
        return "scope"
    plain = _TEMPLATE.sub("", head)
    if _TYPE.search(plain.split("(")[0]):
        return "scope"
    if "(" not in plain or re.search(r"(?<![=!<>])=\s*$", plain):
        return "other"
    in_initializers = _INITIALIZERS.search(plain)
    if in_initializers and re.search(r"[\w>]\s*$", plain):
        return "other"
    return "function"


def functions(code):
    """Yields (name, first line, number of lines) of each function body.

    `code` comes from strip(). The first line is that of the name; lambdas and
    local classes belong to the function around them.
    """
    code = _DIRECTIVE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), code)
    lines = Lines(code)
    stack = []
    head_start = 0
    for match in re.finditer(r"[{};]|(?<![:\w])(?:public|private|protected)\s*:",
                             code):
        token, at = match.group(), match.start()
        inside = stack and stack[-1][0] in ("function", "other")
        if token == "{":
            head = code[head_start:at]
            kind = "other" if inside else _kind(head)
            stack.append((kind, head, head_start))
            if kind in ("scope", "function"):
                head_start = at + 1
        elif token == "}":
            if not stack:
                continue
            kind, head, start = stack.pop()
            if kind == "function":
                first = lines.of(start + len(head) - len(head.lstrip()))
                yield _function_name(head), first, lines.of(at) - first + 1
            if kind in ("scope", "function"):
                head_start = at + 1
        elif not inside:
            head_start = match.end()
