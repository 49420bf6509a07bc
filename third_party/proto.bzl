"""cc_proto(): a cc_library from .proto files, by the system's protoc."""

def cc_proto(name, srcs, deps = [], visibility = None):
    """Generates C++ for the .proto files of this package and compiles it.

    Args:
      name: the cc_library. The target <name>_protos holds its sources and
        those of its deps.
      srcs: .proto files of this package. They import each other by their path
        from the repository root: import "core/api/mesos.proto".
      deps: other cc_proto targets.
      visibility: as usual.
    """
    for src in srcs:
        if not src.endswith(".proto"):
            fail("%s is not a .proto file" % src)
    stems = [src[:-len(".proto")] for src in srcs]
    native.filegroup(
        name = name + "_srcs",
        srcs = srcs,
    )
    native.filegroup(
        name = name + "_protos",
        srcs = srcs + [dep + "_protos" for dep in deps],
        visibility = visibility,
    )
    native.genrule(
        name = name + "_gen",
        srcs = [
            name + "_srcs",
            name + "_protos",
        ],
        outs = [stem + ".pb.cc" for stem in stems] +
               [stem + ".pb.h" for stem in stems],
        cmd = "protoc -I. -I/usr/include --cpp_out=$(GENDIR) " +
              "$(locations %s_srcs)" % name,
    )
    native.cc_library(
        name = name,
        srcs = [stem + ".pb.cc" for stem in stems],
        hdrs = [stem + ".pb.h" for stem in stems],
        # Not our code: its warnings are not ours to fix.
        copts = ["-w"],
        visibility = visibility,
        deps = deps + ["@sys//:protobuf"],
    )
