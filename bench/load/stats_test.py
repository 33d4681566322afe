"""Tests of what the bench computes. ctest runs it: bench_driver."""

import random
import tempfile
import unittest
from pathlib import Path

import report
import stats

WRK = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  41234 requests in 1.10s, 8.21MB read
Requests/sec:  37485.01
Transfer/sec:      7.46MB
"""

STRACE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.010000           5      2000           sendto
 30.00    0.006000           3      2004         4 recvfrom
 20.00    0.004000           4      1000           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.020000           4      5004         4 total
"""

CALLGRIND = """events: Ir
fn=(1) main
0 5
cfn=(2) malloc
calls=3 0
0 30
fn=(3) other
cfn=(2)
calls=4 0
0 40
cfn=(1)
calls=1 0
0 9
totals: 84
"""


def rounds(pairs):
    return [{"relay": {"cpu_us": a}, "rouse": {"cpu_us": b}} for a, b in pairs]


class Intervals(unittest.TestCase):
    def test_few_values_give_their_extremes(self):
        self.assertEqual(stats.interval([3.0, 1.0, 2.0]), (1.0, 3.0))

    def test_same_values_give_no_width(self):
        self.assertEqual(stats.interval([2.0] * 9), (2.0, 2.0))

    def test_it_is_the_same_each_time_and_holds_the_median(self):
        values = [1.0, 1.1, 0.9, 1.3, 1.2, 1.05, 0.95]
        low, high = stats.interval(values)
        self.assertEqual((low, high), stats.interval(values))
        self.assertLess(low, 1.05)
        self.assertGreater(high, 1.05)

    def test_one_outlier_does_not_move_it_far(self):
        low, high = stats.interval([1.0] * 8 + [50.0])
        self.assertEqual((low, high), (1.0, 1.0))

    def test_it_covers_the_true_median_about_nineteen_times_in_twenty(self):
        draw = random.Random(7)
        inside = 0
        for _ in range(100):
            low, high = stats.interval([draw.gauss(10, 1) for _ in range(15)])
            inside += low <= 10 <= high
        self.assertGreaterEqual(inside, 88)
        self.assertLess(inside, 100)


class Ratios(unittest.TestCase):
    def test_a_ratio_is_taken_within_its_round(self):
        # The machine gets twice as slow half way: the ratio does not see it.
        middle, low, high = stats.paired(rounds([(10, 12), (10, 12), (20, 24), (20, 24)]),
                                         "rouse", "relay")
        self.assertAlmostEqual(middle, 1.2)
        self.assertAlmostEqual(low, 1.2)
        self.assertAlmostEqual(high, 1.2)

    def test_the_median_of_ratios_is_no_ratio_of_medians(self):
        self.assertAlmostEqual(
            stats.paired(rounds([(10, 10), (20, 40), (40, 60)]), "rouse", "relay")[0], 1.5)

    def test_a_round_without_one_of_the_two_does_not_count(self):
        some = rounds([(10, 11)]) + [{"relay": {"cpu_us": 10}}]
        self.assertAlmostEqual(stats.paired(some, "rouse", "relay")[0], 1.1)
        self.assertIsNone(stats.paired([{"relay": {"cpu_us": 10}}], "rouse", "relay"))

    def test_rounds_go_forth_and_back(self):
        self.assertEqual([stats.order_of("abc", n) for n in (0, 1, 2)],
                         [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]])


class Parsing(unittest.TestCase):
    def test_wrk(self):
        self.assertEqual(stats.parse_wrk(WRK), (41234, 37485.01))

    def test_a_run_with_failures_is_none(self):
        for text in (WRK + "  Non-2xx or 3xx responses: 3\n",
                     WRK + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
                     WRK.replace("41234", "0"), ""):
            with self.assertRaises(ValueError):
                stats.parse_wrk(text)

    def test_strace(self):
        self.assertEqual(stats.parse_strace(STRACE),
                         {"sendto": 2000, "recvfrom": 2004, "epoll_wait": 1000})

    def test_callgrind(self):
        total, calls = stats.parse_callgrind(CALLGRIND)
        self.assertEqual(total, 84)
        self.assertEqual(calls, {"malloc": 7, "main": 1})

    def test_quantile(self):
        self.assertEqual(stats.quantile(range(1, 101), 0.5), 51)
        self.assertEqual(stats.quantile([5], 0.99), 5)


class History(unittest.TestCase):
    def test_the_kept_file_has_the_columns_that_are_written_and_another_is_refused(self):
        report.check_history(Path(__file__).parents[1] / "history.csv")
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "history.csv"
            report.check_history(path)  # not there yet
            path.write_text("date,commit\n", encoding="utf-8")
            with self.assertRaises(SystemExit):
                report.check_history(path)
            path.unlink()
            report.append_history(path, {"noise": {"relay": {"cpu_us": 1}}}, "x")
            report.check_history(path)


if __name__ == "__main__":
    unittest.main()
