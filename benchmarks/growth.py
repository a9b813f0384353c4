"""How time and memory grow: 30 to 10,000 networks, a small memory budget, block sizes, the layout of a layer.

The network and the folds are those of `digits.py`, 10 epochs. Every measurement runs in a fresh process.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import digits
import measuring

ROW_SETS = 5
BLOCK_NETWORKS = (10, 20, 40, 80, 160)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes
    ----------
    epochs
        Of every network.
    strengths
        G of each search; there are 5 times as many networks, so 6 strengths are 30 of them.
    many
        G of one more search, of NumPy's.
    budget
        Bytes allowed to the largest search, so few that it needs waves.
    block_strengths, block_epochs
        G and epochs of the searches that compare block sizes.
    repeats
        Products in a row of the layout's measurement.
    rounds
        How often the block sizes and the layouts are compared.
    """

    epochs: int = 10
    strengths: tuple[int, ...] = (6, 64, 640)
    many: int = 2000
    budget: int = 200 * measuring.MIB
    block_strengths: int = 64
    block_epochs: int = 10
    repeats: int = 300
    rounds: int = 3


QUICK = Size(
    epochs=1,
    strengths=(2, 24),
    many=30,
    budget=40 * measuring.MIB,
    block_strengths=8,
    block_epochs=1,
    repeats=10,
    rounds=1,
)


def train_search(
    epochs: int,
    strengths: int,
    block_strengths: int | None = None,
    budget: int | None = None,
    option: bool = True,
    engine: str = "jax",
) -> dict[str, Any]:
    """Train a search by an engine; memory is watched from the moment it can begin: JAX's program is compiled."""
    import numpy as np

    from fitwell.data.row_sets import from_splitter
    from fitwell.engine import jax_executor
    from fitwell.engine.engines import executor_of
    from fitwell.engine.job import Dataset, Settings
    from fitwell.engine.losses import CLASSIFICATION
    from fitwell.engine.network import DenseNetwork
    from fitwell.engine.numpy_executor import NumpyExecutor
    from fitwell.engine.training import train_all
    from fitwell.regularization.grids import sobol

    if not option:
        jax_executor.compiler_options = lambda _: {}
    baseline: list[int] = []
    executor, ready = (jax_executor.JaxExecutor, "_compile") if engine == "jax" else (NumpyExecutor, "__init__")
    setattr(executor, ready, _then(getattr(executor, ready), functools.partial(_start_watching, baseline)))
    inputs, target = digits.load()
    row_sets = from_splitter(digits.splitter(), len(target), target=target)
    dataset = Dataset(inputs, target, False, np.zeros(ROW_SETS), np.ones(ROW_SETS))
    settings = Settings(
        epochs=epochs,
        batch_size=digits.BATCH_SIZE,
        stopping=None,
        block_strengths=block_strengths,
        memory=budget,
        executor=executor_of(engine),
    )
    network = DenseNetwork(inputs.shape[1], (digits.HIDDEN,), 10)
    candidates = sobol(strengths, learning_rate=digits.LEARNING_RATE)
    begin = time.perf_counter()
    trained = train_all(network, dataset, row_sets, candidates, loss=CLASSIFICATION, settings=settings)
    seconds = time.perf_counter() - begin
    plan = trained.plan
    return {
        "networks": plan.networks,
        "seconds": seconds,
        "compile_seconds": trained.seconds["compile"],
        "train_seconds": trained.seconds["train"],
        "measure_seconds": trained.seconds["measure"],
        "compilations": trained.compilations,
        "block_networks": plan.row_sets * plan.block_strengths,
        "blocks": plan.blocks,
        "waves": len(plan.waves),
        "plan_bytes": plan.memory,
        "baseline_bytes": baseline[0],
        "peak_bytes": measuring.peak_bytes(),
        "result_bytes": sum(leaf.nbytes for layer in trained.best.trainable for leaf in layer.values()),
    }


def _then(run: Callable[..., Any], afterwards: Callable[[], None]) -> Callable[..., Any]:
    """Return `run` with something done after it."""

    @functools.wraps(run)
    def both(*arguments: Any, **keywords: Any) -> Any:
        result = run(*arguments, **keywords)
        afterwards()
        return result

    return both


def _start_watching(baseline: list[int]) -> None:
    baseline.append(measuring.resident_bytes())
    measuring.forget_peak()  # what the compiler needed and gave back is no part of training


PRODUCTS = {
    "first layer": ("rgoi,rib->rgob", "rbi,rgio->rgbo"),
    "first kernel's gradient": ("rgob,rib->rgoi", "rbi,rgbo->rgio"),
    "output layer": ("rgko,rgob->rgkb", "rgbo,rgok->rgbk"),
    "hidden units' gradient": ("rgko,rgkb->rgob", "rgbk,rgok->rgbo"),
    "output kernel's gradient": ("rgkb,rgob->rgko", "rgbo,rgbk->rgok"),
}
"""The matrix products of a training step, in the layout of `engine/network.py` and in Keras's.

r: row sets, g: strengths, b: rows of the batch, i: inputs, o: hidden units, k: outputs.
"""

AXES = {"r": ROW_SETS, "g": 8, "b": digits.BATCH_SIZE, "i": 64, "o": digits.HIDDEN, "k": 10}
"""A block of 40 networks."""

GRADIENTS = "all gradients of a batch"
OURS, KERAS = "ours", "Keras's"


def measure_layouts(repeats: int) -> dict[str, Any]:
    """Microseconds of every product and of a batch's gradients: both layouts, compiler option on and off.

    As in the engine, the strengths are spread over the devices.
    """
    from fitwell.engine.devices import available_devices, compiler_options

    devices = available_devices()
    found = {}
    for option, options in (("on", compiler_options(devices[0])), ("off", {})):
        timer = functools.partial(_time_in_loop, repeats=repeats, devices=devices, options=options)
        for place, layout in enumerate((OURS, KERAS)):
            for name, equations in PRODUCTS.items():
                found[f"{name}|{layout}|{option}"] = timer(*_product(equations[place]))
            found[f"{GRADIENTS}|{layout}|{option}"] = timer(*_gradients(layout))
    return {"microseconds": found}


def _product(equation: str) -> tuple[Callable[..., Any], list[str], str]:
    import jax.numpy as jnp

    left, right, out = equation.replace("->", ",").split(",")
    return lambda *operands: jnp.einsum(equation, *operands), [left, right], out


def _gradients(layout: str) -> tuple[Callable[..., Any], list[str], list[str]]:
    """The network of `digits.py` with its biases, written for one network and lifted as in the engine."""
    import jax
    import jax.numpy as jnp

    def ours(weights: Any, rows: Any) -> Any:
        kernel, bias, output_kernel, output_bias = weights
        hidden = jax.nn.relu(kernel @ rows.T + bias[:, None])
        return (output_kernel @ hidden + output_bias[:, None]).T

    def keras(weights: Any, rows: Any) -> Any:
        kernel, bias, output_kernel, output_bias = weights
        return jax.nn.relu(rows @ kernel + bias) @ output_kernel + output_bias

    def loss(weights: Any, rows: Any, target: Any) -> Any:
        outputs = (ours if layout == OURS else keras)(weights, rows)
        return -(jax.nn.log_softmax(outputs) * target).sum() / len(rows)

    def lifted(rows: Any, target: Any, *weights: Any) -> Any:
        one_row_set = jax.vmap(jax.grad(loss), in_axes=(0, None, None))
        return list(jax.vmap(one_row_set)(weights, rows, jnp.abs(target)))

    kernels = ["rgoi", "rgo", "rgko", "rgk"] if layout == OURS else ["rgio", "rgo", "rgok", "rgk"]
    return lifted, ["rbi", "rbk", *kernels], kernels


def _time_in_loop(
    run: Callable[..., Any],
    axes: list[str],
    out_axes: str | list[str],
    *,
    repeats: int,
    devices: list[Any],
    options: dict[str, Any],
) -> float:
    """Time `run` in a loop inside one program, in microseconds: a call from Python costs as much again.

    The compiled loop of a product holds that product and nothing else (looked up in its HLO, jax 0.10.2).
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding
    from jax.sharding import PartitionSpec as Split

    def split(names: str) -> Split:
        return Split(None, "g") if "g" in names else Split()

    mesh = Mesh(np.array(devices), ("g",))
    generator = np.random.default_rng(0)
    operands = [
        jax.device_put(
            generator.normal(size=[AXES[axis] for axis in names]).astype(np.float32),
            NamedSharding(mesh, split(names)),
        )
        for names in axes
    ]

    def again(_: int, carried: Any) -> Any:
        # the operands wait for the last result, so that the work cannot be moved out of the loop
        given, _ = jax.lax.optimization_barrier(carried)
        return given, run(*given)

    def loop(*given: Any) -> Any:
        return jax.lax.fori_loop(0, repeats, again, (given, run(*given)))[1]

    out_splits = jax.tree.map(split, out_axes)
    spread = jax.shard_map(loop, mesh=mesh, in_specs=tuple(map(split, axes)), out_specs=out_splits, check_vma=False)
    compiled = jax.jit(spread).lower(*operands).compile(compiler_options=options or None)
    jax.block_until_ready(compiled(*operands))
    begin = time.perf_counter()
    jax.block_until_ready(compiled(*operands))
    return (time.perf_counter() - begin) / repeats * 1e6


TASKS = {"search": train_search, "layouts": measure_layouts}


def growth_table(size: Size) -> str:
    """Searches from small to large, and the largest again with little memory."""
    header = [
        "engine",
        "networks",
        "budget, MiB",
        "blocks of",
        "waves",
        "s in all",
        "compilation",
        "training",
        "measuring",
        "compilations",
    ]
    header += ["s of training per network", "peak memory, MiB"]
    header += [
        "before training, MiB",
        "growth, MiB",
        "growth / budget",
        "plan.memory, MiB",
        "best networks, MiB",
    ]
    asked: list[dict[str, Any]] = []
    for engine in ("numpy", "jax"):
        counts = (*size.strengths, size.many) if engine == "numpy" else size.strengths
        asked += [{"strengths": strengths, "engine": engine} for strengths in counts]
        asked.append({"strengths": size.strengths[-1], "budget": size.budget, "engine": engine})
    rows = []
    for keywords in asked:
        result = measuring.in_child(__file__, "search", epochs=size.epochs, **keywords)
        rows.append([keywords["engine"], *_growth_row(result, keywords.get("budget"))])
    return measuring.table(header, rows) + _GROWTH_NOTE


_GROWTH_NOTE = """
Seconds of `train()`: compilation, training, and measuring the best networks at the end with a small program
of its own. Memory is resident memory of the process: *before training* when the program is compiled and bound
to its data (NumPy has none), *growth* from there to the peak. *Best networks* is the result itself, the
variables of every network at its best epoch, which is returned and therefore kept, whatever the budget.
"""


def _growth_row(result: dict[str, Any], budget: int | None) -> list[Any]:
    growth = result["peak_bytes"] - result["baseline_bytes"]
    return [
        result["networks"],
        _mib(budget) if budget else "half of what is free",
        result["block_networks"],
        result["waves"],
        result["seconds"],
        result["compile_seconds"],
        result["train_seconds"],
        result["measure_seconds"],
        result["compilations"],
        _per_network(result),
        _mib(result["peak_bytes"]),
        _mib(result["baseline_bytes"]),
        _mib(growth),
        growth / budget if budget else "",
        _mib(result["plan_bytes"]),
        _mib(result["result_bytes"]),
    ]


def _mib(count: int) -> int:
    return round(count / measuring.MIB)


def _per_network(result: dict[str, Any]) -> float:
    return result["train_seconds"] / result["networks"]


def block_table(size: Size) -> str:
    """One search cut into blocks of different sizes, in rounds."""
    found: dict[int, list[dict[str, Any]]] = {}
    for _ in range(size.rounds):
        for networks in BLOCK_NETWORKS:
            block = networks // ROW_SETS
            if block <= size.block_strengths:
                keywords: dict[str, Any] = {"strengths": size.block_strengths, "block_strengths": block}
                result = measuring.in_child(__file__, "search", epochs=size.block_epochs, **keywords)
                found.setdefault(networks, []).append(result)
    rows = []
    for networks, results in found.items():
        each = [_per_network(result) for result in results]
        compile_seconds = statistics.median(result["compile_seconds"] for result in results)
        cost = [networks, results[0]["blocks"], statistics.median(each), measuring.spread(each)]
        rows.append([*cost, compile_seconds])
    header = ["networks per block", "blocks", "s of training per network", "range over rounds"]
    return measuring.table([*header, "s of compilation"], rows)


def layout_table(size: Size) -> str:
    """The products of a training step, and all of it, in both layouts."""
    rounds = [measuring.in_child(__file__, "layouts", repeats=size.repeats)["microseconds"] for _ in range(size.rounds)]
    rows = []
    for name in (*PRODUCTS, GRADIENTS):
        keys = [f"{name}|{layout}|{option}" for option in ("on", "off") for layout in (OURS, KERAS)]
        times = [statistics.median(found[key] for found in rounds) for key in keys]
        equation = PRODUCTS[name][0] if name in PRODUCTS else ""
        operations = _operations(equation) if equation else sum(_operations(both[0]) for both in PRODUCTS.values())
        gains = [[found[theirs] / found[ours] for found in rounds] for ours, theirs in (keys[:2], keys[2:])]
        medians = [f"{measuring.cell(statistics.median(gain))} ({measuring.spread(gain)})" for gain in gains]
        rows.append([name, equation, *times, operations / times[0] / 1000, *medians])
    header = ["", "our layout", "ours, us", "Keras's, us", "ours, option off, us", "Keras's, option off, us"]
    header += ["GFLOP/s of ours", "Keras's / ours (range over rounds)", "the same, option off"]
    return measuring.table(header, rows)


def _operations(equation: str) -> float:
    """Floating point operations of a product."""
    count = 2.0
    for axis in set(equation) & set(AXES):
        count *= AXES[axis]
    return count


def option_table(size: Size) -> str:
    """A whole search with the compiler option of `engine/devices.py` and without it, in rounds."""
    found: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for _ in range(size.rounds):
        for option, results in found.items():
            keywords: dict[str, Any] = {"strengths": size.block_strengths, "option": option}
            results.append(measuring.in_child(__file__, "search", epochs=size.block_epochs, **keywords))
    rows = []
    for option, results in found.items():
        each = [_per_network(result) for result in results]
        compile_seconds = statistics.median(result["compile_seconds"] for result in results)
        cost = [statistics.median(each), measuring.spread(each), compile_seconds]
        rows.append(["on" if option else "off", *cost])
    header = ["compiler option", "s of training per network", "range over rounds", "s of compilation"]
    return measuring.table(header, rows)


SECTIONS: dict[str, tuple[str, Callable[[Size], str]]] = {
    "growth": ("Growth: {epochs} epochs", growth_table),
    "blocks": ("Block sizes: {networks} networks, {block_epochs} epochs", block_table),
    "option": ("XLA's default fusions: {networks} networks, {block_epochs} epochs", option_table),
    "layout": (f"Layout: {ROW_SETS} row sets x {AXES['g']} strengths, batches of {AXES['b']}", layout_table),
}
"""What `--only` may name: a title and what makes the table."""


def main() -> None:
    """Measure and print."""
    options = measuring.arguments(__doc__, TASKS, only=tuple(SECTIONS))
    size = QUICK if options.quick else Size()
    size = replace(size, rounds=options.rounds or size.rounds)
    print(measuring.heading("Growth, blocks and layout", options))
    sizes = {**asdict(size), "networks": ROW_SETS * size.block_strengths}
    for name, (title, make) in SECTIONS.items():
        if options.only in (None, name):
            print(f"### {title.format(**sizes)}\n\n{make(size)}", flush=True)


if __name__ == "__main__":
    main()
