"""The machine: its name, the bandwidth of its memory, and what our processes take of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from evaluation import results

BYTES = 1 << 28
"""Read by each thread in one pass: larger than any cache."""
PASSES = 7
SAMPLE_SECONDS = 1.0
MEGABYTE = 1e6


def describe() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    return results.machine("cpu") | {
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average_before": round(psutil.getloadavg()[0], 1),
    }


def bandwidth(threads: int) -> float:
    """Measure how many bytes a second ``threads`` threads read together, in a process apart.

    The best of `PASSES`: dot products over arrays that no cache holds.
    """
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return float(run_apart("keystrokes.machine", one, str(threads)))


def run_apart(module: str, environment: Mapping[str, str], *arguments: str) -> Any:
    """Run a module of the benchmarks in a process of its own; return the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    folder = Path(__file__).parents[1]
    ran = subprocess.run(
        command, cwd=folder, env=os.environ | dict(environment), check=True, stdout=subprocess.PIPE
    )
    return json.loads(ran.stdout)


def _read(threads: int) -> float:
    arrays = [np.ones(BYTES // 4, np.float32) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(PASSES):
            begun = time.perf_counter()
            list(pool.map(lambda array: array @ array, arrays))
            best = max(best, threads * BYTES / (time.perf_counter() - begun))
    return best


def family(pid: int) -> list[psutil.Process]:
    """Return a process with all that it started, as far as they still run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def memory(pid: int) -> float:
    """Return the megabytes of a process and its children.

    Proportional set sizes where the system tells them (what is shared counts once in all), unique
    ones elsewhere.
    """
    total = 0
    for process in family(pid):
        with contextlib.suppress(psutil.Error):
            found = process.memory_full_info()
            total += getattr(found, "pss", found.uss)
    return total / MEGABYTE


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and its children."""
    spent = 0.0
    for process in family(pid):
        with contextlib.suppress(psutil.Error):
            spent += sum(process.cpu_times()[:2])
    return spent


class Watch:
    """Looks at the memory of processes while something runs; ``peak`` in megabytes, by name."""

    def __init__(self, pids: dict[str, int], seconds: float = SAMPLE_SECONDS) -> None:
        self._pids, self._seconds = pids, seconds
        self.peak = dict.fromkeys(pids, 0.0)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the block ends."""
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()

    async def _look(self) -> None:
        while True:
            for name, pid in self._pids.items():
                self.peak[name] = max(self.peak[name], await asyncio.to_thread(memory, pid))
            await asyncio.sleep(self._seconds)


if __name__ == "__main__":
    print(json.dumps(_read(int(sys.argv[1]))))
