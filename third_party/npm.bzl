"""npm_packages(): a node_modules folder as an external repository.

`npm ci` runs when a target that needs it is built for the first time; builds
after that are off the network.
"""

def _npm_packages_impl(repository_ctx):
    npm = repository_ctx.which("npm")
    if not npm:
        fail("npm is not installed: run ./dev once, it installs what is missing")
    for label in [
        repository_ctx.attr.package_json,
        repository_ctx.attr.package_lock,
    ]:
        repository_ctx.symlink(label, label.name)
    result = repository_ctx.execute(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        timeout = 600,
    )
    if result.return_code:
        fail("npm ci failed: " + result.stderr)
    repository_ctx.file("BUILD.bazel", """
package(default_visibility = ["//visibility:public"])

filegroup(
    name = "files",
    srcs = glob(["node_modules/**"], exclude = ["**/* *"]),
)

exports_files(["package.json"])
""")

npm_packages = repository_rule(
    implementation = _npm_packages_impl,
    attrs = {
        "package_json": attr.label(allow_single_file = True, mandatory = True),
        "package_lock": attr.label(allow_single_file = True, mandatory = True),
    },
)
