from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded

from training import calibrate
from training import measures
from training.data import load_grey
from training.data import read_chexpert
from training.data import read_classes


def test_accuracy_confusion_and_auc_by_hand() -> None:
    truth = np.array([0, 0, 1, 1])
    chances = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55]])
    assert measures.accuracy(truth, chances) == 0.75
    assert measures.confusion(truth, chances.argmax(axis=1), 2).tolist() == [[1, 1], [0, 2]]
    # Of the four pairs three are in order.
    assert measures.auc(truth == 1, chances[:, 1]) == 0.75
    assert measures.auc(np.array([True, False]), np.array([0.5, 0.5])) == 0.5
    assert math.isnan(measures.auc(np.array([True]), np.array([0.5])))


def test_calibration_error_by_hand() -> None:
    truth = np.array([0, 0, 0, 1])
    chances = np.array([[0.8, 0.2]] * 4)
    assert measures.calibration_error(truth, chances) == pytest.approx(0.05)


def test_a_temperature_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    chances = measures.softmax(logits)
    truth = np.array([rng.choice(3, p=row) for row in chances])
    assert measures.temperature(truth, logits * 2) == pytest.approx(2, rel=0.15)
    heat, offset = calibrate.fit(truth, logits * 2 - np.array([1.0, 0.0, 0.0]))
    assert heat == pytest.approx(2, rel=0.2)
    assert offset[0] - offset[1] == pytest.approx(0.5, abs=0.15)


CHEXPERT = """Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Consolidation
CheXpert-v1.0/train/p1/view1.jpg,F,60,Frontal,AP,1.0,-1.0
CheXpert-v1.0/train/p1/view2.jpg,F,60,Lateral,,1.0,0.0
CheXpert-v1.0/train/p2/view1.jpg,M,50,Frontal,PA,,0.0
"""


@pytest.mark.parametrize(
    ("policy", "value"), [("zeros", 0.0), ("ones", 1.0), ("ignore", float("nan"))]
)
def test_uncertain_labels_follow_the_named_policy(
    tmp_path: Path, policy: str, value: float
) -> None:
    table = tmp_path / "train.csv"
    table.write_text(CHEXPERT)
    image = tmp_path / "train" / "p1" / "view1.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(encoded(kind="JPEG"))
    first, second = read_chexpert(
        table, ["Edema", "Consolidation"], uncertain=policy, split="train"
    )
    np.testing.assert_equal(first.targets, (1.0, value))
    assert second.targets == (0.0, 0.0)
    assert first.path == image
    assert load_grey([first], 16).shape == (1, 16, 16)


def test_a_finding_without_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(CHEXPERT)
    with pytest.raises(ValueError, match="Fracture"):
        read_chexpert(tmp_path / "t.csv", ["Fracture"], uncertain="ones", split="train")


def test_classes_are_read_with_their_split(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,cls,split\na.jpg,Normal,val\n")
    (example,) = read_classes(tmp_path)
    assert (example.targets, example.split) == ((0.0, 0.0, 1.0), "val")


def test_the_whole_recipe_runs_and_what_it_writes_can_be_served(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason='no PyTorch here; pip install -e ".[train]"')
    import subprocess
    import sys

    rows = ["file,cls,split"]
    for i in range(40):
        kind = ("COVID-19", "Pneumonia", "Normal")[i % 3]
        (tmp_path / f"{i}.jpg").write_bytes(encoded(kind="JPEG"))
        rows.append(f"{i}.jpg,{kind},{'val' if i > 33 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    command = [sys.executable, "-m", "training", "--data", str(tmp_path), "--out", str(tmp_path)]
    subprocess.run([*command, "--epochs", "1", "--size", "64"], check=True, timeout=300)
    assert list(tmp_path.glob("*.onnx"))
