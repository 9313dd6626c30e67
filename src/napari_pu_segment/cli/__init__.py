"""The commands: main.py has them all, each larger one is a file of its own."""
