"""Speed of Triceras as ratios in one run: against hand-written loops and Keras 3.15.1 on the same engine.

    make bench                                                  # everything: half an hour or more
    python -m benchmarks --engine torch --workload mlp          # one engine, one model
    python -m benchmarks --section fit --quick                  # a first look
    python -m benchmarks --cpu-time                             # one core, on a machine that others use too
    python -m benchmarks --check                                # do the competitors compute the same?

Competitors stand side by side in one process per engine and take turns; what counts are medians of the ratios
of each round, printed with their quartiles. A ratio has a tick where it reaches its target, else a cross.
Of eager calls the fastest samples count.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.workloads import WORKLOADS

ENGINES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
SECTIONS = ("fit", "first", "predict", "ops", "call", "build", "import")
REPORT = Console(width=None if sys.stdout.isatty() else 160)

Times = dict[str, list[float]]
Kind = Callable[[list[float]], float]  # the median, or for the shortest calls the minimum


class WorkerError(RuntimeError):
    """A worker process ended without a result."""


class Bench:
    """Starts the workers and writes the tables."""

    def __init__(
        self, engines: list[str], workloads: list[str], rounds: int, seconds: float, cpu: bool
    ) -> None:
        self.engines, self.workloads = engines, workloads
        self.rounds, self.seconds = rounds, seconds
        # whoever installs a library has its bytecode, so the first process may write that of our sources
        self.environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": ""}
        if cpu:
            one = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
            core = str(max(os.sched_getaffinity(0)))
            self.environment |= dict.fromkeys(one, "1") | {"BENCHMARK_CLOCK": "cpu", "BENCHMARK_CORES": core}

    def work(self, task: str, engine: str, *given: Any) -> Any:
        """What a fresh process measures."""
        arguments = [text if isinstance(text, str) else json.dumps(text) for text in given]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.measure", task, engine, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise WorkerError(last[0][:200])
        return json.loads(done.stdout.strip().splitlines()[-1])

    def fresh(self, task: str, engine: str, *given: Any) -> dict[str, Any]:
        """The same once a round in a process of its own, for both libraries in turns."""
        times: Times = {"triceras": [], "keras": []}
        failed: dict[str, str] = {}
        for _ in range(max(1, self.rounds // 2)):
            for who in [w for w in times if w not in failed]:
                try:
                    times[who].append(self.work(task, engine, who, *given))
                except WorkerError as error:
                    failed[who] = str(error)
        return {"times": {w: t for w, t in times.items() if w not in failed}, "failed": failed}

    # ------------------------------------------------------------ sections

    def fit(self) -> None:
        columns = ("ms", "by hand, ms", "ours / by hand", "Keras, ms", "Keras / ours", "by hand is")
        table = _table("A training step through fit", *columns)
        with _Rows(table) as add:
            for engine in self.engines:
                for name in self.workloads:
                    found = self._try("training", engine, name, self.rounds, self.seconds)
                    times, aims = found["times"], WORKLOADS[name]
                    add(
                        engine, name, _middle(times, "triceras", 1e3), _middle(times, "native", 1e3),
                        _ratio(times, "triceras", "native", most=aims.native[engine]),
                        _middle(times, "keras", 1e3),
                        _ratio(times, "keras", "triceras", least=aims.keras[engine]),
                        found.get("native", ""), failed=found["failed"],
                    )  # fmt: skip

    def first(self) -> None:
        columns = ("s", "Keras, s", "later than Keras, s")
        table = _table("From a compiled model to its first finished step", *columns)
        with _Rows(table) as add:
            for engine in self.engines:
                for name in self.workloads:
                    found = self.fresh("first_step", engine, name)
                    times = found["times"]
                    add(
                        engine, name, _middle(times, "triceras"), _middle(times, "keras"),
                        _difference(times, "triceras", "keras", 0.5), failed=found["failed"],
                    )  # fmt: skip

    def predict(self) -> None:
        table = _table("predict on 12,800 samples", "s", "Keras, s", "Keras / ours")
        with _Rows(table) as add:
            for engine in self.engines:
                for name in self.workloads:
                    found = self._try("prediction", engine, name, self.rounds, self.seconds)
                    times = found["times"]
                    add(
                        engine, name, _middle(times, "triceras"), _middle(times, "keras"),
                        _ratio(times, "keras", "triceras", least=1), failed=found["failed"],
                    )  # fmt: skip

    def ops(self) -> None:
        self._eager("An eager op on (8, 8) tensors", "op_calls", lambda name: 2e-6)

    def call(self) -> None:
        title = "model(x), eager, Dense layers on a batch of 8"
        self._eager(title, "model_calls", lambda depth: (30 + 5 * int(depth)) * 1e-6)

    def _eager(self, title: str, task: str, most: Any) -> None:
        table = _table(title, "µs", "engine's own, µs", "more than its own, µs", "Keras more, µs")
        with _Rows(table) as add:
            for engine in self.engines:
                for name, found in self._try(task, engine, self.rounds, self.seconds, each=True).items():
                    times = found["times"]
                    add(
                        engine, name,
                        _middle(times, "triceras", 1e6, min), _middle(times, "native", 1e6, min),
                        _difference(times, "triceras", "native", most(name), 1e6, min),
                        _difference(times, "keras", "native", scale=1e6, kind=min), failed=found["failed"],
                    )  # fmt: skip

    def build(self) -> None:
        self._both("Building a Functional model of 200 layers", "building", ("alike", "new sizes"), most=0.5)

    def imports(self) -> None:
        self._both("import, NumPy already loaded", "importing", ("",), most=0.5)

    def _both(self, title: str, task: str, kinds: tuple[str, ...], most: float) -> None:
        table = _table(title, "ms", "Keras, ms", "ours / Keras")
        with _Rows(table) as add:
            for engine in self.engines:
                for kind in kinds:
                    found = self.fresh(task, engine, *filter(None, (kind,)))
                    times = found["times"]
                    add(
                        engine, kind, _middle(times, "triceras", 1e3), _middle(times, "keras", 1e3),
                        _ratio(times, "triceras", "keras", most=most), failed=found["failed"],
                    )  # fmt: skip

    def check(self) -> None:
        table = _table("Loss and accuracy of two steps from equal weights", "values", "losses off by")
        with _Rows(table) as add:
            for engine in self.engines:
                for name in self.workloads:
                    found = self.work("check", engine, name)
                    truth = found["keras"]
                    for who, values in found.items():
                        if isinstance(values, str):
                            add(engine, f"{name}, {who}", values, "")
                            continue
                        first, second = (abs(values[i] / truth[i] - 1) for i in (0, 2))
                        shown = " ".join(f"{value:.5f}" for value in values)
                        off = _coloured(f"{first:.0e} {second:.0e}", first < 1e-5 and second < 0.03)
                        add(engine, f"{name}, {who}", shown, off)

    def _try(self, task: str, engine: str, *given: Any, each: bool = False) -> dict[str, Any]:
        try:
            return self.work(task, engine, *given)
        except WorkerError as error:
            nothing = {"times": {}, "failed": {"worker": str(error)}}
            return {"0": nothing} if each else nothing


# ---------------------------------------------------------------- cells


def _table(title: str, *columns: str) -> Table:
    table = Table("engine", "what", *columns, title=title, title_justify="left", header_style="bold")
    for column in table.columns[2:]:
        column.justify = "right"
    return table


class _Rows:
    """Adds rows to a table, tells progress meanwhile, and prints the table with its notes at the end."""

    def __init__(self, table: Table) -> None:
        self.table, self.notes = table, []

    def __enter__(self) -> Any:
        return self.add

    def add(self, *cells: str, failed: dict[str, str] | None = None) -> None:
        self.table.add_row(*cells)
        print(Text.from_markup("  ".join(cells)).plain, file=sys.stderr)  # a long run is worth following
        for who, why in (failed or {}).items():
            self.notes.append(f"{cells[0]} {cells[1]}: {who} not available: {why}")

    def __exit__(self, kind: Any, *rest: Any) -> None:
        REPORT.print(self.table)
        for note in self.notes:
            REPORT.print(f"  {note}", style="dim", markup=False, highlight=False)


def _middle(times: Times, who: str, scale: float = 1, kind: Kind = statistics.median) -> str:
    return f"{kind(times[who]) * scale:.3g}" if who in times else "-"


def _coloured(text: str, reached: bool) -> str:
    return f"[green]{text} ✓[/]" if reached else f"[red]{text} ✗[/]"


def _spread(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return f"({low:.2f}-{high:.2f})"


def _ratio(times: Times, a: str, b: str, most: float = float("inf"), least: float = 0) -> str:
    """The median of a / b over the rounds, its quartiles, and the target."""
    if a not in times or b not in times:
        return "-"
    ratios = [x / y for x, y in zip(times[a], times[b], strict=True)]
    middle = statistics.median(ratios)
    aim = f"≤ {most:g}" if least == 0 else f"≥ {least:g}"
    return f"{_coloured(f'{middle:.2f}', least <= middle <= most)} {_spread(ratios)} {aim}"


def _difference(
    times: Times,
    a: str,
    b: str,
    most: float = float("inf"),
    scale: float = 1,
    kind: Kind = statistics.median,
) -> str:
    """How much longer a takes than b, and the target."""
    if a not in times or b not in times:
        return "-"
    more = kind(times[a]) - kind(times[b])
    text = f"{more * scale:.2f}"
    return text if most == float("inf") else f"{_coloured(text, more <= most)} ≤ {most * scale:g}"


# ---------------------------------------------------------------- command


def _choice(names: Any) -> Any:
    return typer.Option(help=f"{', '.join(names)}; repeat for several. Default: all.")


def main(
    engine: Annotated[list[str] | None, _choice(ENGINES)] = None,
    workload: Annotated[list[str] | None, _choice(WORKLOADS)] = None,
    section: Annotated[list[str] | None, _choice(SECTIONS)] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of turns.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="Three rounds of short samples.")] = False,
    cpu_time: Annotated[bool, typer.Option("--cpu-time", help="CPU time, on one core.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only compare what they compute.")] = False,
) -> None:
    """Measure Triceras against hand-written loops and Keras, engine by engine."""
    installed = [name for name, module in ENGINES.items() if importlib.util.find_spec(module)]
    for asked, known in ((engine, ENGINES), (workload, WORKLOADS), (section, SECTIONS)):
        for name in asked or ():
            if name not in known:
                raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}")
    bench = Bench(
        engine or installed,
        workload or list(WORKLOADS),
        3 if quick else rounds,
        0.3 if quick else 1.5,
        cpu_time,
    )
    if check:
        bench.check()
        return
    for name in section or SECTIONS:
        getattr(bench, "imports" if name == "import" else name)()


if __name__ == "__main__":
    typer.run(main)
