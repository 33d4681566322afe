#include "common/obs/metrics.h"

#include <catch2/catch.hpp>

namespace rouse::obs {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool Has(const std::string& page, const std::string& line) {
  return page.find(line + "\n") != std::string::npos;
}

TEST_CASE("an observation falls into the first bucket whose bound is not below it") {
  Histogram histogram;
  histogram.Observe(microseconds(100));
  histogram.Observe(microseconds(101));
  histogram.Observe(Duration::zero());
  histogram.Observe(seconds(100));
  histogram.Observe(seconds(101));
  CHECK(histogram.counts()[0] == 2);
  CHECK(histogram.counts()[1] == 1);
  CHECK(histogram.counts()[Histogram::kBuckets - 2] == 1);
  CHECK(histogram.counts()[Histogram::kBuckets - 1] == 1);
  CHECK(histogram.count() == 5);
  CHECK(histogram.sum_seconds() == Approx(201.000201));
  CHECK(Histogram::bounds()[3] == 0.001);
}

TEST_CASE("a quantile is interpolated inside its bucket") {
  Histogram histogram;
  CHECK(histogram.Quantile(0.5) == Duration::zero());
  for (int i = 0; i < 90; ++i) histogram.Observe(milliseconds(8));    // bucket 5..10 ms
  for (int i = 0; i < 10; ++i) histogram.Observe(milliseconds(300));  // bucket 250..500 ms
  CHECK(Milliseconds(histogram.Quantile(0.45)) == 7);
  CHECK(Milliseconds(histogram.Quantile(0.9)) == 10);
  CHECK(Milliseconds(histogram.Quantile(0.95)) == 375);
  CHECK(Milliseconds(histogram.Quantile(1)) == 500);
  Histogram slow;
  slow.Observe(seconds(1000));
  CHECK(slow.Quantile(0.5) == seconds(100));
}

TEST_CASE("merged numbers are sums") {
  Counter counter{2};
  counter.Merge(Counter{3});
  CHECK(counter.value == 5);
  Histogram a;
  Histogram b;
  a.Observe(seconds(1));
  b.Observe(seconds(2));
  a.Merge(b);
  CHECK(a.count() == 2);
  CHECK(a.sum_seconds() == Approx(3));
}

TEST_CASE("the page has each family once, in the order of names, with its type and help") {
  MetricPage page;
  page.Add("z_total", "Last.", {{"workload", "a/b"}}, Counter{1});
  page.Add("a_now", "First.", {}, Gauge{1.5});
  page.Add("z_total", "Last.", {{"workload", "c/d"}}, Counter{7});
  page.Add("z_total", "Last.", {{"workload", "a/b"}}, Counter{2});
  const std::string text = page.Text();
  CHECK(text ==
        "# HELP a_now First.\n# TYPE a_now gauge\na_now 1.5\n"
        "# HELP z_total Last.\n# TYPE z_total counter\n"
        "z_total{workload=\"a/b\"} 3\nz_total{workload=\"c/d\"} 7\n");
}

TEST_CASE("label values are escaped") {
  MetricPage page;
  page.Add("x_total", "X.", {{"kind", "a\"b\\c\nd"}}, Counter{1});
  CHECK(Has(page.Text(), "x_total{kind=\"a\\\"b\\\\c\\nd\"} 1"));
}

TEST_CASE("a histogram on the page is cumulative and ends at infinity") {
  Histogram histogram;
  histogram.Observe(milliseconds(1));
  histogram.Observe(milliseconds(3));
  histogram.Observe(seconds(500));
  MetricPage page;
  page.Add("wait_seconds", "Wait.", {{"phase", "start"}}, histogram);
  page.Add("wait_seconds", "Wait.", {{"phase", "start"}}, histogram);
  const std::string text = page.Text();
  CHECK(Has(text, "# TYPE wait_seconds histogram"));
  CHECK(Has(text, "wait_seconds_bucket{phase=\"start\",le=\"0.0005\"} 0"));
  CHECK(Has(text, "wait_seconds_bucket{phase=\"start\",le=\"0.001\"} 2"));
  CHECK(Has(text, "wait_seconds_bucket{phase=\"start\",le=\"0.005\"} 4"));
  CHECK(Has(text, "wait_seconds_bucket{phase=\"start\",le=\"100\"} 4"));
  CHECK(Has(text, "wait_seconds_bucket{phase=\"start\",le=\"+Inf\"} 6"));
  CHECK(Has(text, "wait_seconds_count{phase=\"start\"} 6"));
}

}  // namespace
}  // namespace rouse::obs
