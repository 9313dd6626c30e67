# make demo   the whole job on a built-in image, without a window: prints figures, writes an overview picture
# make test   style, types, tests and documentation: all that a change must pass
# make docs-pictures   take the pictures of the documentation anew, from the real window
# make benchmark   accuracy and speed against rivals on synthetic frames, in a few minutes
# Each makes its own environment at first. PYTHON=/path/to/python chooses another interpreter (3.11 or newer).

export PYTHON
TOX := .tox/runner
BENCH := .venv-benchmark/bin/python
DISPLAY_SERVER := $(if $(filter Linux,$(shell uname)),xvfb-run -a -s "-screen 0 1280x1024x24 +extension GLX")

.PHONY: demo test docs-pictures benchmark benchmark-docs constraints clean

demo:
	scripts/make_venv.sh .venv --editable .
	.venv/bin/napari-pu-segment demo --out demo_output

test:
	scripts/make_venv.sh $(TOX) tox
	scripts/system_packages.sh $(TOX)/bin/python
	$(DISPLAY_SERVER) $(TOX)/bin/python -m tox run

docs-pictures:
	scripts/make_venv.sh .venv-pictures --editable ".[all]"
	scripts/system_packages.sh .venv-pictures/bin/python
	$(DISPLAY_SERVER) .venv-pictures/bin/python docs/pictures/make_pictures.py

benchmark:
	scripts/make_venv.sh .venv-benchmark --editable ".[benchmarks]"
	$(BENCH) benchmarks/accuracy.py --prior auto true 0.67 1.5 --n-strokes 2 4 8 --seeds 1 \
		--csv benchmark_output/accuracy.csv --plots benchmark_output
	$(BENCH) benchmarks/speed.py --side 256 512 --csv benchmark_output/speed.csv

# After `make benchmark`: measures what docs/benchmarks.md quotes, all but the patch classifier, and fills the page.
# make benchmark-docs CASES=FOLDER
benchmark-docs:
	$(BENCH) benchmarks/accuracy.py $(CASES) --prior auto true $(EXTERNAL) --csv benchmarks/results/methods.csv
	$(BENCH) benchmarks/accuracy.py $(CASES) --methods ours --prior auto true 0.5 0.67 1.5 2 --seeds 1 \
		--csv benchmarks/results/priors.csv
	$(BENCH) benchmarks/accuracy.py $(CASES) --methods ours forest --n-strokes 1 2 4 8 16 --seeds 1 --refine \
		--csv benchmarks/results/strokes.csv
	$(BENCH) benchmarks/accuracy.py $(CASES) --methods ours forest random_walker watershed --strokes both --seeds 1 \
		--refine --csv benchmarks/results/untrained.csv
	$(BENCH) benchmarks/ablation.py $(CASES) --csv benchmarks/results/ablation.csv
	$(BENCH) benchmarks/speed.py --side 256 512 1024 2048 --csv benchmarks/results/speed.csv
	$(BENCH) benchmarks/speed.py --side 256 512 --ndim 3 --planes 8 --csv benchmarks/results/speed_3d.csv
	$(BENCH) benchmarks/speed.py --side 4096 8192 --repeats 1 --csv benchmarks/results/speed_large.csv
	$(BENCH) benchmarks/report.py

clean:
	rm -rf .venv .venv-benchmark .venv-pictures .tox .mypy_cache .pytest_cache .ruff_cache build site demo_output benchmark_output
