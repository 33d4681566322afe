"""What is printed and kept: the table, the bars, JSON, a line of history per case and proxy."""

import csv
import datetime
import json

from bars import BARS

KEPT = ("cpu_us", "ratio_to_relay", "ratio_low", "ratio_high", "syscalls", "p50_us", "p99_us", "rss_kib")
EXTRA = ("p999_us", "bytes_each", "last_ms", "slot_ms", "told_ms", "core_share", "rps", "busy", "instructions",
         "allocations", "changes_per_second")
HISTORY = ("date", "commit", "case", "proxy", *KEPT, *EXTRA)


def figures_of(outcome, proxy):
    """A proxy's figures in a case; None for what the case does not measure."""
    ratio = outcome.ratio(proxy, "relay") or (None, None, None)
    figures = dict(zip(("ratio_to_relay", "ratio_low", "ratio_high"), ratio))
    for field in ("cpu_us", "syscalls", "p50_us", "p99_us", "rss_kib"):
        figures[field] = outcome.figure(proxy, field)
    for field in EXTRA:
        value = outcome.figure(proxy, field)
        if value is not None:
            figures[field] = value
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}


def tables(outcomes):
    return {case: {proxy: figures_of(outcome, proxy) for proxy in outcome.proxies()}
            for case, outcome in outcomes.items()}


def cell(value, width, digits=2):
    text = "-" if value is None else f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    return f"{text:>{width}}"


def table_lines(results):
    yield (f"{'case':<20} {'proxy':<16} {'CPU us/req':>10} {'to relay':>8} {'95 % interval':>13} {'calls':>6} "
           f"{'p50 us':>8} {'p99 us':>8} {'RSS MiB':>8}  else")
    for case, rows in results.items():
        for proxy, row in rows.items():
            low, high = row["ratio_low"], row["ratio_high"]
            span = f"{low:.3f}-{high:.3f}" if low is not None else "-"
            rest = " ".join(f"{field}={row[field]:g}" for field in EXTRA if field in row)
            memory = None if row["rss_kib"] is None else row["rss_kib"] / 1024
            yield (f"{case:<20} {proxy:<16} {cell(row['cpu_us'], 10)} {cell(row['ratio_to_relay'], 8, 3)} {span:>13} "
                   f"{cell(row['syscalls'], 6)} {cell(row['p50_us'], 8, 1)} {cell(row['p99_us'], 8, 1)} "
                   f"{cell(memory, 8, 1)}  {rest}")


def bar_lines(outcomes):
    """A line for each bar whose case was run, and how many are missed."""
    lines, missed = [], 0
    for bar in BARS:
        found = bar.check(outcomes)
        if found is None:
            continue
        value, met = found
        missed += not met
        lines.append(f"{bar.case:<20} {bar.what:<42} {value:>9.3f} {'<' if bar.below else '<='} {bar.limit:<6g}"
                     f"{'' if met else ' MISSED'}")
    return lines, missed


def noise_line(outcomes):
    """What the A/A check says of the machine."""
    ratio = outcomes["noise"].ratio("relay_again", "relay") if "noise" in outcomes else None
    if ratio is None:
        return "noise: not measured"
    middle, low, high = ratio
    worst = max(abs(low - 1), abs(high - 1))
    verdict = "quiet" if worst <= 0.03 else "usable" if worst <= 0.08 else "too noisy: do not quote these figures"
    return (f"noise: a relay against itself {middle:.3f} ({low:.3f}-{high:.3f}): {verdict}; "
            f"differences below {worst:.1%} mean nothing")


def write_json(path, results):
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def check_history(path):
    """Rows under other columns than theirs would tell untruths: refused before anything is measured."""
    if not path.exists():
        return
    with open(path, newline="", encoding="utf-8") as file:
        if tuple(next(csv.reader(file), ())) != HISTORY:
            raise SystemExit(f"{path}: its columns are not {','.join(HISTORY)}")


def append_history(path, results, commit):
    fresh = not path.exists()
    today = datetime.date.today().isoformat()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HISTORY, extrasaction="ignore", restval="", lineterminator="\n")
        if fresh:
            writer.writeheader()
        for case, rows in results.items():
            for proxy, row in rows.items():
                writer.writerow({"date": today, "commit": commit, "case": case, "proxy": proxy, **row})
