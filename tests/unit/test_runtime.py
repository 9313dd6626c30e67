"""Threads of torch are fixed for the one who asked for it, and for nobody beside."""

from __future__ import annotations

import threading

import torch

from napari_pu_segment.core.compute.runtime import fix_threads, set_threads, thread_count


def test_a_fixed_count_holds_in_its_own_thread_alone():
    seen = {}
    go_on, fixed = threading.Event(), threading.Event()

    def batch():
        fix_threads(3)
        seen["batch"] = set_threads(2), torch.get_num_threads()
        fixed.set()
        go_on.wait(10)
        seen["later"] = set_threads(2), torch.get_num_threads()
        fix_threads(0)
        seen["free"] = thread_count(2)

    def training():
        seen["training"] = set_threads(2), torch.get_num_threads()

    before = torch.get_num_threads()
    beside = threading.Thread(target=batch)
    beside.start()
    assert fixed.wait(10)
    other = threading.Thread(target=training)
    other.start()
    other.join()
    go_on.set()
    beside.join()
    assert seen == {"batch": (3, 3), "training": (2, 2), "later": (3, 3), "free": 2}
    assert thread_count(5) == 5
    assert torch.get_num_threads() == before
