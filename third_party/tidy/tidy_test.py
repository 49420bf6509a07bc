"""Each rule is shown to bite, and to leave good code alone."""

import unittest

from third_party.tidy import source, tidy


def rules(text, path="core/log/replica.cc", header=""):
    """The rules that the text breaks, without those about its frame."""
    found = {rule for _, rule, _ in tidy.check_file(path, text, header)}
    return found - {"include-guard"}


class DeterminismTest(unittest.TestCase):
    def assert_breaks(self, rule, *texts):
        for text in texts:
            with self.subTest(text):
                self.assertEqual(rules(text), {rule})
                self.assertEqual(rules(text, "sim/world.cc"), {rule})
                self.assertEqual(rules(text, "prod/event_loop.cc"), set())

    def assert_passes(self, *texts):
        for text in texts:
            with self.subTest(text):
                self.assertEqual(rules(text), set())

    def test_wall_clock(self):
        self.assert_breaks(
            "wall-clock",
            "auto t = std::chrono::system_clock::now();",
            "auto t = std::chrono::steady_clock::now();",
            "time_t t = time(nullptr);",
            "time_t t = std::time(&t);",
            "clock_gettime(CLOCK_MONOTONIC, &ts);",
            "absl::Time t = absl::Now();",
        )
        self.assert_passes(
            "Clock& clock = env.clock(); clock.Now();",
            "record.time(0);",
            "int64_t time = 0;",
            "// system_clock is not for us",
            'LOG(INFO) << "steady_clock";',
        )

    def test_evaluation_order(self):
        for text in [
                "f(random.Below(2), random.Below(3));",
                "node.Die(1 + random->Below(2), random->Below(3) == 0);",
                "int x = random.Below(2) + random.Below(3);",
                "if (random.Below(2) < random.Below(3)) f();",
                "f(g(random.Below(2)), {random.Below(3)});",
                "x = f(1,\n      DrawTime(), 2, random.Fraction());"]:
            with self.subTest(text):
                self.assertEqual(rules(text, "scenarios/a.cc"),
                                 {"evaluation-order"})
                self.assertEqual(rules(text, "prod/a.cc"), set())
        self.assert_passes(
            "int x = random.Below(2); int y = random.Below(3);",
            "int x = random.Below(2), y = random.Below(3);",
            "if (random.Below(2) == 0 && random.Below(3) == 0) f();",
            "int x = b ? random.Below(2) : random.Below(3);",
            "int x = random.Below(1 + random.Below(3));",
            "Pair p{random.Below(2), random.Below(3)};",
            "f({random.Below(2), random.Below(3)});",
            "f([&] { x = random.Below(2); }, [&] { y = random.Below(3); });",
            "int f() { return random.Below(2); }\n"
            "int g() { return random.Below(2); }",
            "for (int i = random.Below(2); i < random.Below(3);) f();",
            "if (random.Below(2) == 0) {\n  f();\n} else {\n"
            "  g(random.Below(2));\n}",
            "m[random.Below(2)] = random.Below(3);",
            "if (random.Below(2) == 0) {\n  f();\n}\ng(random.Below(2));",
            "if (Draw(x)) {\n  return f(g(1), {2});\n}\n"
            "if (a || !Draw(y)) return;",
        )

    def test_threads_and_sleep(self):
        self.assert_breaks(
            "thread",
            "std::thread t(f);",
            "std::mutex mu_;",
            "auto f = std::async(g);",
            "absl::Mutex mu_;",
            "thread_local int x;",
        )
        self.assert_breaks("sleep", "std::usleep(1);", "::sleep(1);")
        self.assert_passes("Promise promise; OnPromise(promise);")

    def test_randomness(self):
        self.assert_breaks(
            "random",
            "int x = rand();",
            "srand(1);",
            "long x = ::random();",
            "std::mt19937 gen;",
            "std::random_device rd;",
            "std::uniform_int_distribution<int> d(0, 1);",
        )
        self.assert_passes(
            "uint64_t x = random.Next();",
            "operand(x);",
            "FakeRandom random(7);",
            "io::Random& random() override;",
        )

    def test_environment_and_world(self):
        self.assert_breaks("environment", 'getenv("HOME");')
        self.assert_breaks("world", "if (env.IsSimulated()) return;")

    def test_pointer_order(self):
        self.assert_breaks(
            "pointer-order",
            "std::map<Agent*, int> m;",
            "absl::btree_set<const core::Agent *> s;",
            "std::hash<Agent*> h;",
        )
        self.assert_passes("std::map<int, Agent*> m;")


class IterationOrderTest(unittest.TestCase):
    MEMBER = "absl::flat_hash_map<std::string, std::vector<int>> agents_;\n"

    def test_range_for(self):
        code = "void F() { for (auto& [k, v] : agents_) Send(k); }"
        self.assertEqual(rules(self.MEMBER + code), {"iteration-order"})
        self.assertEqual(rules(code, header=self.MEMBER), {"iteration-order"})
        self.assertEqual(rules(code), set())

    def test_other_forms(self):
        declared = "std::unordered_set<int> seen;\n"
        for code in ("for (int x : self->seen) {}", "for (int x : *seen) {}",
                     "auto it = seen.begin();"):
            with self.subTest(code):
                self.assertEqual(rules(declared + code), {"iteration-order"})

    def test_lookups_are_fine(self):
        code = "auto it = agents_.find(k); for (int x : it->second) Use(x);"
        self.assertEqual(rules(self.MEMBER + code), set())

    def test_an_excuse_needs_a_reason(self):
        loop = "for (auto& a : agents_) n += a.second.size();"
        good = "// tidy-allow(iteration-order): a sum has no order\n"
        bad = "// tidy-allow(iteration-order):\n"
        other = "// tidy-allow(random): a sum has no order\n"
        self.assertEqual(rules(self.MEMBER + good + loop), set())
        self.assertEqual(rules(self.MEMBER + bad + loop), {"iteration-order"})
        self.assertEqual(rules(self.MEMBER + other + loop),
                         {"iteration-order"})


class FrameTest(unittest.TestCase):
    def test_layers(self):
        self.assertEqual(rules('#include "sim/world.h"\n'), {"layers"})
        self.assertEqual(
            rules('#include "prod/x.h"\n', "sim/world.cc"), {"layers"})
        self.assertEqual(rules('#include "io/clock.h"\n'), set())
        self.assertEqual(rules('#include "core/x.h"\n', "prod/m.cc"), set())

    def test_include_guard(self):
        good = ("#ifndef QUORATE_IO_CLOCK_H_\n#define QUORATE_IO_CLOCK_H_\n"
                "#endif\n")
        self.assertEqual(tidy.check_file("io/clock.h", good), [])
        self.assertEqual(len(tidy.check_file("io/disk.h", good)), 1)
        self.assertEqual(len(tidy.check_file("io/disk.h", "#pragma once\n")),
                         1)

    def test_using_namespace(self):
        self.assertEqual(rules("using namespace quorate::io;\n"),
                         {"using-namespace"})
        self.assertEqual(
            rules("using namespace std::chrono_literals;\n"
                  "int main() {\n  using namespace quorate;\n}\n"), set())

    def test_file_size(self):
        self.assertEqual(rules("\n" * tidy.MAX_FILE_LINES), set())
        self.assertEqual(rules("\n" * (tidy.MAX_FILE_LINES + 1)),
                         {"file-size"})

    def test_leftovers(self):
        self.assertEqual(rules("// TODO: finish\n"), {"leftover"})

    def test_visibility(self):
        public = 'package(default_visibility = ["//visibility:public"])\n'
        self.assertEqual(rules(public, "core/log/BUILD.bazel"),
                         {"visibility"})
        self.assertEqual(rules(public, "io/BUILD.bazel"), set())


class FunctionsTest(unittest.TestCase):
    def functions(self, text):
        return list(source.functions(source.strip(text)))

    def test_finds_the_kinds_of_functions(self):
        text = """
#define M(x) do { x; } while (0)
namespace quorate {
class Log : public Base {
 public:
  Log(int a, std::vector<int> b)
      : a_{a}, b_(std::move(b)) {
    Init({1, 2});
  }
  ~Log() override = default;
  bool operator==(const Log& o) const { return a_ == o.a_; }

 private:
  int a_ = 0;
  std::vector<int> b_{1, 2};
};

enum class Kind { kA, kB };

template <typename T, class U>
absl::StatusOr<T> Log::Read(int64_t position) {
  auto f = [this](int x) { return x; };
  if (f(1)) {
    return 1;
  }
  return "}";
}

constexpr int kTable[] = {F(1), 2};
TEST(LogTest, Reads) { EXPECT_EQ(1'000, x); }
}  // namespace quorate
"""
        self.assertEqual(
            self.functions(text),
            [
                ("Log", 6, 4),
                ("operator==", 11, 1),
                ("Log::Read", 20, 8),
                ("TEST(LogTest,Reads)", 30, 1),
            ],
        )

    def test_ratchet(self):
        body = "  x();\n" * tidy.MAX_FUNCTION_LINES
        found = list(tidy.long_functions("io/a.cc", "void F() {\n%s}\n" % body))
        length = tidy.MAX_FUNCTION_LINES + 2
        self.assertEqual(found, [("io/a.cc F", 1, length)])

        def findings(baseline):
            return len(list(tidy.check_functions(found, baseline)))

        self.assertEqual(findings({}), 1)
        self.assertEqual(findings({"io/a.cc F": length}), 0)
        self.assertEqual(findings({"io/a.cc F": length - 1}), 1)
        self.assertEqual(findings({"io/a.cc F": length + 1}), 1)
        self.assertEqual(
            findings({"io/a.cc F": length, "io/b.cc G": 70}), 1)

    def test_update_only_shrinks(self):
        def update(known):
            text = tidy.updated_baseline([("a.cc F", 1, 70)], known)
            return tidy.parse_baseline(text)

        self.assertEqual(update({"a.cc F": 80, "a.cc G": 90}), {"a.cc F": 70})
        self.assertEqual(update({"a.cc F": 65}), {"a.cc F": 65})
        self.assertEqual(update({}), {})


if __name__ == "__main__":
    unittest.main()
