"""How long tests wait: longer than a busy machine takes, since what comes ends a wait at once."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

PATIENCE_MS = 120_000
SOON_S = 6.0  # promised is 1 s, from when a job is told to stop; a machine that is busy with other tests takes longer


class PatientBot(QtBot):
    """`qtbot` of pytest-qt, except that no wait is short."""

    def waitUntil(self, callback, *, timeout=PATIENCE_MS):
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal=None, *, timeout=PATIENCE_MS, **more):
        return super().waitSignal(signal, timeout=timeout, **more)

    def waitExposed(self, widget, *, timeout=PATIENCE_MS):
        return super().waitExposed(widget, timeout=timeout)
