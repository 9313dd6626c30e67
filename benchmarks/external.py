"""Peers that live in environments of their own: this file is run there, by their Python, as a child of `accuracy.py`.

It needs nothing of this project. Requests are lines of JSON on the standard input,
`{"image": FILE, "labels": FILE, "out": FILE}` (.npy: (C, Y, X), (Y, X) codes 0, 1, 2, and the probability to write);
answers are lines of JSON with seconds on the standard output. The first job of a process warms it up (imports,
compilers) and is not to be timed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

import numpy as np


def apoc(image, labels):
    """APOC's pixel classifier: 100 trees of depth 2 on its "medium_quick" features of the mean intensity, on OpenCL."""
    from apoc import PredefinedFeatureSet, ProbabilityMapper

    grey = np.asarray(image, np.float32).mean(0)
    with tempfile.TemporaryDirectory() as folder:
        mapper = ProbabilityMapper(
            opencl_filename=os.path.join(folder, "model.cl"),
            max_depth=2,
            num_ensembles=100,
            output_probability_of_class=2,
        )
        begin = time.perf_counter()
        swapped = np.choose(labels, [0, 2, 1]).astype(np.uint8)  # its first class is the background
        mapper.train(PredefinedFeatureSet.medium_quick.value, swapped, grey)
        trained = time.perf_counter()
        probability = np.asarray(mapper.predict(grey))
    return probability, trained - begin, time.perf_counter() - trained


def convpaint(image, labels):
    """napari-convpaint with its `gaussian` features and CatBoost; its VGG16 default needs weights from the internet."""
    from napari_convpaint.convpaint_model import ConvpaintModel

    model = ConvpaintModel("gaussian")
    model.set_params(channel_mode="single" if len(image) == 1 else "multi")
    pixels = np.asarray(image, np.float32)
    pixels = pixels[0] if len(pixels) == 1 else pixels
    begin = time.perf_counter()
    model.train(pixels, labels)
    trained = time.perf_counter()
    probability = np.asarray(model.predict_probas(pixels))[0]  # classes in the order of the codes
    return probability, trained - begin, time.perf_counter() - trained


PEERS = {"apoc": apoc, "convpaint": convpaint}


def main():
    """Answer requests until the input ends."""
    run = PEERS[sys.argv[1]]
    answers, sys.stdout = sys.stdout, sys.stderr  # what the packages print must not get between the answers
    for line in sys.stdin:
        job = json.loads(line)
        probability, train_s, predict_s = run(np.load(job["image"]), np.load(job["labels"]))
        np.save(job["out"], np.clip(np.asarray(probability, np.float32), 0, 1))
        print(json.dumps({"train_s": train_s, "predict_s": predict_s}), file=answers, flush=True)


if __name__ == "__main__":
    main()
