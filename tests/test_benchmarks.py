"""The benchmarks still measure what they say: all servers answer alike, and the figures come out."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKLOADS = ("Job", "Newest", "Offers", "Contracts", "IntrospectionQuery", "Submit")


@pytest.mark.timeout(180)
def test_reads_are_measured_beside_the_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reads", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    measured = [row[1].strip() for row in rows if row[2].strip() == "limit"]
    assert measured == list(WORKLOADS)
    assert [row[2].strip() for row in rows if row[2].strip() in {"compiled", "ordinary"}] == [
        "compiled",
        "ordinary",
    ] * 6
