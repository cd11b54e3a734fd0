"""The benchmarks still measure what they say: all servers answer alike, and the figures come out; nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKLOADS = ("Job", "Newest", "Offers", "Contracts", "IntrospectionQuery", "Submit")


@pytest.mark.timeout(600)
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


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_done_twice_however_often_a_server_or_postgres_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.crash", "--rounds", "10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 lost, 0 doubled, 0 wrong."
    # Somebody was cut off in the middle, or nothing was tried.
    sent_again = int(done.stdout.splitlines()[-2].split()[0])
    assert sent_again > 0


@pytest.mark.timeout(300)
def test_what_is_wanted_holds_on_every_server_and_nobodys_request_fails_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.control", "--changes", "2", "--servers", "3", "--readers", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [int(row[2]) for row in rows] == [2] * 8
    assert all(int(row[6]) > 0 for row in rows)
    assert [int(row[8]) for row in rows] == [0] * 8
    assert done.stdout.splitlines()[-1] == "0 requests failed without a reason."


def test_the_gate_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gate", "--times", "1000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("|") == 3 * 7


def test_the_audit_is_measured_with_all_that_refers_to_the_ledger() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.books", "2000", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "The ledger is right: " in done.stdout.splitlines()[-1]
