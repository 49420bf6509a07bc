"""python_test(): a unittest file, run by the system's python3.

The native py_test of this Bazel starts `python`, which Debian does not have.
"""

def python_test(name, src, data = [], only = "", **kwargs):
    """Runs one file of unittest cases from the root of the repository.

    Args:
      name: the test.
      src: a file of this package. Modules are imported by their path from the
        root: from prod.local import cluster.
      data: those modules, and what else it needs when it runs.
      only: the cases whose names match, as unittest's -k.
      **kwargs: as for any test.
    """
    native.sh_test(
        name = name,
        srcs = ["//third_party:python_test.sh"],
        args = ["%s/%s" % (native.package_name(), src)] +
               (["-k", only] if only else []),
        data = data + [src],
        **kwargs
    )
