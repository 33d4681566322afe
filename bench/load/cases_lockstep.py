"""The deterministic gates as a case, so that the table has them too."""

import gates
from cases import Outcome, case
from processes import Failed


@case("lockstep", "one connection, 1 000 requests: system calls, instructions, allocations (bench/gates.sh)")
def lockstep(bench):
    directory = bench.options.scratch / "lockstep"
    directory.mkdir()
    outcome = Outcome()
    try:
        outcome.add("rouse", **gates.measure(bench.options, directory, bench.log))
    except gates.Skipped as why:
        raise Failed(str(why)) from why
    return outcome
