from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from example_tables import QUICK, QUICK_ARGUMENTS, mixed

import fitwell
from fitwell.api import command_running
from fitwell.api.cli import INPUT_EXIT, main
from fitwell.api.command_running import ENDING, INTERRUPT_EXIT
from fitwell.engine.program_directory import open_directory
from fitwell.problems.tables import read_table

FITWELL = [sys.executable, "-m", "fitwell"]


class Answer(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # where tests run in parallel it is set

    def call(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["fitwell", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    return call


@pytest.fixture
def table(tmp_path: Path) -> pl.DataFrame:
    """A mixed table, written as table.csv."""
    mixed().write_csv(tmp_path / "table.csv")
    return mixed()


def tune(run: Run, *arguments: str, data: str = "table.csv", target: str = "ill") -> Answer:
    return run("tune", data, "--target", target, *QUICK_ARGUMENTS, *arguments)


@pytest.mark.usefixtures("table")
def test_tune_and_predict(run: Run, tmp_path: Path) -> None:
    """The two commands of the README: the run is saved, and new rows get a label and probabilities each."""
    answer = tune(run, "--out", "run")
    assert answer.status == 0, answer.err
    order = [
        "Read      90 rows",
        "Target    ill: classification, 2 classes",
        "3 row sets x 4 strengths = 12 networks",
        "Without regularization, after",
        "The best 4 of 4 strengths",
        "Minimum",
        "one standard error, that of the paired difference",
        "strengths that are not significantly worse",
        "optimistic",
        "Saved     run: the mean of 12 networks",
    ]
    places = [answer.out.index(part) for part in order]
    assert places == sorted(places)
    answer = run("predict", "run", "table.csv", "--out", "predictions.csv")
    assert answer.status == 0, answer.err
    predictions = pl.read_csv(tmp_path / "predictions.csv")
    assert predictions.columns == ["ill", "probability of no", "probability of yes"]
    assert predictions.height == 90
    printed = run("predict", "run", "table.csv")
    assert printed.out == (tmp_path / "predictions.csv").read_text(encoding="utf-8")


@pytest.mark.usefixtures("table")
def test_columns_are_heeded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piped, a table is as wide as it needs; a width that was set is the width of all lines."""
    assert "paired error" in tune(run).out
    monkeypatch.setenv("COLUMNS", "80")
    narrow = tune(run).out
    assert "paired error" not in narrow
    assert "training" in narrow
    assert max(map(len, narrow.splitlines())) <= 80


@pytest.mark.usefixtures("table")
def test_json_is_one_document(run: Run) -> None:
    """With --json standard output is one JSON document and nothing else."""
    answer = tune(run, "--json")
    document = json.loads(answer.out)
    assert document["choice"]["minimum"]["held_out_loss"] > 0
    assert document["saved"] is None


@pytest.mark.usefixtures("table")
def test_json_is_printed_however_quiet_it_is(run: Run) -> None:
    """`--json --quiet` prints the document and nothing else."""
    answer = tune(run, "--json", "--quiet")
    assert json.loads(answer.out)["seed"] == 0
    assert answer.err == ""


@pytest.mark.usefixtures("table")
def test_a_reminder_before_training(run: Run) -> None:
    """Without --out it is said before training that nothing will be saved, and with it it is not."""
    answer = tune(run)
    assert 0 <= answer.out.index("Nothing will be saved: stop, and add --out") < answer.out.index("Training  ")
    assert "Nothing will be saved" not in tune(run, "--out", "run").out


@pytest.mark.parametrize("place", ["x" * 300, "deep/" + "x" * 300, "/proc/fitwell/run"], ids=ascii)
@pytest.mark.usefixtures("table")
def test_an_out_that_cannot_be_made_is_found_before_anything_is_read(run: Run, tmp_path: Path, place: str) -> None:
    """A directory that cannot be made is refused in a sentence before the table is opened, and nothing is left."""
    answer = run("tune", "nowhere.csv", "--target", "ill", "--out", place)
    assert answer.status == INPUT_EXIT
    assert answer.err.startswith(f"fitwell: '{place}' cannot be made")
    assert answer.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_warnings_are_clean_lines(run: Run, tmp_path: Path) -> None:
    """A warning of ours is one line on standard error without a file's name or a line of code; --quiet has none."""
    farm = ["north", "south", "west"] * 12
    y = ["yak" if name == "west" else kind for name, kind in zip(farm, ["calf"] * 18 + ["cow"] * 18, strict=True)]
    pl.DataFrame({"x": np.sin(np.arange(36)), "farm": farm, "y": y}).write_csv(tmp_path / "t.csv")
    options = ["tune", "t.csv", "--target", "y", "--groups", "farm", *QUICK_ARGUMENTS, "--out", "run", "--force"]
    answer = run(*options)
    assert answer.status == 0, answer.err
    assert answer.err.startswith("fitwell: Class 'yak' is in the group 'west' only: it is held out and not trained on")
    assert answer.err.count("\n") == 1
    assert run(*options, "--quiet") == Answer(0, "", "")


@pytest.mark.usefixtures("table")
def test_quiet_prints_nothing(run: Run, tmp_path: Path) -> None:
    """With --quiet nothing is printed, and the run is saved all the same."""
    answer = tune(run, "--quiet", "--out", "run")
    assert answer == Answer(0, "", "")
    assert (tmp_path / "run" / "model.keras").exists()


@pytest.mark.usefixtures("table")
def test_a_seed_repeats_the_document(run: Run) -> None:
    """Two runs with one seed print the same numbers to the last digit."""
    first, second = (json.loads(tune(run, "--json", "--seed", "7").out) for _ in range(2))
    assert first["strengths"] == second["strengths"]
    assert first["scores"] == second["scores"]


@pytest.mark.slow
@pytest.mark.usefixtures("table")
def test_every_option_reaches_the_search(run: Run) -> None:
    """Groups, regularizers, a fixed learning rate, batch size, repeats and a single refit are all used."""
    frame = mixed().with_columns(pl.col("city").fill_null("elsewhere"))
    frame.write_parquet("table.parquet")
    options = ["--groups", "city", "--regularizers", "l1,weight_dropout", "--learning-rate", "0.002"]
    options += ["--batch-size", "20", "--refit", "single", "--rule", "min", "--json"]
    document = json.loads(tune(run, *options, data="table.parquet").out)
    assert document["plan"]["batch_size"] == 20
    assert document["refit"] == "single"
    assert {"l1", "weight_dropout"} <= set(document["strengths"][0])
    assert "l2" not in document["strengths"][0]
    assert {row["learning_rate"] for row in document["strengths"]} == {0.002}


@pytest.mark.usefixtures("table")
def test_weights_reach_the_search(run: Run) -> None:
    """Of rows by a column, of classes by name or balanced: as in Python, said in the summary."""
    arguments = ["--sample-weight", "dose", "--class-weight", "yes=5", "--class-weight", "no=0.5"]
    answer = tune(run, *arguments, "--json")
    document, python = json.loads(answer.out), {"sample_weight": "dose", "class_weight": {"yes": 5, "no": 0.5}}
    expected = fitwell.tune(mixed(), "ill", **QUICK, **python)
    assert document["scores"] == expected.to_json()["scores"]
    assert document["data"]["sample_weight"] == "dose"
    assert document["data"]["class_weight"] == {"no": 0.5, "yes": 5.0}
    balanced = tune(run, "--class-weight", "balanced", "--sample-weight", "dose")
    assert "Weights   rows by 'dose'; classes balanced" in balanced.out
    assert json.loads(tune(run, "--json").out)["scores"] != document["scores"]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--class-weight", "yes"], "expected balanced, or a class and its weight such as yes=5, got 'yes'"),
        (["--class-weight", "yes=much"], "got 'yes=much'"),
        (["--class-weight", "balanced", "--class-weight", "yes=5"], "got 'balanced'"),
        (["--class-weight", "yes=5", "--class-weight", "yes=6"], "expected one weight for the class 'yes'"),
        (["--class-weight", "maybe=5"], "has the classes 'no', 'yes'"),
        (["--class-weight", "yes=-5"], "finite weights of 0 or more. Got -5.0 for the class 'yes'"),
        (["--sample-weight", "Dose"], "Did you mean 'dose'"),
        (["--sample-weight", "city"], "'sample_weight' must be a number in every row, and data row"),
    ],
)
@pytest.mark.usefixtures("table")
def test_weights_that_cannot_be_used(run: Run, options: list[str], part: str) -> None:
    """One sentence each, by both commands."""
    for command in ("tune", "diagnose"):
        answer = run(command, "table.csv", "--target", "ill", *options)
        assert answer.status == INPUT_EXIT
        assert part in " ".join(answer.err.replace("│", " ").split())


def rows(**columns: list) -> bytes:
    return pl.DataFrame(columns).write_csv().encode()


N = 30
X = [0.1 * i * (-1) ** i for i in range(N)]
Y = ["a", "b"] * (N // 2)

BAD_TABLES = {
    "missing file": (None, "t.csv", [], "no file t.csv"),
    "empty file": (b"", "t.csv", [], "t.csv is empty"),
    "no rows": (b"x,y\n", "t.csv", [], "no rows"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00" * 5, "t.csv", [], "t.csv"),
    "latin-1": ("x,y\n1,Malmö\n2,b\n".encode("latin-1"), "t.csv", [], "UTF-8"),
    "broken Parquet": (b"PAR1 and no more", "t.parquet", [], "t.parquet"),
    "ragged": (b"x,y\n1,a\n2,b,c\n3,a\n", "t.csv", [], "line 3"),
    "no such target": (rows(x=X, outcome=Y), "t.csv", ["--target", "outcom"], "'outcome'"),
    "constant target": (rows(x=X, y=["a"] * N), "t.csv", [], "'y'"),
    "small class": (rows(x=X, y=["a"] * (N - 2) + ["b"] * 2), "t.csv", [], "'b'"),
    "few rows": (rows(x=[0.5, 1.5], y=[0.2, 0.4]), "t.csv", [], "fold"),
    "infinity": (rows(x=[float("inf"), *X[1:]], y=Y), "t.csv", [], "'x'"),
    "twice a name": (b"x,x,y\n" + b"1,2,a\n3,4,b\n" * 9, "t.csv", [], "'x'"),
    "only empty columns": (rows(x=[None] * N, y=Y), "t.csv", [], "No column is left"),
    "regression on text": (rows(x=X, y=Y), "t.csv", ["--task", "regression"], "'y'"),
    "unknown task": (rows(x=X, y=Y), "t.csv", ["--task", "ranking"], "ranking"),
    "no such group": (rows(x=X, y=Y), "t.csv", ["--groups", "g"], "'g'"),
    "one fold": (rows(x=X, y=Y), "t.csv", ["--cv", "1"], "cv"),
    "one group": (
        rows(x=X, g=["here"] * N, y=Y),
        "t.csv",
        ["--groups", "g"],
        "There is 1 group, fewer than the 3 folds: no folds can be had (at least 2), so group the rows another way.",
    ),
    "two groups": (
        rows(x=X, g=["here"] * 10 + ["there"] * 20, y=Y),
        "t.csv",
        ["--groups", "g"],
        "There are 2 groups, fewer than the 3 folds: use at most 2 folds.",
    ),
    "one row of a class": (
        rows(x=X, y=["a"] * (N - 1) + ["b"]),
        "t.csv",
        [],
        "Class 'b' has 1 row, fewer than the 3 folds: no folds can be had (at least 2), so add rows of it, or leave it",
    ),
    "one time": (
        rows(x=X, t=[7] * N, y=Y),
        "t.csv",
        ["--time", "t"],
        "has 1 different time, but 3 folds need at least",
    ),
}


@pytest.mark.parametrize(("content", "name", "options", "part"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_get_one_sentence(
    run: Run, tmp_path: Path, content: bytes | None, name: str, options: list[str], part: str
) -> None:
    """A table that cannot be used: exit status 2, one line that names the culprit, no traceback, nothing written."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    target = [] if "--target" in options else ["--target", "y"]
    answer = run("tune", name, *target, *QUICK_ARGUMENTS, "--quiet", "--out", "run", *options)
    assert answer.status == INPUT_EXIT
    assert answer.err.startswith("fitwell: ")
    assert answer.err.count("\n") == 1
    assert part in answer.err
    assert answer.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ([name] if content is not None else [])


@pytest.mark.slow
def test_odd_tables_are_used_and_said_so(run: Run, tmp_path: Path) -> None:
    """Numbers as text, empty columns, thousands of categories, ids, rows without a target: handled and reported."""
    n = 2400
    frame = pl.DataFrame(
        {
            "id": list(range(1, n + 1)),
            "amount": [f" {i % 2977:,} " for i in range(n)],
            "empty": [None] * n,
            "town": [f"town {i % 1100}" for i in range(n)],
            "y": [None, *(["a", "b", "b"] * n)[: n - 1]],
        }
    )
    frame.write_csv(tmp_path / "odd.csv")
    answer = tune(run, "--epochs", "2", data="odd.csv", target="y")
    assert answer.status == 0, answer.err
    assert "1 row without a target was set aside" in answer.out
    assert "Set aside id:" in answer.out
    assert "Set aside empty:" in answer.out
    assert "amount: numbers written as text" in answer.out
    assert "Note      town:" in answer.out


def test_a_broken_plan_is_refused_by_name(run: Run) -> None:
    """Wrong options are refused before anything is read."""
    for option, value in [("--hidden", "12,x"), ("--cv", "five"), ("--strengths", "many")]:
        answer = run("tune", "nowhere.csv", "--target", "y", option, value)
        assert answer.status == 2
        assert option.strip("-") in answer.err
        assert "Traceback" not in answer.err


@pytest.mark.usefixtures("table")
def test_an_existing_directory_is_kept(run: Run, tmp_path: Path) -> None:
    """Output that exists is refused before training, and other people's files also with --force."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    for force in ([], ["--force"]):
        answer = tune(run, "--out", "run", *force)
        assert answer.status == INPUT_EXIT
        assert "'run'" in answer.err
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


@pytest.mark.usefixtures("table")
def test_an_unwritable_place(run: Run) -> None:
    """A place where nothing can be written is refused in a sentence."""
    answer = tune(run, "--out", "table.csv/run")
    assert answer.status == INPUT_EXIT
    assert "cannot be made" in answer.err


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, result: fitwell.Result) -> Path:
    """A saved run."""
    return result.save(tmp_path_factory.mktemp("saved") / "run")


BAD_PREDICTIONS = {
    "missing columns": (lambda t: t.drop("age", "city"), ["'age'", "'city'"]),
    "text for a number": (lambda t: t.with_columns(pl.Series("dose", ["much"] * 90)), ["'dose'", "row 1", "much"]),
    "infinity": (lambda t: t.with_columns(pl.lit(float("inf")).alias("dose")), ["'dose'"]),
    "no date": (lambda t: t.with_columns(pl.lit("soon").alias("visit")), ["'visit'", "soon"]),
}


@pytest.mark.parametrize(("change", "parts"), BAD_PREDICTIONS.values(), ids=BAD_PREDICTIONS)
def test_bad_rows_to_predict(run: Run, saved: Path, tmp_path: Path, change: Callable, parts: list[str]) -> None:
    """New rows that do not fit the run: one sentence, and an earlier predictions file stays as it was."""
    change(mixed()).write_csv(tmp_path / "new.csv")
    (tmp_path / "p.csv").write_text("earlier")
    answer = run("predict", str(saved), "new.csv", "--out", "p.csv", "--force")
    assert answer.status == INPUT_EXIT
    assert answer.err.count("\n") == 1
    assert all(part in answer.err for part in parts)
    assert (tmp_path / "p.csv").read_text() == "earlier"


def test_extra_columns_and_unseen_categories(run: Run, saved: Path, tmp_path: Path) -> None:
    """Extra columns are named and ignored, unseen categories are predicted, the format follows the ending."""
    new = mixed().with_columns(pl.lit(1).alias("weight"), pl.lit("Atlantis").alias("city"))
    new.write_ndjson(tmp_path / "new.jsonl")
    answer = run("predict", str(saved), "new.jsonl", "--out", "p.parquet")
    assert answer.status == 0, answer.err
    assert "Ignored columns that the run did not train on: weight" in answer.err
    assert "Categories that training did not have count as \"other\": 'city' in 90 of 90 rows.\n" in answer.err
    assert answer.err.count("\n") == 3
    assert pl.read_parquet(tmp_path / "p.parquet").height == 90
    assert run("predict", str(saved), "new.jsonl", "--out", "q.csv", "--quiet") == Answer(0, "", "")


def test_columns_are_kept_beside_predictions(run: Run, saved: Path, tmp_path: Path) -> None:
    """--keep puts columns before the predictions, in the order given; what cannot be kept is refused by name."""
    new = mixed().with_columns(patient=pl.format("00{}", pl.int_range(1001, 1091))).drop("ill")
    new.write_csv(tmp_path / "new.csv")
    answer = run("predict", str(saved), "new.csv", "--keep", "patient", "--keep", "age")
    assert answer.err == ""
    table = pl.read_csv(answer.out.encode(), schema_overrides={"patient": pl.String})
    assert table.columns == ["patient", "age", "ill", "probability of no", "probability of yes"]
    assert table["patient"].to_list() == [f"00{number}" for number in range(1001, 1091)]
    assert table["age"].equals(new["age"])
    for name, message in (("id", "There is no column 'id' to keep. The columns are: "), ("ill", "'ill'")):
        mixed().with_row_index("patient").write_csv(tmp_path / "new.csv")
        refused = run("predict", str(saved), "new.csv", "--keep", name)
        assert refused.status == INPUT_EXIT
        assert message in refused.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("out", "part"), [("p.xlsx", "must end in"), ("nowhere/p.csv", "no directory"), (".", "must end in")]
)
def test_places_for_predictions(run: Run, saved: Path, tmp_path: Path, out: str, part: str) -> None:
    """A file that cannot be written is refused before anything is predicted."""
    mixed().write_csv(tmp_path / "new.csv")
    answer = run("predict", str(saved), "new.csv", "--out", out)
    assert answer.status == INPUT_EXIT
    assert part in answer.err


def test_a_predictions_file_is_replaced_by_force_only(run: Run, saved: Path, tmp_path: Path) -> None:
    """An existing file is refused before anything is read; with --force the predictions take its place."""
    mixed().write_csv(tmp_path / "new.csv")
    (tmp_path / "p.csv").write_text("earlier")
    answer = run("predict", str(saved), "new.csv", "--out", "p.csv")
    assert answer.status == INPUT_EXIT
    assert answer.err == "fitwell: 'p.csv' exists already: name another file, or use --force to replace it.\n"
    assert (tmp_path / "p.csv").read_text() == "earlier"
    assert run("predict", str(saved), "new.csv", "--out", "p.csv", "--force").status == 0
    assert pl.read_csv(tmp_path / "p.csv").height == 90


@pytest.mark.parametrize("force", [[], ["--force"]], ids=str)
@pytest.mark.parametrize("out", ["new.csv", "./new.csv", "link.csv"])
def test_the_table_to_predict_is_never_replaced(
    run: Run, saved: Path, tmp_path: Path, out: str, force: list[str]
) -> None:
    """The table that is read is refused as output, by whatever path and with --force too."""
    mixed().write_csv(tmp_path / "new.csv")
    (tmp_path / "link.csv").symlink_to("new.csv")
    before = (tmp_path / "new.csv").read_bytes()
    answer = run("predict", str(saved), "new.csv", "--out", out, *force)
    assert answer.status == INPUT_EXIT
    assert "is the table that is read: name another file." in answer.err
    assert (tmp_path / "new.csv").read_bytes() == before


def test_version_and_help(run: Run) -> None:
    """--version prints the version; help names the sub-commands and gives examples."""
    assert run("--version").out == f"fitwell {fitwell.__version__}\n"
    text = run("--help").out
    assert all(name in text for name in ("tune", "predict", "demo"))
    assert "fitwell tune wdbc.csv --target diagnosis" in run("tune", "--help").out.replace("\n", " ")


def test_cache_shows_and_clears(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fitwell cache` says where compiled programs are, how many and how large; --clear deletes them."""
    monkeypatch.setenv("FITWELL_CACHE", str(tmp_path / "programs"))
    assert "Programs   0\n" in run("cache").out
    assert not (tmp_path / "programs").exists()  # looking makes nothing
    directory = open_directory()
    assert directory is not None
    directory.write("one", b"program")
    answer = run("cache")
    assert answer.out.splitlines()[:2] == [f"Directory  {tmp_path / 'programs'}", "Programs   1"]
    assert run("cache", "--clear").out == "Deleted 1 compiled program.\n"
    assert directory.size() == (0, 0)
    assert run("cache", "--clear").out == "Deleted 0 compiled programs.\n"


def test_help_loads_nothing_heavy() -> None:
    """`fitwell --help` answers without importing JAX, Keras, scikit-learn, SciPy or polars."""
    code = (
        "import sys; sys.argv = ['fitwell', '--help']\nfrom fitwell.api.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'jax', 'keras', 'sklearn', 'scipy', 'polars', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_cache_loads_nothing_heavy() -> None:
    """`fitwell cache` is standard library only, beside the command line itself."""
    code = (
        "import sys; sys.argv = ['fitwell', 'cache']\nfrom fitwell.api.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'jax', 'keras', 'sklearn', 'scipy', 'polars', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_interrupts(tmp_path: Path, number: int, times: int) -> None:
    """Ctrl-C once keeps the best so far, twice, or being told to end, nothing: the exit status is 130 or 143."""
    mixed(2000).write_csv(tmp_path / "table.csv")
    command = [
        *FITWELL,
        "tune",
        "table.csv",
        "--target",
        "ill",
        "--out",
        "run",
        "--patience",
        "1000",
        "--epochs",
        "9999",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        while "Training" not in process.stdout.readline():
            pass
        time.sleep(1)
        process.send_signal(number)
        heard = ""
        if times == 2:
            assert process.stderr is not None
            heard = process.stderr.readline()  # signals that come while C computes are one
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
        err = heard + err
    assert process.returncode == INTERRUPT_EXIT + number
    ending = f"{ENDING}\n" if number == signal.SIGINT else ""
    if times == 1 and ending:
        assert err == ending
        document = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
        assert document["ended"]["reason"] == "interrupted"
        assert document["cut_short"][0] in " ".join(out.split())
        assert "Ended by hand after epoch" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert fitwell.load(tmp_path / "run").predict(mixed(5)).height == 5
    else:
        assert err == f"{ending}fitwell: interrupted; nothing was written.\n"
        assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


WRITES_OFTEN = [
    sys.executable,
    "-c",
    "from fitwell.engine import checkpoints; checkpoints.SOONEST = 0.3; from fitwell.api.cli import main; main()",
]
"""The command, which writes a search down not after ten seconds but at once."""

SEARCH = ["--target", "ill", "--strengths", "8", "--hidden", "32", "--patience", "1000", "--epochs", "60", "--cv", "3"]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_killed_search_goes_on(tmp_path: Path, seconds: float) -> None:
    """After `kill -9` at two moments its run has the numbers of an unbroken one, bit for bit; others are refused."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*WRITES_OFTEN, *arguments], cwd=tmp_path, capture_output=True, text=True)

    mixed(3000).write_csv(tmp_path / "table.csv")
    begin = ["tune", "table.csv", *SEARCH, "--out", "run"]
    unfinished = tmp_path / "run.unfinished"
    with subprocess.Popen([*WRITES_OFTEN, *begin], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        while not list(unfinished.glob("search-*")):
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
    assert not (tmp_path / "run").exists()
    again = call(*begin)
    assert again.returncode == INPUT_EXIT
    assert "holds a search that was interrupted: go on with 'fitwell tune --resume run'" in again.stderr
    other = call("tune", "--resume", "run", "--seed", "1", "--epochs", "3")
    assert other.stderr == "fitwell: '--resume' goes on with what the search began with: leave out --epochs, --seed.\n"
    (tmp_path / "table.csv").rename(tmp_path / "kept.csv")
    mixed(3000, seed=1).write_csv(tmp_path / "table.csv")
    changed = call("tune", "--resume", "run")
    assert changed.returncode == INPUT_EXIT
    assert "cannot go on: rows" in changed.stderr
    (tmp_path / "kept.csv").replace(tmp_path / "table.csv")
    resumed = call("tune", "--resume", "run")
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on from epoch" in resumed.stdout
    assert not unfinished.exists()
    assert call(*begin[:-1], "whole").returncode == 0
    for name in ("histories.parquet", "held_out.parquet", "strengths.parquet", "encoding.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    run, whole = (json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8")) for name in ("run", "whole"))
    for name in ("strengths", "scores", "score", "importance", "choice"):
        assert run[name] == whole[name], name
    assert run["command"].endswith("--out run")
    assert call("tune", "--resume", "run").stderr.startswith("fitwell: There is no interrupted search 'run.unfinished'")


@pytest.mark.slow
def test_an_interrupted_search_that_goes_on_says_so(tmp_path: Path) -> None:
    """Being told to end leaves what was written down, and says how to go on; with --force one begins anew."""
    mixed(3000).write_csv(tmp_path / "table.csv")
    begin = [*WRITES_OFTEN, "tune", "table.csv", *SEARCH, "--out", "run"]
    unfinished, pipe = tmp_path / "run.unfinished", subprocess.PIPE
    with subprocess.Popen(begin, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        while not list(unfinished.glob("search-*")):
            time.sleep(0.01)
        time.sleep(0.5)  # until it knows so itself
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPT_EXIT + signal.SIGTERM
    assert err == "fitwell: interrupted; to go on: fitwell tune --resume run\n"
    done = subprocess.run([*begin, "--force", "--epochs", "2"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not unfinished.exists()


def test_what_a_search_needs(run: Run) -> None:
    """A table and a target, or the directory of a search."""
    for arguments in ([], ["table.csv"], ["--target", "ill"]):
        refused = run("tune", *arguments)
        assert refused.status == INPUT_EXIT
        assert refused.err.startswith("fitwell: A table and its '--target' are needed, or '--resume'")


@pytest.mark.usefixtures("table")
def test_a_budget(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of the whole process, and what it left out is said; what cannot be a budget, or be kept, is a sentence."""
    monkeypatch.setattr(command_running, "BEGUN", time.perf_counter() - 60)
    tuned = run("tune", "table.csv", "--target", "ill", "--budget", "1h", *QUICK_ARGUMENTS, "--json")
    assert tuned.status == 0
    document = json.loads(tuned.out)
    assert (document["ended"], document["cut_short"]) == (None, [])
    assert 3300 < document["plan"]["budget"] < 3540 * 0.97
    for command in ("tune", "diagnose"):
        wrong = run(command, "table.csv", "--target", "ill", "--budget", "soon")
        assert wrong.status == INPUT_EXIT
        assert wrong.err == "fitwell: '--budget' must be a time above 0, such as '90s', '5m' or '1h 30m'. Got 'soon'.\n"
        short = run(command, "table.csv", "--target", "ill", "--budget", "0.1s")
        assert short.status == INPUT_EXIT
        assert "'--budget' must leave half a second after starting, which took" in short.err


@pytest.mark.slow
def test_the_demo_tunes_a_real_table(tmp_path: Path) -> None:
    """`fitwell demo` ends well on the breast cancer table, and its network is better than chance by far."""
    done = subprocess.run([*FITWELL, "demo", "--out", "run"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["scores"]
    assert scores["ensemble"]["accuracy"] > 0.95


def keras_model(path: Path, *, inputs: int | None = None, units: int = 2, code: bool = False) -> Path:
    """Save a compiled model for the mixed table."""
    import keras

    width = read_table(mixed(), "ill", cv=3).layout.width if inputs is None else inputs
    layers: list = [keras.Input((width,)), keras.layers.Dense(4, "relu", name="hidden")]
    layers += [keras.layers.Lambda(lambda t: t)] if code else []
    model = keras.Sequential([*layers, keras.layers.Dense(units, "softmax", name="last")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(path)
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("table")
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_a_keras_model_is_tuned_and_predicts(run: Run, tmp_path: Path) -> None:
    """A model from a file takes the dense network's place, and `fitwell predict` knows what its outputs mean."""
    keras_model(tmp_path / "model.keras")
    options = ["--strengths", "4", "--epochs", "3", "--cv", "3", "--depth", "rising", "--out", "run"]
    answer = run("tune", "table.csv", "--target", "ill", "--model", "model.keras", *options)
    assert answer.status == 0, answer.err
    assert answer.err == ""
    parts = ["3 row sets x 4 strengths = 12 networks", "The network handed over", "Saved     run: a network"]
    places = [answer.out.index(part) for part in parts]
    assert places == sorted(places)
    document = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert [row["layer"] for row in document["layers"]] == ["hidden", "last"]
    assert document["choice"]["leave_alone"] in (True, False)
    answer = run("predict", "run", "table.csv", "--out", "predictions.csv")
    assert answer.status == 0, answer.err
    predictions = pl.read_csv(tmp_path / "predictions.csv")
    assert predictions.columns == ["ill", "probability of no", "probability of yes"]
    np.testing.assert_allclose(predictions.drop("ill").to_numpy().sum(axis=1), 1, rtol=1e-5)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("write", "options", "part"),
    [
        (lambda path: keras_model(path, code=True), [], "holds code (a Lambda layer), and no code of a file is run"),
        (lambda path: keras_model(path, inputs=99), [], "inputs once encoded, and the model takes (None, 99)"),
        (lambda path: keras_model(path, units=5), [], "The model gives 5 numbers, and the target has 2 classes"),
        (lambda path: path.write_text("no model"), [], "cannot be loaded as a Keras model"),
        (lambda path: None, [], "There is no file 'model.keras'"),
        (keras_model, ["--refit", "ensemble"], "comes back as one network of its own architecture"),
        (keras_model, ["--depth", "spiral"], "'depth' must be 'search' or one of"),
        (keras_model, ["--model", "table.csv"], "must be a .keras file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_models_that_cannot_be_used(
    run: Run, tmp_path: Path, write: Callable[[Path], object], options: list[str], part: str
) -> None:
    """A file that is no model for this table: exit status 2, one line, no traceback, nothing written."""
    write(tmp_path / "model.keras")
    answer = run("tune", "table.csv", "--target", "ill", "--model", "model.keras", "--quiet", "--out", "run", *options)
    assert answer.status == INPUT_EXIT
    assert answer.err.startswith("fitwell: ")
    assert answer.err.count("\n") == 1
    assert part in answer.err
    assert answer.out == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("table")
def test_depth_reaches_the_search(run: Run) -> None:
    """With --depth the strengths of the dense network differ by layer; a wrong one is refused by name."""
    document = json.loads(tune(run, "--depth", "funnel", "--rule", "min", "--refit", "single", "--json").out)
    chosen = document["choice"]["minimum"]
    on = [value for name in ("l2", "dropout") if (value := chosen[name])]
    assert not on or any(isinstance(value, dict) for value in on)
    answer = tune(run, "--depth", "spiral")
    assert answer.status == INPUT_EXIT
    assert answer.err == "fitwell: 'depth' must be 'search' or one of 'funnel', 'constant', 'rising'. Got 'spiral'.\n"


QUICK_DIAGNOSIS = ("--hidden", "8", "--strengths", "3", "--epochs", "4", "--cv", "3", "--repeats", "1")


@pytest.mark.slow
@pytest.mark.usefixtures("table")
def test_diagnose(run: Run) -> None:
    """The verdict, the gap with its interval and what was tried are printed; with --json as one document."""
    answer = run("diagnose", "table.csv", "--target", "ill", *QUICK_DIAGNOSIS)
    assert answer.status == 0, answer.err
    order = [
        "Read      90 rows",
        "On its training rows the log loss is",
        "95% interval",
        "The regularizations and earlier",
    ]
    places = [answer.out.index(part) for part in order]
    assert places == sorted(places)
    document = json.loads(run("diagnose", "table.csv", "--target", "ill", *QUICK_DIAGNOSIS, "--null", "--json").out)
    assert f"\n{document['verdict'].capitalize()}." in f"\n{answer.out}"
    assert document["gap"]["low"] < document["gap"]["difference"] < document["gap"]["high"]
    assert document["null"]["lowest"] > 0
    assert document["memorisation"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("table")
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_a_keras_model_is_diagnosed(run: Run, tmp_path: Path) -> None:
    """A model from a file is judged by its own loss and epochs."""
    keras_model(tmp_path / "model.keras")
    options = ["--strengths", "4", "--epochs", "3", "--cv", "3", "--repeats", "1", "--memorisation"]
    answer = run("diagnose", "table.csv", "--target", "ill", "--model", "model.keras", *options)
    assert answer.status == 0, answer.err
    assert "On its training rows the sparse categorical crossentropy is" in answer.out
    assert "Of a shuffled target it learns by heart" in answer.out


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--cv", "2"], "needs at least 3 folds. Got 2: use cv=5"),
        (["--level", "95"], "'level' must lie between 0.5 and 1. Got 95"),
        (["--target", "no"], "no column named 'no'"),
        (["--strengths", "1"], "'strengths' must be at least 2"),
        (["--model", "table.csv"], "must be a .keras file"),
    ],
)
def test_a_diagnosis_that_cannot_be_made(run: Run, options: list[str], part: str) -> None:
    """Exit status 2 and one line that says what to do."""
    answer = run("diagnose", "table.csv", "--target", "ill", *QUICK_DIAGNOSIS, *options)
    assert answer.status == INPUT_EXIT
    assert answer.err.splitlines()[-1].startswith("fitwell: ")
    assert part in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.slow
@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("honest", ["bbc", "nested"])
def test_an_honest_number(run: Run, honest: str) -> None:
    """`--honest` says how the number for new rows is made; the naive one stands beside it and is called optimistic."""
    answer = tune(run, "--honest", honest)
    assert answer.status == 0, answer.err
    line = next(line for line in answer.out.splitlines() if line.startswith("Honest"))
    assert "90% interval" in line
    assert "optimistic" in answer.out
    document = json.loads(tune(run, "--honest", honest, "--json").out)
    assert document["score"]["method"] == honest
    assert document["score"]["interval"]["low"] < document["score"]["loss"] < document["score"]["interval"]["high"]


@pytest.mark.usefixtures("table")
def test_no_such_honest_number(run: Run) -> None:
    """A wrong method is refused by name before anything is trained."""
    answer = tune(run, "--honest", "truly")
    assert answer.status == INPUT_EXIT
    assert "'honest' must be" in answer.err


def test_columns_are_left_out(run: Run, table: pl.DataFrame) -> None:
    """`--drop` leaves out columns, as often as it is given; a name that is not there gets the nearest one."""
    answer = tune(run, "--drop", "dose", "--drop", "city", "--out", "run")
    assert answer.status == 0, answer.err
    assert "Set aside dose: left out, as you asked" in answer.out
    stored = json.loads(Path("run/run.json").read_text())
    assert list(stored["data"]["set_aside"]) == ["city", "dose"]
    table.drop("city", "dose").write_csv("fewer.csv")
    predicted = [run("predict", "run", name) for name in ("table.csv", "fewer.csv")]
    # what was left out on purpose is no surprise
    assert predicted[0].out == predicted[1].out
    assert predicted[0].err == ""
    answer = tune(run, "--drop", "doze")
    assert (answer.status, answer.out) == (INPUT_EXIT, "")
    assert "There is no column 'doze' to leave out ('drop'). Did you mean 'dose'?" in answer.err


def test_the_target_in_other_words_is_warned_of(run: Run, table: pl.DataFrame) -> None:
    """What determines the target is a sentence on standard error, no line of code; one that equals it none."""
    table.with_columns(copy=pl.col("ill"), well=(pl.col("ill") == "no")).write_csv("leaky.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        answer = tune(run, "--json", data="leaky.csv")
    assert answer.err.startswith("fitwell: The target 'ill' is determined one to one by 'well'")
    assert answer.err.count("\n") == 1
    read = json.loads(answer.out)["data"]
    assert read["set_aside"] == {"copy": "it is the target once more"}
    assert read["remarks"] == {"well": "it determines the target one to one"}


@pytest.mark.usefixtures("table")
def test_several_targets(run: Run, tmp_path: Path) -> None:
    """An option for each: they are predicted together, and none is an input."""
    answer = run("tune", "table.csv", "--target", "ill", "--target", "smoker", *QUICK_ARGUMENTS, "--out", "run")
    assert answer.status == 0, answer.err
    assert "Target    ill, smoker: 2 labels, any of which a row may have" in answer.out
    answer = run("predict", "run", "table.csv", "--out", "predictions.csv")
    assert answer.status == 0, answer.err
    assert "Ignored" not in answer.err
    columns = ["ill", "smoker", "probability of ill", "probability of smoker"]
    assert pl.read_csv(tmp_path / "predictions.csv").columns == columns
