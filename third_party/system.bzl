"""system_libraries(): one cc_library for each library of the system.

The headers are in /usr/include, where the compiler finds them by itself, so a
target only carries what the linker needs. A missing package is reported by
name when a target of the repository is first used.
"""

_HINT = "\n./dev installs what is missing: see third_party/debian-packages.txt"

def _cc_library(name, linkopts):
    return "cc_library(name = %r, linkopts = %r)\n" % (name, linkopts)

def _words(text):
    return [w for w in text.strip().split(" ") if w]

def _by_pkg_config(rctx, tool, name, modules):
    result = rctx.execute([tool, "--libs"] + _words(modules))
    if result.return_code:
        fail("pkg-config %s: %s%s" % (modules, result.stderr, _HINT))
    return _cc_library(name, _words(result.stdout))

def _by_header(rctx, name, spec):
    linkopts, header, package = spec
    if not rctx.path("/usr/include/" + header).exists:
        fail("/usr/include/%s, of %s, is missing.%s" % (header, package, _HINT))
    return _cc_library(name, _words(linkopts))

def _system_libraries_impl(rctx):
    tool = rctx.which("pkg-config")
    if not tool:
        fail("pkg-config is missing." + _HINT)
    rules = ['package(default_visibility = ["//visibility:public"])\n']
    for name, modules in rctx.attr.pkg_config.items():
        rules.append(_by_pkg_config(rctx, tool, name, modules))
    for name, spec in rctx.attr.plain.items():
        rules.append(_by_header(rctx, name, spec))
    rctx.file("BUILD.bazel", "\n".join(rules))

system_libraries = repository_rule(
    implementation = _system_libraries_impl,
    attrs = {
        "pkg_config": attr.string_dict(
            doc = "target name -> pkg-config modules, separated by spaces",
        ),
        "plain": attr.string_list_dict(
            doc = "target name -> [linker words, header, Debian package]",
        ),
    },
    configure = True,
    environ = ["PKG_CONFIG_PATH"],
    local = True,
)
