"""CAM compared with ADL on toy images with multiple seeds: coverage of the objects.

    python benchmarks/toy_adl.py --seeds 0 1 2 --out /tmp/toy_adl

Both methods are trained as in ``wsol demo``; a seed determines the images and the training.
Prints MaxBoxAccV2 and top-1 accuracy on the test split for each seed, and the mean difference.
"""

import argparse
import statistics
from pathlib import Path

from wsol.data.synthetic.toy import write_toy
from wsol.demo import demo_adl, demo_training
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.methods.none import Config as NoMethod
from wsol.training.trainer import train


def main() -> None:
    """Train both methods on each seed and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True, help="folder for data and runs")
    options = parser.parse_args()
    differences = []
    for seed in options.seeds:
        folder = options.out / str(seed)
        write_toy(folder / "data", seed=seed)
        figures = {}
        for name, method in (("CAM", NoMethod()), ("ADL", demo_adl())):
            run = train(demo_training(folder / "data", folder / name.lower(), method, seed))
            figures[name] = evaluate(EvaluateConfig(run=run)).metrics
        cam, adl = (float(figures[name]["max_box_acc_v2"] or 0) for name in ("CAM", "ADL"))
        differences.append(adl - cam)
        tops = ", ".join(f"{name} top-1 {figures[name]['top1_cls']:.1f}" for name in figures)
        print(f"seed {seed}: MaxBoxAccV2 CAM {cam:.2f}, ADL {adl:.2f} ({adl - cam:+.2f}); {tops}")
    print(f"mean difference {statistics.mean(differences):+.2f}")


if __name__ == "__main__":
    main()
