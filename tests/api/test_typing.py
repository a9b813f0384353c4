"""What a person's own type checker says of a script that uses fitwell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import fitwell
from fitwell import MLPClassifierCV

result = fitwell.tune("table.csv", "ill", rule="min", refit="single", honest="nested", pruning="none", engine="numpy")
heights: int = result.table.height
low: float = result.score.interval.low
text: str = fitwell.diagnose("table.csv", "ill", task="classification", depth="funnel").verdict
clf = MLPClassifierCV(rule="1se", learning_rate="cosine", batch_size="auto").fit([[0.0]], [1])
column = clf.predict_proba([[0.0]])[:, 0]
"""

WRONG = {
    "a rule": ('rule="min"', 'rule="bset"'),
    "a way to refit": ('refit="single"', 'refit="one"'),
    "a method": ('honest="nested"', 'honest="nestd"'),
    "an engine": ('engine="numpy"', 'engine="torch"'),
    "a task": ('task="classification"', 'task="classify"'),
    "a shape": ('depth="funnel"', 'depth="tunnel"'),
    "a schedule": ('learning_rate="cosine"', 'learning_rate="cosin"'),
    "an attribute": ("result.table", "result.tabel"),
    "an attribute's type": ("low: float", "low: str"),
}


@pytest.mark.slow
def test_a_script_is_checked(tmp_path: Path) -> None:
    """Nothing is wrong with it as it is; each mistake alone is found, and where it stands."""
    (tmp_path / "right.py").write_text(SCRIPT)
    for number, (right, wrong) in enumerate(WRONG.values()):
        assert right in SCRIPT
        (tmp_path / f"wrong{number}.py").write_text(SCRIPT.replace(right, wrong))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    errors = [Path(line.split(":")[0].strip()).name for line in found.splitlines() if " - error: " in line]
    assert sorted(set(errors)) == [f"wrong{number}.py" for number in range(len(WRONG))], found
