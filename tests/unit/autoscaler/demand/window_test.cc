#include "autoscaler/demand/window.h"

#include <cmath>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::autoscaler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint At(double s) {
  return TimePoint(milliseconds(static_cast<int64_t>(s * 1000))) + seconds(6000);
}

/// The weight of the newest bucket as the reference states it: max(1 - 0.0001^(1/n), 0.2).
double Share(int buckets) { return std::max(1 - std::pow(0.0001, 1.0 / buckets), 0.2); }

TEST_CASE("a linear window follows Knative's published sequence") {
  Window window(seconds(5));
  CHECK(window.IsEmpty(At(0)));
  CHECK(window.Average(At(0)) == 0);
  window.Record(At(0), 1);
  CHECK(window.Average(At(0)) == 1);
  for (int s = 1; s < 5; ++s) window.Record(At(s), s + 1);
  CHECK(window.Average(At(4)) == 3);
  CHECK(window.Average(At(3.6)) == 3);
  CHECK(window.Average(At(6)) == 4);
  CHECK_FALSE(window.IsEmpty(At(9)));
  CHECK(window.IsEmpty(At(10)));
  CHECK(window.Average(At(10)) == 0);
  window.Record(At(6), 91);
  CHECK(window.Average(At(6)) == 20.6);

  window.Record(At(66), 1984);
  CHECK(window.Average(At(66)) == 1984);
  window.Record(At(63), 4);
  CHECK(window.Average(At(66)) == Approx((4 + 1984) / 4.0));
  window.Record(At(67), 5);
  CHECK(window.Average(At(67)) == Approx((4 + 1984 + 5) / 5.0).margin(1e-6));
  window.Record(At(64), 10);
  CHECK(window.Average(At(67)) == Approx((4 + 10 + 1984 + 5) / 5.0).margin(1e-6));
  for (const double too_old : {61.0, 62.0}) {
    window.Record(At(too_old), 777);
    CHECK(window.Average(At(67)) == Approx(2003 / 5.0).margin(1e-6));
  }
  window.Record(At(72), 10);
  CHECK(window.Average(At(72)) == 10);
}

TEST_CASE("a window takes reports that arrive in the wrong order, and holes") {
  Window descending(seconds(5));
  for (int s = 8; s >= 0; --s) descending.Record(At(s), 5);
  CHECK(descending.Average(At(8)) == 5);

  Window holes(seconds(5));
  for (int s = 0; s < 5; ++s) holes.Record(At(s), s + 1);
  holes.Record(At(8), 2);
  CHECK(holes.Average(At(8)) == Approx(7 / 5.0));
}

TEST_CASE("values of one second add up, whoever sends them") {
  Window window(seconds(5));
  window.Record(At(0.1), 1);
  window.Record(At(0.9), 2);
  CHECK(window.Average(At(0.95)) == 3);
}

TEST_CASE("a weighted window follows Knative's published sequence") {
  const double m = Share(5);
  CHECK(m == Approx(0.84151).margin(1e-5));
  Window window(seconds(5));
  window.Record(At(0), 2);
  CHECK(window.WeightedAverage(At(0)) == Approx(2 * m));
  CHECK(window.WeightedAverage(At(1)) == Approx(2 * m * (1 - m)));
  window.Record(At(1), 2);
  CHECK(window.WeightedAverage(At(1)) == Approx(2 * m + 2 * m * (1 - m)));
  for (int s = 2; s <= 6; ++s) window.Record(At(s), s);
  double expected = 0;
  for (int age = 0; age < 5; ++age) expected += (6 - age) * m * std::pow(1 - m, age);
  CHECK(window.WeightedAverage(At(6)) == Approx(expected));
  CHECK(window.WeightedAverage(At(16)) == 0);

  Window rising(seconds(5));
  for (int s = 0; s < 6; ++s) rising.Record(At(s), s + 1);
  CHECK(rising.WeightedAverage(At(5)) == Approx(5.812).margin(5e-4));
}

TEST_CASE("the weight of the newest second is Knative's smoothing coefficient") {
  const std::pair<int, double> rows[] = {{100, 0.2}, {60, 0.2}, {40, 0.20567}, {6, 0.78456}};
  for (const auto& [buckets, coefficient] : rows) {
    Window window{seconds(buckets)};
    window.Record(At(0), 1);
    CHECK(window.WeightedAverage(At(0)) == Approx(coefficient).margin(1e-5));
  }
}

TEST_CASE("a resized window keeps its newest seconds") {
  Window window(seconds(5));
  for (int s = 2; s <= 6; ++s) window.Record(At(s), s);
  window.Resize(seconds(10), At(6));
  CHECK(window.Average(At(6)) == 4);
  window.Record(At(7), 7);
  CHECK(window.Average(At(7)) == 4.5);
  window.Resize(seconds(4), At(7));
  CHECK(window.Average(At(7)) == 5.5);
  window.Resize(seconds(6), At(60));
  CHECK(window.IsEmpty(At(60)));
}

TEST_CASE("buckets of three seconds cover a span of five with two") {
  Window window(seconds(5), seconds(3));
  CHECK(window.buckets() == 2);
  window.Record(At(0), 3);
  window.Record(At(3), 1);
  CHECK(window.Average(At(5)) == 2);
}

TEST_CASE("a window agrees with a naive mean over every second, under a seed") {
  Random random(11);
  for (int round = 0; round < 200; ++round) {
    const int span = 1 + static_cast<int>(random.Below(70));
    Window window{seconds(span)};
    std::vector<double> truth(400, 0);
    for (int s = 0; s < 300; ++s) {
      truth[s] = static_cast<double>(random.Below(50));
      window.Record(At(s), truth[s]);
      double sum = 0;
      const int counted = std::min(s + 1, span);
      for (int age = 0; age < counted; ++age) sum += truth[s - age];
      REQUIRE(window.Average(At(s + 0.5)) == Approx(sum / counted).margin(1e-6));
    }
  }
}

TEST_CASE("a window of maxima follows Knative's published sequences") {
  struct Row {
    std::vector<int> values;
    std::vector<int> expected;
  };
  const Row rows[] = {
      {{5, 6, 5, 5, 5, 5, 5}, {5, 6, 6, 6, 6, 6, 5}},
      {{5, 8, 5, 7, 5, 5, 1, 4, 4, 4, 4, 9, 3, 4, 2, 1, 0},
       {5, 8, 8, 8, 8, 8, 7, 7, 5, 5, 4, 9, 9, 9, 9, 9, 4}},
  };
  for (const Row& row : rows) {
    MaxWindow window(seconds(5), seconds(1));
    std::vector<int> got;
    for (size_t s = 0; s < row.values.size(); ++s) {
      got.push_back(window.Record(At(static_cast<double>(s)), row.values[s]));
    }
    CHECK(got == row.expected);
  }

  MaxWindow gap(seconds(5), seconds(1));
  CHECK(gap.Record(At(0), 6) == 6);
  CHECK(gap.Record(At(1), 5) == 6);
  CHECK(gap.Record(At(2), 2) == 6);
  CHECK(gap.Record(At(6), 1) == 2);

  MaxWindow rising(seconds(5), seconds(1));
  MaxWindow falling(seconds(5), seconds(1));
  for (int value = 1; value <= 7; ++value) {
    CHECK(rising.Record(At(0), value) == value);
    CHECK(falling.Record(At(0), 8 - value) == 7);
  }

  MaxWindow empty(seconds(5), seconds(1));
  CHECK(empty.Record(At(0), 6) == 6);
  CHECK(empty.Record(At(0.5), 5) == 6);
  CHECK(empty.Record(At(6), 3) == 3);
}

}  // namespace
}  // namespace rouse::autoscaler
