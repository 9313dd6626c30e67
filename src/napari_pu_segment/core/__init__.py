"""The science: no GUI, no threads, no prints. Long work here is a generator that yields `Progress`."""
