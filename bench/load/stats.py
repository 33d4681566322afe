"""What is computed from measurements: intervals, ratios, and the figures in other tools' output."""

import random
import re
import statistics

BOOTSTRAP_DRAWS = 2000
FEW = 5  # of fewer values than this the extremes are the interval


def interval(values):
    """A 95 % bootstrap interval of the median; the extremes where there are few values."""
    if len(values) < FEW:
        return min(values), max(values)
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values)))
                     for _ in range(BOOTSTRAP_DRAWS))
    return medians[BOOTSTRAP_DRAWS // 40], medians[-BOOTSTRAP_DRAWS // 40 - 1]


def paired(rounds, name, other, field="cpu_us"):
    """The ratio of one proxy's figure to another's within each round: median, low, high."""
    ratios = [one[name][field] / one[other][field] for one in rounds
              if name in one and other in one and one[other][field]]
    if not ratios:
        return None
    return (statistics.median(ratios), *interval(ratios))


def median_of(rounds, name, field):
    values = [one[name][field] for one in rounds if name in one and field in one[name]]
    return statistics.median(values) if values else None


def order_of(names, number):
    """ABBA: every other round goes backwards, so that drift cancels."""
    return list(names) if number % 2 == 0 else list(reversed(names))


def parse_wrk(text):
    """Requests completed and how many a second. Raises ValueError where any failed."""
    if "Socket errors" in text or "Non-2xx" in text:
        raise ValueError("requests failed: " + " ".join(text.split()))
    requests = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not requests or not rate or int(requests.group(1)) == 0:
        raise ValueError("no request completed: " + " ".join(text.split()))
    return int(requests.group(1)), float(rate.group(1))


def parse_strace(text):
    """Calls by name, from the table of `strace -c`."""
    calls = {}
    for line in text.splitlines():
        words = line.split()
        # % time, seconds, usecs/call, calls, [errors,] syscall
        if len(words) in (5, 6) and re.fullmatch(r"[\d.]+", words[0]) and words[-1] != "total":
            calls[words[-1]] = calls.get(words[-1], 0) + int(words[3])
    return calls


def parse_callgrind(text):
    """Instructions of the file, and calls by the name of the function called."""
    names, calls, called = {}, {}, ""
    total = 0
    for line in text.splitlines():
        if line.startswith("cfn="):
            number, _, name = line[4:].partition(" ")
            called = names.setdefault(number, name) if name else names.get(number, "")
        elif line.startswith("fn="):
            number, _, name = line[3:].partition(" ")
            if name:
                names.setdefault(number, name)
        elif line.startswith("calls="):
            calls[called] = calls.get(called, 0) + int(line[6:].split()[0])
        elif line.startswith(("totals:", "summary:")):
            total = int(line.split()[1])
    return total, calls


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
