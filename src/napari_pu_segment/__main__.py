"""``python -m napari_pu_segment`` is the same as the command ``napari-pu-segment``."""

from __future__ import annotations

from .cli.main import app


def main() -> None:
    """Run the command line."""
    app(prog_name="napari-pu-segment")


if __name__ == "__main__":
    main()
