# make demo   the whole job on a built-in image, without a window: prints figures, writes an overview picture
# make test   style, types, tests and documentation: all that a change must pass
# make benchmark   accuracy and speed against rivals on synthetic frames, in a few minutes
# Each makes its own environment at first. PYTHON=/path/to/python chooses another interpreter (3.11 or newer).

export PYTHON
TOX := .tox/runner
DISPLAY_SERVER := $(if $(filter Linux,$(shell uname)),xvfb-run -a -s "-screen 0 1280x1024x24 +extension GLX")

.PHONY: demo test benchmark constraints clean

demo:
	scripts/make_venv.sh .venv --editable .
	.venv/bin/napari-pu-segment demo --out demo_output

test:
	scripts/make_venv.sh $(TOX) tox
	scripts/system_packages.sh $(TOX)/bin/python
	$(DISPLAY_SERVER) $(TOX)/bin/python -m tox run

benchmark:
	scripts/make_venv.sh .venv-benchmark --editable ".[benchmarks]"
	.venv-benchmark/bin/python benchmarks/accuracy.py --prior auto true 0.67 1.5 --n-strokes 2 4 8 --seeds 1 \
		--csv benchmark_output/accuracy.csv --plots benchmark_output
	.venv-benchmark/bin/python benchmarks/speed.py --side 256 512 --csv benchmark_output/speed.csv

clean:
	rm -rf .venv .venv-benchmark .tox .mypy_cache .pytest_cache .ruff_cache build site demo_output benchmark_output
