"""fuzz_target(): one LLVMFuzzerTestOneInput, used in two ways.

With --config=fuzz (clang) the binary is a libFuzzer program. In every other
configuration the same source is linked to a small main that runs each corpus
file once, and <name>_corpus_test is an ordinary test over the corpus.
"""

def fuzz_target(name, srcs, deps = [], size = "small"):
    """A fuzz target with the seeds in the folder corpus/<name> beside it.

    Args:
      name: the program. A dictionary is found by its name, <name>.dict.
      srcs: define LLVMFuzzerTestOneInput.
      deps: as for cc_library.
      size: of the test over the corpus.
    """
    corpus = native.glob(["corpus/%s/**" % name])
    if not corpus:
        fail("%s: without seeds in corpus/%s little is found" % (name, name))
    native.cc_library(
        name = name + "_lib",
        testonly = True,
        srcs = srcs,
        alwayslink = True,
        deps = deps,
    )
    engine = select({
        "//third_party:libfuzzer": [],
        "//conditions:default": ["//third_party:fuzz_replay_main"],
    })
    linkopts = select({
        "//third_party:libfuzzer": ["-fsanitize=fuzzer"],
        "//conditions:default": [],
    })
    native.cc_binary(
        name = name,
        testonly = True,
        linkopts = linkopts,
        deps = [":" + name + "_lib"] + engine,
    )
    native.cc_test(
        name = name + "_corpus_test",
        size = size,
        args = select({
            "//third_party:libfuzzer": ["-runs=0"],
            "//conditions:default": [],
        }) + ["%s/corpus/%s" % (native.package_name(), name)],
        data = corpus,
        linkopts = linkopts,
        deps = [":" + name + "_lib"] + engine,
    )
