"""The tab Paint: training, live mode, rounds, searches, and suggested places."""
